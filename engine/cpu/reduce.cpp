#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>
#include <vector>

#include "engine/cpu/dense.h"
#include "engine/cpu/strided.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/order.h"

namespace engine::cpu {
namespace {

// Sums are kept in double (i64 for i64), so that no order of addition matters much.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, int64_t>, int64_t, double>;

// For every element of y one strided loop over the axes that are summed.
void sum(const Tensor& any, double scale, const Tensor& y) {
  const Tensor x = strided(any);
  count_rows(x, 1, 1);
  const auto [outer, inner, terms] = plan_sum(x, y);
  auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Sum<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    auto one = [&](const T* base) {
      S total = 0;
      if (terms > 0)
        run_range(inner, 0, terms, [&](int64_t n, auto at, auto step) {
          for (int64_t i = 0; i < n; ++i) total += static_cast<S>(static_cast<Compute<T>>(base[at[0] + i * step[0]]));
        });
      return static_cast<T>(
          static_cast<Compute<T>>(scale == 1 ? total : static_cast<S>(static_cast<double>(total) * scale)));
    };
    parallel_for(outer.shape.numel(), std::max<int64_t>(1, loop_grain / std::max<int64_t>(terms, 1)),
                 [&](int64_t begin, int64_t end) {
                   run_range(outer, begin, end, [&](int64_t n, auto at, auto step) {
                     for (int64_t i = 0; i < n; ++i) py[at[1] + i * step[1]] = one(px + at[0] + i * step[0]);
                   });
                 });
  };
  if (x.dtype() == DType::i64)
    run(TypeTag<int64_t>{});
  else
    dispatch_floating(x.dtype(), "sum", run);
}

void argmax(const Tensor& x, int axis, const Tensor& index) {
  const int64_t n = x.shape()[axis], step = x.strides()[axis];
  const auto loop = plan_loop<2>(index.shape(), {x.strides().erased(axis), index.strides()});
  int64_t* out = index.data<int64_t>();
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T* px = x.data<T>();
    run_parallel(loop, [&](int64_t count, auto at, auto steps) {
      for (int64_t i = 0; i < count; ++i) {
        const T* row = px + at[0] + i * steps[0];
        int64_t best = 0;
        for (int64_t j = 1; j < n; ++j)
          if (greater(static_cast<C>(row[j * step]), static_cast<C>(row[best * step]))) best = j;
        out[at[1] + i * steps[1]] = best;
      }
    });
  });
}

// An element as `sort` compares it: its key, then its position, so that equal elements keep their order, in a partial
// sort too. One number holds both where they fit.
template <class Key>
class Entry {
 public:
  Entry() = default;
  Entry(Key key, int64_t position) : key_(key), position_(position) {}
  int64_t position() const { return position_; }
  auto operator<=>(const Entry&) const = default;

 private:
  Key key_;
  int64_t position_;
};
template <>
class Entry<uint32_t> {
 public:
  Entry() = default;
  Entry(uint32_t key, int64_t position) : both_(uint64_t{key} << 32 | static_cast<uint32_t>(position)) {}
  int64_t position() const { return static_cast<uint32_t>(both_); }
  auto operator<=>(const Entry&) const = default;

 private:
  uint64_t both_;
};

// Positions of the first k elements in order.
void sort(const Tensor& x, bool descending, const Tensor& index) {
  const int64_t n = x.size(-1), k = index.size(-1), rows = n ? x.numel() / n : 0;
  int64_t* out = index.data<int64_t>();
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    using Key = SortKey<C>;
    const T* px = x.data<T>();
    check(sizeof(Key) == 8 || n <= std::numeric_limits<uint32_t>::max(), "sort", "an axis of {} is too long", n);
    parallel_for(rows, std::max<int64_t>(1, 4096 / std::max<int64_t>(n, 1)), [&](int64_t r, int64_t end) {
      std::vector<Entry<Key>> entries(static_cast<std::size_t>(n));
      for (; r < end; ++r) {
        for (int64_t i = 0; i < n; ++i)
          entries[static_cast<std::size_t>(i)] = {sort_key(static_cast<C>(px[r * n + i]), descending), i};
        if (k == n)
          std::sort(entries.begin(), entries.end());
        else
          std::partial_sort(entries.begin(), entries.begin() + k, entries.end());
        for (int64_t i = 0; i < k; ++i) out[r * k + i] = entries[static_cast<std::size_t>(i)].position();
      }
    });
  });
}

template <class F>
void for_rows(const Tensor& x, F&& f) {
  const int64_t n = x.rank() ? x.size(-1) : 1, rows = n ? x.numel() / n : 0;
  parallel_for(rows, std::max<int64_t>(1, 8192 / std::max<int64_t>(n, 1)), [&](int64_t r, int64_t end) {
    for (; r < end; ++r) f(r * n, n);
  });
}

void softmax(const Tensor& x, bool log, const Tensor& y) {
  count_rows(x, 2, 4);  // maximum, difference, sum, quotient; the exponential is not counted
  dispatch_floating(x.dtype(), "softmax", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    for_rows(x, [&](int64_t at, int64_t n) {
      C top = -std::numeric_limits<C>::infinity();
      for (int64_t i = 0; i < n; ++i) top = std::max(top, static_cast<C>(px[at + i]));
      C total = 0;
      for (int64_t i = 0; i < n; ++i) {
        const C e = std::exp(static_cast<C>(px[at + i]) - top);
        total += e;
        if (!log) py[at + i] = static_cast<T>(e);
      }
      const C shift = top + std::log(total);
      for (int64_t i = 0; i < n; ++i)
        py[at + i] = log ? static_cast<T>(static_cast<C>(px[at + i]) - shift)
                         : static_cast<T>(static_cast<C>(py[at + i]) / total);
    });
  });
}

void softmax_backward(const Tensor& y, const Tensor& dy, bool log, const Tensor& dx) {
  count_rows(y, 3, 4);
  dispatch_floating(y.dtype(), "softmax", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T *py = y.data<T>(), *pdy = dy.data<T>();
    T* pdx = dx.data<T>();
    for_rows(y, [&](int64_t at, int64_t n) {
      C total = 0;
      for (int64_t i = 0; i < n; ++i)
        total += log ? static_cast<C>(pdy[at + i]) : static_cast<C>(pdy[at + i]) * static_cast<C>(py[at + i]);
      for (int64_t i = 0; i < n; ++i) {
        const C p = static_cast<C>(py[at + i]), d = static_cast<C>(pdy[at + i]);
        pdx[at + i] = static_cast<T>(log ? d - std::exp(p) * total : p * (d - total));
      }
    });
  });
}

}  // namespace

void fill(ReduceKernels& table) {
  table.sum = sum;
  table.argmax = argmax;
  table.sort = sort;
  table.softmax = softmax;
  table.softmax_backward = softmax_backward;
}

}  // namespace engine::cpu
