#include "apps/common/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace apps {
namespace {

bool wants_colour() {
  const char* off = std::getenv("NO_COLOR");  // no-color.org: any text in it switches colours off
  return off == nullptr || *off == '\0';
}

int columns_of(std::FILE* out) {
  winsize size{};
  return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string numbers(const ProgressOptions& options, const ProgressValues& values, double elapsed) {
  const int64_t done = values.steps - options.first_step;
  const std::string left = done > 0 ? clock_time(elapsed / done * (options.steps - values.steps)) : "?";
  const double rate = elapsed > 0 ? values.images / elapsed : 0;
  return fmt::format("{}/{} [{}<{}, {:.0f} img/s, loss {:.3f}, acc {:.1f}]", values.steps, options.steps,
                     clock_time(elapsed), left, rate, values.loss, 100 * values.accuracy);
}

}  // namespace

std::string clock_time(double seconds) {
  const int64_t total = std::llround(std::max(0.0, seconds));
  const int64_t hours = total / 3600, minutes = total / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60)
                   : fmt::format("{:02}:{:02}", minutes, total % 60);
}

std::string plain_line(const ProgressOptions& options, const ProgressValues& values, double elapsed_seconds) {
  return fmt::format("{}  {}", options.label, numbers(options, values, elapsed_seconds));
}

std::string bar_line(const ProgressOptions& options, const ProgressValues& values, double elapsed_seconds,
                     int columns) {
  const double share = options.steps > 0 ? std::clamp(static_cast<double>(values.steps) / options.steps, 0.0, 1.0) : 1;
  const std::string before = fmt::format("{} {:3.0f}%|", options.label, std::floor(100 * share));
  const std::string after = fmt::format("| {}", numbers(options, values, elapsed_seconds));
  const int room = columns - 1 - static_cast<int>(before.size() + after.size());
  const int width = std::clamp(room, 0, 40);
  const int filled = static_cast<int>(share * width);
  const std::string line = before + std::string(filled, '#') + std::string(width - filled, ' ') + after;
  return line.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0)));
}

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)),
      terminal_(options_.terminal.value_or(::isatty(::fileno(options_.out)) != 0)),
      colour_(terminal_ && wants_colour()),
      start_(Clock::now()),
      last_draw_(start_) {
  values_.steps = options_.first_step;
}

void Progress::update(const ProgressValues& values) {
  if (finished_) return;
  values_ = values;
  const bool last = values.steps == options_.steps;
  if (terminal_) {
    const auto now = Clock::now();
    if (shown_ && !last && now - last_draw_ < std::chrono::milliseconds(100)) return;
    last_draw_ = now;
    draw();
  } else if (last || values.steps % std::max<int64_t>(options_.every, 1) == 0) {
    draw();
  }
}

void Progress::draw() {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  if (!terminal_) {
    fmt::print(options_.out, "{}\n", plain_line(options_, values_, elapsed));
  } else {
    std::string line = bar_line(options_, values_, elapsed, columns_of(options_.out));
    const std::size_t begin = line.find('#'), end = line.rfind('#');
    if (colour_ && begin != std::string::npos) line.insert(end + 1, "\x1b[0m").insert(begin, "\x1b[32m");
    fmt::print(options_.out, "\r\x1b[K{}", line);
  }
  std::fflush(options_.out);
  shown_ = true;
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!terminal_ || !shown_) return;
  draw();
  fmt::print(options_.out, "\n");
  std::fflush(options_.out);
}

}  // namespace apps
