#include "apps/common/run_folder.h"

#include <fmt/chrono.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/common/version.h"
#include "engine/core/error.h"
#include "engine/io/atomic_file.h"

namespace apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string now() { return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr))); }

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  engine::check(!error && fs::is_directory(folder), "run folder", "{}: cannot create it: {}", folder.string(),
                error ? error.message() : "a file has this name");
}

}  // namespace

RunFolder::RunFolder(const std::string& folder, const RunFolderOptions& options)
    : folder_(folder), echo_(options.echo) {
  for (const char* part : {"", "checkpoints", "figures"}) make_folder(fs::path(folder) / part);
  if (options.resume_step) {
    drop_metrics_after(*options.resume_step);
  } else {
    for (const char* name : {"train.log", "metrics.jsonl"}) engine::write_text_atomically(file(name), "");
    // A new run that is stopped before its first checkpoint must not be resumed from the old run's.
    if (fs::exists(checkpoint("last"))) fs::rename(checkpoint("last"), checkpoint("previous"));
    if (fs::exists(checkpoint("best"))) fs::rename(checkpoint("best"), checkpoint("previous-best"));
  }
  log_ = open_for_append("train.log");
  metrics_ = open_for_append("metrics.jsonl");
}

std::string RunFolder::file(std::string_view name) const { return (fs::path(folder_) / name).string(); }
std::string RunFolder::checkpoint(std::string_view name) const {
  return file(fmt::format("checkpoints/{}.safetensors", name));
}

std::string RunFolder::last_good_checkpoint() const {
  const std::string last = checkpoint("last");
  return fs::exists(last) ? "the last good checkpoint is " + last : "no checkpoint was written yet";
}

void RunFolder::write_recipe(const std::string& toml) const {
  engine::write_text_atomically(file("recipe.toml"), toml);
}

void RunFolder::write_run(const RunInfo& info) const {
  Json run;
  run["command"] = info.command;
  run["started"] = now();
  run["git_revision"] = git_revision();
  run["seed"] = info.seed;
  run["device"] = info.device;
  run["threads"] = info.threads;
  run["versions"] = info.versions;
  run["versions"]["ride"] = version();
  run["versions"]["compiler"] = compiler();
  // Arguments are bytes, JSON is UTF-8: what isn't is shown as U+FFFD.
  engine::write_text_atomically(file("run.json"), run.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void RunFolder::log(std::string_view text) {
  append(log_.get(), "train.log", fmt::format("{}  {}\n", now(), text));
  if (!echo_) return;
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void RunFolder::metrics(int64_t step, int64_t epoch, const std::vector<std::pair<std::string, double>>& values) {
  Json line{{"step", step}, {"epoch", epoch}};
  for (const auto& [key, value] : values) line[key] = std::isfinite(value) ? Json(value) : Json(nullptr);
  append(metrics_.get(), "metrics.jsonl", line.dump() + "\n");
}

RunFolder::File RunFolder::open_for_append(const char* name) const {
  File opened(std::fopen(file(name).c_str(), "ae"));
  engine::check(opened != nullptr, "run folder", "{}: cannot open: {}", file(name), std::strerror(errno));
  return opened;
}

void RunFolder::append(std::FILE* out, const char* name, const std::string& line) const {
  const bool written = std::fwrite(line.data(), 1, line.size(), out) == line.size() && std::fflush(out) == 0;
  engine::check(written, "run folder", "{}: cannot write: {}", file(name), std::strerror(errno));
}

void RunFolder::drop_metrics_after(int64_t step) const {
  if (!fs::exists(file("metrics.jsonl"))) return;
  std::istringstream lines(engine::read_text(file("metrics.jsonl")));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line, nullptr, false);  // a line cut off by a kill is no JSON: dropped too
    if (entry.is_object() && entry.contains("step") && entry["step"].is_number() && entry["step"] <= step)
      kept += line + "\n";
  }
  engine::write_text_atomically(file("metrics.jsonl"), kept);
}

bool is_run_of(const std::string& folder, const std::string& file) {
  const fs::path checkpoints = fs::weakly_canonical(fs::path(folder) / "checkpoints");
  const fs::path place = fs::weakly_canonical(file).parent_path();
  return place == checkpoints || place == checkpoints.parent_path();
}

std::string checkpoint_to_resume(const std::string& resume, const std::string& folder) {
  if (resume != "auto") return resume;
  const fs::path last = fs::path(folder) / "checkpoints" / "last.safetensors";
  return fs::exists(last) ? last.string() : std::string();
}

}  // namespace apps
