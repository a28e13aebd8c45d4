#include "engine/core/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

namespace engine::profile {
namespace {

std::atomic<bool> on{false};
std::mutex mutex;
std::map<std::string, Row> collected;
thread_local Scope* innermost = nullptr;

}  // namespace

void enable(bool enable) { on = enable; }
bool enabled() { return on.load(std::memory_order_relaxed); }

void reset() {
  std::lock_guard lock(mutex);
  collected.clear();
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
  start_ = std::chrono::steady_clock::now();
}

void Scope::close() {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  innermost = outer_;
  if (outer_) outer_->inner_seconds_ += seconds;
  std::lock_guard lock(mutex);
  Row& row = collected[name_];
  row.name = name_;
  row.calls += 1;
  row.seconds += seconds - inner_seconds_;
  row.flops += flops_;
  row.bytes += bytes_;
}

std::vector<Row> rows() {
  std::vector<Row> out;
  {
    std::lock_guard lock(mutex);
    for (const auto& [name, row] : collected) out.push_back(row);
  }
  std::sort(out.begin(), out.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return out;
}

std::string table() {
  double total = 0;
  for (const Row& row : rows()) total += row.seconds;
  std::string text =
      fmt::format("{:<36}{:>10}{:>8}{:>9}{:>10}{:>9}\n", "op", "ms", "share", "calls", "GFLOP/s", "GB/s");
  for (const Row& row : rows())
    text += fmt::format("{:<36}{:>10.2f}{:>7.1f}%{:>9}{:>10.1f}{:>9.1f}\n", row.name, row.seconds * 1e3,
                        total > 0 ? 100 * row.seconds / total : 0, row.calls,
                        row.seconds > 0 ? row.flops / row.seconds * 1e-9 : 0,
                        row.seconds > 0 ? row.bytes / row.seconds * 1e-9 : 0);
  return text;
}

}  // namespace engine::profile
