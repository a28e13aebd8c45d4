#include "engine/core/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "engine/core/error.h"

namespace engine::profile {
namespace {

std::atomic<bool> on{false};
std::mutex mutex;
std::map<std::string, Row> collected;
std::shared_ptr<Clock> device_clock;
thread_local Scope* innermost = nullptr;

// A scope that has ended on the host; on the device perhaps not yet.
struct Interval {
  std::string name, outer;
  Clock::Mark from, to;
};
std::vector<Interval> unread;
constexpr std::size_t most_unread = 1 << 14;

Row& row_of(const std::string& name) {
  Row& row = collected[name];
  row.name = name;
  return row;
}

// With `mutex` held. Throws what the device's work ended with.
void read_clock() {
  for (const Interval& i : std::exchange(unread, {})) {
    const double seconds = device_clock->seconds(i.from, i.to);
    row_of(i.name).seconds += seconds;
    if (!i.outer.empty()) row_of(i.outer).seconds -= seconds;
  }
}

double per(double amount, double whole) { return whole > 0 ? amount / whole : 0; }

std::string_view bound(const Row& row, const Peaks& peaks) {
  if (row.flops == 0 && row.bytes == 0) return "-";
  return row.flops / peaks.flops > row.bytes / peaks.bytes ? "compute" : "memory";
}

std::string line(const Row& row, double total_seconds, const TableOptions& options, bool with_peaks) {
  const double steps = static_cast<double>(std::max<int64_t>(options.steps, 1));
  const double flops = per(row.flops, row.seconds), bytes = per(row.bytes, row.seconds);
  std::string text = fmt::format("{:<36}{:>10.2f}{:>7.1f}%{:>8.4g}{:>10.1f}{:>9.1f}", row.name,
                                 row.seconds * 1e3 / steps, 100 * per(row.seconds, total_seconds),
                                 static_cast<double>(row.calls) / steps, flops * 1e-9, bytes * 1e-9);
  if (!with_peaks) return text + '\n';
  const Peaks& peaks = options.peaks;
  return text + fmt::format("{:>9.1f}%{:>10.1f}%  {}\n", 100 * flops / peaks.flops, 100 * bytes / peaks.bytes,
                            bound(row, peaks));
}

}  // namespace

void enable(bool enable) { on = enable; }
bool enabled() { return on.load(std::memory_order_relaxed); }

void set_clock(std::shared_ptr<Clock> clock) {
  std::lock_guard lock(mutex);
  unread.clear();
  device_clock = std::move(clock);
}

void reset() {
  std::lock_guard lock(mutex);
  collected.clear();
  unread.clear();
}

void add_work(double flops, double bytes) {
  if (!innermost) return;
  innermost->flops_ += flops;
  innermost->bytes_ += bytes;
}

void Scope::open(std::string_view name, std::string_view suffix) {
  open_ = true;
  name_.append(name).append(suffix);
  outer_ = innermost;
  innermost = this;
  if (device_clock)
    mark_ = device_clock->mark();
  else
    start_ = std::chrono::steady_clock::now();
}

void Scope::close() {
  const auto end = std::chrono::steady_clock::now();
  innermost = outer_;
  std::lock_guard lock(mutex);
  Row& row = row_of(name_);
  row.calls += 1;
  row.flops += flops_;
  row.bytes += bytes_;
  if (mark_) {
    try {
      unread.push_back({name_, outer_ ? outer_->name_ : std::string(), mark_, device_clock->mark()});
      if (unread.size() >= most_unread) read_clock();
    } catch (const Error&) {  // of the device's work, whose next caller is told
    }
    return;
  }
  const double seconds = std::chrono::duration<double>(end - start_).count();
  row.seconds += seconds - inner_seconds_;
  if (outer_) outer_->inner_seconds_ += seconds;
}

std::vector<Row> rows() {
  std::vector<Row> out;
  {
    std::lock_guard lock(mutex);
    read_clock();
    for (const auto& [name, row] : collected) out.push_back(row);
  }
  std::sort(out.begin(), out.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return out;
}

std::string table(const TableOptions& options) {
  const std::vector<Row> all = rows();
  Row sum{.name = "sum"};
  for (const Row& row : all) {
    sum.calls += row.calls;
    sum.seconds += row.seconds;
    sum.flops += row.flops;
    sum.bytes += row.bytes;
  }
  const Peaks& peaks = options.peaks;
  const bool with_peaks = peaks.flops > 0 && peaks.bytes > 0;
  std::string text = fmt::format("{:<36}{:>10}{:>8}{:>8}{:>10}{:>9}", "op", "ms", "share", "calls", "GFLOP/s", "GB/s");
  text += with_peaks ? fmt::format("{:>10}{:>11}  {}\n", "of flops", "of memory", "bound") : "\n";
  for (const Row& row : all) text += line(row, sum.seconds, options, with_peaks);
  text += line(sum, sum.seconds, options, with_peaks);
  if (with_peaks)
    text += fmt::format("measured peaks: {:.1f} GFLOP/s of multiply-adds, {:.1f} GB/s of memory\n", peaks.flops * 1e-9,
                        peaks.bytes * 1e-9);
  return text;
}

}  // namespace engine::profile
