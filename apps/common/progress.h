// Progress of an epoch: a bar that redraws itself on a terminal, a plain line now and then anywhere else.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace apps {

struct ProgressOptions {
  std::string label = {};  // "epoch 3/30"
  int64_t steps = 0;       // of the whole epoch
  int64_t first_step = 0;  // steps done before this start (a run resumed inside the epoch)
  int64_t every = 50;      // steps between two plain lines
  std::FILE* out = stderr;
  std::optional<bool> terminal = {};  // as `out` is, unless told
};

// What the loop knows after a step.
struct ProgressValues {
  int64_t steps = 0;    // done in this epoch, first_step included
  int64_t images = 0;   // since the start of this Progress
  double loss = 0;      // mean so far
  double accuracy = 0;  // in [0, 1], so far
};

class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Call after every step; draws at most ten times a second on a terminal.
  void update(const ProgressValues& values);
  // Leaves the finished bar on its own line; further updates draw nothing.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw();

  ProgressOptions options_;
  bool terminal_, colour_, finished_ = false, shown_ = false;
  Clock::time_point start_, last_draw_;
  ProgressValues values_;
};

// "epoch 3/30  45%|####      | 38/85 [00:12<00:15, 410 img/s, loss 2.310, acc 33.1]", cut to `columns`.
std::string bar_line(const ProgressOptions& options, const ProgressValues& values, double elapsed_seconds, int columns);
// The same without the bar.
std::string plain_line(const ProgressOptions& options, const ProgressValues& values, double elapsed_seconds);
// "00:12", "1:02:05".
std::string clock_time(double seconds);

}  // namespace apps
