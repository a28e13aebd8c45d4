// ride-bench: how fast a model trains or infers here, where its time goes, and how far that is from what the machine
// can do. Random inputs, no data loading.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/bench/sweep.h"
#include "apps/bench/workload.h"
#include "apps/common/program.h"
#include "engine/core/allocator.h"
#include "engine/core/device_memory.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/kernels/select.h"

namespace {

using apps::bench::Options;

struct Output {
  bool json = false, profile = false;
  bool table = false;  // rows under table_head() instead of a sentence
};

// Of the process, or of the tensors on a GPU.
double peak_mib(engine::Device device) {
  if (device.type != engine::DeviceType::cpu)
    return static_cast<double>(engine::memory_of(device).stats(device.index).peak_allocated) / (1 << 20);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Seconds of each step, rising.
std::vector<double> time_steps(const Options& options, bool profile) {
  const std::function<void()> step = apps::bench::make_step(options);
  const engine::Device device = options.device.open();
  for (int i = 0; i < options.warmup; ++i) step();
  engine::profile::set_clock(engine::clock_of(device));
  const engine::profile::Enabled enabled(profile);
  std::vector<double> seconds;
  for (int i = 0; i < options.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    {
      engine::profile::Scope scope("(between ops)");
      step();
      engine::synchronize(device);
    }
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

// What the profiler counted in a step, and what the device reaches at best.
struct Work {
  double flops = 0, bytes = 0;
  engine::profile::Peaks peaks;
};

Work measured_work(const Options& options) {
  const engine::DType factors = options.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32;
  Work work{.peaks = engine::kernels(options.device.open()).peak.measure(factors)};
  for (const engine::profile::Row& row : engine::profile::rows()) {
    work.flops += row.flops / options.steps;
    work.bytes += row.bytes / options.steps;
  }
  return work;
}

struct Result {
  double median = 0, best = 0;  // seconds of a step
  double peak_mib = 0;
  std::optional<Work> work;  // where the profiler ran
};

std::string table_head() {
  return fmt::format("{:<10} {:<6} {:<9} {:<13} {:>6} {:>8} {:>10} {:>10} {:>10} {:>9}\n", "model", "mode", "precision",
                     "format", "batch", "threads", "ms a step", "images/s", "best", "peak MiB");
}

std::string report(const Options& o, const Output& output, const Result& r) {
  const double images = static_cast<double>(o.batch);
  const double rate = images / r.median, best_rate = images / r.best;
  if (output.json) {
    auto rounded = [](double value) { return std::round(value * 100) / 100; };
    nlohmann::ordered_json line = {{"model", o.model},
                                   {"mode", o.mode},
                                   {"precision", o.precision},
                                   {"format", o.format},
                                   {"batch", o.batch},
                                   {"device", o.device.device},
                                   {"tf32", o.device.tf32},
                                   {"graph", o.graph},
                                   {"threads", engine::num_threads()},
                                   {"ms", rounded(r.median * 1e3)},
                                   {"images_per_second", rounded(rate)},
                                   {"best_images_per_second", rounded(best_rate)},
                                   {"peak_mib", rounded(r.peak_mib)},
                                   {"system_allocations", engine::cpu_allocator().stats().system_allocations}};
    if (r.work) {
      line["gflop"] = rounded(r.work->flops * 1e-9);
      line["megabytes"] = rounded(r.work->bytes * 1e-6);
      line["peak_gflop_per_second"] = rounded(r.work->peaks.flops * 1e-9);
      line["peak_gigabytes_per_second"] = rounded(r.work->peaks.bytes * 1e-9);
    }
    return line.dump() + '\n';
  }
  if (output.table)
    return fmt::format("{:<10} {:<6} {:<9} {:<13} {:>6} {:>8} {:>10.1f} {:>10.1f} {:>10.1f} {:>9.0f}\n", o.model,
                       o.mode, o.precision, o.format, o.batch, engine::num_threads(), r.median * 1e3, rate, best_rate,
                       r.peak_mib);
  return fmt::format(
      "{} {} {} batch {} on {} threads: {:.1f} ms a step, {:.1f} images/s (best {:.1f}), peak {:.0f} MiB\n", o.model,
      o.mode, o.precision, o.batch, engine::num_threads(), r.median * 1e3, rate, best_rate, r.peak_mib);
}

int measure(const Options& options, const Output& output) {
  engine::check(options.mode == "train" || options.mode == "infer", "bench", "mode '{}' is none of train, infer",
                options.mode);
  engine::check(options.precision == "f32" || options.precision == "bf16", "bench",
                "precision '{}' is none of f32, bf16", options.precision);
  if (options.threads) engine::set_num_threads(options.threads);
  engine::check(!(output.profile && options.graph), "bench",
                "--profile sees no ops in a recorded step: leave out --graph or --profile");
  const std::vector<double> seconds = time_steps(options, output.profile);
  Result result{seconds[seconds.size() / 2], seconds[0], peak_mib(options.device.open()), {}};
  if (output.profile) result.work = measured_work(options);
  fmt::print("{}", report(options, output, result));
  if (result.work)
    fmt::print(stderr, "{}", engine::profile::table({.peaks = result.work->peaks, .steps = options.steps}));
  return 0;
}

// Each configuration in a process of its own: none inherits another's memory, primitives or threads, and the peak
// memory is its own.
int sweep(const std::vector<Options>& configurations, const Output& output) {
  if (output.table) fmt::print("{}", table_head());
  for (const Options& options : configurations) {
    std::fflush(stdout);
    const pid_t child = fork();
    engine::check(child >= 0, "bench", "cannot start a process: {}", std::strerror(errno));
    if (child == 0) {
      const int code = apps::run_program([&] { return measure(options, output); });
      std::fflush(stdout);
      _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
      engine::fail("bench", "{} with batch {} ended with signal {}", options.model, options.batch, WTERMSIG(status));
    if (const int code = WEXITSTATUS(status)) return code;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  Output output;
  std::vector<std::string> axes;
  CLI::App app{"Measures the speed of one training step or one inference pass."};
  app.add_option("--model", options.model, "resnet32, ride-N (N experts), resnet50, resnet101, resnet152 or resnext50")
      ->capture_default_str();
  app.add_option("--mode", options.mode, "train or infer")
      ->check(CLI::IsMember({"train", "infer"}))
      ->capture_default_str();
  app.add_option("--precision", options.precision, "f32, or bf16 activations")->capture_default_str();
  app.add_option("--format", options.format,
                 "memory format of the activations: auto, contiguous, channels_last or batch_lanes")
      ->capture_default_str();
  app.add_option("--batch", options.batch, "images per step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--image-size", options.image_size, "pixels a side; 0: 32, and 224 for the large models")
      ->check(CLI::NonNegativeNumber);
  apps::add_device_options(app, options.device);
  app.add_option("--steps", options.steps, "timed steps; the median counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "steps before")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", options.threads, "0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_option("--sweep", axes, "lists of values, every combination measured: batch=1,16,128 threads=1,2")
      ->expected(1, -1);
  app.add_flag("--graph", options.graph, "record the step once and replay it, as ride-train --graph does");
  app.add_flag("--json", output.json, "one JSON line per configuration; with --profile also the work of a step");
  app.add_flag("--profile", output.profile,
               "time, GFLOP/s and GB/s of every op, beside what this machine reaches at best (measured). Each layer is "
               "then run by itself on the whole batch; without it, at inference, a CPU takes groups of images through "
               "several layers at a time, and so less time than these add up to");
  CLI11_PARSE(app, argc, argv);
  output.table = !axes.empty() && !output.json;
  return apps::run_program([&] {
    return axes.empty() ? measure(options, output) : sweep(apps::bench::combinations(options, axes), output);
  });
}
