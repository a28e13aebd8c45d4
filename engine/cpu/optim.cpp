#include "engine/core/parallel.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/row_kernels.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/update.h"

namespace engine::cpu {
namespace {

// All parameters are one long row of elements, cut once into a piece per thread: most are too small to share out alone.
// Calls f(item, begin, end) for the part of each item that falls into a piece.
template <class Item, class F>
void sweep(const std::vector<Item>& items, F&& f) {
  std::vector<int64_t> starts(1, 0);
  for (const Item& item : items) starts.push_back(starts.back() + item.parameter.numel());
  parallel_for(starts.back(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (std::size_t k = 0; k < items.size(); ++k) {
      const int64_t from = std::max(begin, starts[k]) - starts[k], to = std::min(end, starts[k + 1]) - starts[k];
      if (from < to) f(items[k], from, to);
    }
  });
}

// The items with their gradients laid out as the parameters.
template <class Item>
std::vector<Item> aligned(const std::vector<Item>& items) {
  std::vector<Item> out = items;
  for (Item& item : out) {
    item.gradient = dense(item.gradient, item.parameter.format());
    count_update(item.parameter);
  }
  return out;
}

// Calls f with the element type: f32 or f64.
template <class F>
void dispatch_parameter(const char* op, DType dtype, F&& f) {
  if (dtype == DType::f32) return f(TypeTag<float>{});
  check(dtype == DType::f64, op, "parameters must be f32 or f64, got {}", name(dtype));
  f(TypeTag<double>{});
}

void sgd_piece(const SgdItem& item, const SgdUpdate& u, int64_t i, int64_t end) {
  dispatch_parameter("sgd", item.parameter.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T *p = item.parameter.data<T>(), *v = item.momentum.data<T>();
    const T* g = item.gradient.data<T>();
    const auto rule = updates::rule<T>(u);
    if constexpr (std::is_same_v<T, float>)
      row_kernels().sgd(p + i, g + i, v + i, end - i, rule.lr, rule.momentum, rule.weight_decay, rule.nesterov);
    else
      for (; i < end; ++i) rule(p[i], g[i], v[i]);
  });
}

void adamw_piece(const AdamWItem& item, const AdamWUpdate& u, int64_t i, int64_t end) {
  dispatch_parameter("adamw", item.parameter.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T *p = item.parameter.data<T>(), *m = item.exp_avg.data<T>(), *v = item.exp_avg_sq.data<T>();
    const T* g = item.gradient.data<T>();
    const auto rule = updates::rule<T>(u);
    for (; i < end; ++i) rule(p[i], g[i], m[i], v[i]);
  });
}

void sgd(const std::vector<SgdItem>& items, const SgdUpdate& u) {
  sweep(aligned(items), [&](const SgdItem& item, int64_t begin, int64_t end) { sgd_piece(item, u, begin, end); });
}

void adamw(const std::vector<AdamWItem>& items, const AdamWUpdate& u) {
  sweep(aligned(items), [&](const AdamWItem& item, int64_t begin, int64_t end) { adamw_piece(item, u, begin, end); });
}

void prepare_replay(Device, double, int64_t) {}  // nothing is recorded here: a step takes what it is given

}  // namespace

void fill(OptimKernels& table) {
  table.prepare_replay = prepare_replay;
  table.sgd = sgd;
  table.adamw = adamw;
}

}  // namespace engine::cpu
