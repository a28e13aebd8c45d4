// Where the time goes: scopes name the op, kernels report the work they did inside it. Costs one branch when off.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace engine::profile {

struct Row {
  std::string name;  // the op; its backward is "<op> backward", a format conversion "convert <from> -> <to>"
  int64_t calls = 0;
  double seconds = 0;  // without the scopes inside it
  double flops = 0;    // floating point operations reported by kernels
  double bytes = 0;    // bytes read and written, likewise
};

void enable(bool on);
bool enabled();
void reset();
std::vector<Row> rows();  // by falling time

// Enabled, or not, for its own lifetime; then what was before, whatever ends it.
class Enabled {
 public:
  explicit Enabled(bool on) : before_(enabled()) { enable(on); }
  ~Enabled() { enable(before_); }
  Enabled(const Enabled&) = delete;
  Enabled& operator=(const Enabled&) = delete;

 private:
  bool before_;
};

// The time of a device that works behind its caller's back. A mark is a point in the device's work, after all that it
// was given so far; nobody waits for it before the rows are asked for.
class Clock {
 public:
  using Mark = std::shared_ptr<const void>;
  virtual ~Clock() = default;
  virtual Mark mark() = 0;
  virtual double seconds(const Mark& from, const Mark& to) = 0;  // waits until both are passed
};
// Whose time counts from now on; null: the caller's. Set before enable().
void set_clock(std::shared_ptr<Clock> clock);

// What a device reaches at best; zeros: not known.
struct Peaks {
  double flops = 0;  // floating point operations a second
  double bytes = 0;  // bytes moved to and from memory a second
};
struct TableOptions {
  Peaks peaks = {};
  int64_t steps = 1;  // times and calls are divided by it
};
// The rows as text: time, share, calls, GFLOP/s, GB/s and, with peaks, both as shares of them. `bound` says which of
// the two limits an op (the roofline): compute where its work per byte is above flops / bytes of the peaks, memory
// below it. More than 100 % of memory comes from caches. The sum of all rows and the peaks stand below.
std::string table(const TableOptions& options = {});

// Adds work to the innermost open scope of this thread.
void add_work(double flops, double bytes);

// Times its own lifetime under `name` + `suffix`.
class Scope {
 public:
  explicit Scope(std::string_view name, std::string_view suffix = {}) {
    if (enabled()) open(name, suffix);
  }
  ~Scope() {
    if (open_) close();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  friend void add_work(double flops, double bytes);
  void open(std::string_view name, std::string_view suffix);
  void close();

  bool open_ = false;
  std::string name_;
  std::chrono::steady_clock::time_point start_;
  Clock::Mark mark_;  // with a device's clock
  double inner_seconds_ = 0, flops_ = 0, bytes_ = 0;
  Scope* outer_ = nullptr;
};

}  // namespace engine::profile
