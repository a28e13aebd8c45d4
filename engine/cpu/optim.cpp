#include <cmath>

#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/row_kernels.h"
#include "engine/cpu/table.h"

namespace engine::cpu {
namespace {

constexpr int64_t grain = 1 << 14;

// A gradient laid out as its parameter.
Tensor aligned(const Tensor& gradient, const Tensor& parameter) { return dense(gradient, parameter.format()); }

void sgd(const std::vector<SgdItem>& items, const SgdUpdate& u) {
  for (const SgdItem& item : items) {
    const Tensor g = aligned(item.gradient, item.parameter);
    profile::add_work(6.0 * static_cast<double>(g.numel()), 5.0 * static_cast<double>(g.numel() * size_of(g.dtype())));
    if (item.parameter.dtype() == DType::f32) {
      float *p = item.parameter.data<float>(), *v = item.momentum.data<float>();
      const float* pg = g.data<float>();
      parallel_for(g.numel(), grain, [&](int64_t i, int64_t end) {
        row_kernels().sgd(p + i, pg + i, v + i, end - i, static_cast<float>(u.lr), static_cast<float>(u.momentum),
                          static_cast<float>(u.weight_decay), u.nesterov);
      });
      continue;
    }
    check(item.parameter.dtype() == DType::f64, "sgd", "parameters must be f32 or f64, got {}",
          name(item.parameter.dtype()));
    double *p = item.parameter.data<double>(), *v = item.momentum.data<double>();
    const double* pg = g.data<double>();
    for (int64_t i = 0; i < g.numel(); ++i) {
      const double d = pg[i] + u.weight_decay * p[i];
      v[i] = u.momentum * v[i] + d;
      p[i] -= u.lr * (u.nesterov ? d + u.momentum * v[i] : v[i]);
    }
  }
}

template <class T>
void adamw_one(const AdamWItem& item, const Tensor& gradient, const AdamWUpdate& u) {
  T *p = item.parameter.data<T>(), *m = item.exp_avg.data<T>(), *v = item.exp_avg_sq.data<T>();
  const T* g = gradient.data<T>();
  const double step = static_cast<double>(u.step);
  const double root = std::sqrt(1 - std::pow(u.beta2, step)), rate = u.lr / (1 - std::pow(u.beta1, step));
  parallel_for(gradient.numel(), grain, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      m[i] = static_cast<T>(u.beta1) * m[i] + static_cast<T>(1 - u.beta1) * g[i];
      v[i] = static_cast<T>(u.beta2) * v[i] + static_cast<T>(1 - u.beta2) * g[i] * g[i];
      const T scale = std::sqrt(v[i]) / static_cast<T>(root) + static_cast<T>(u.eps);
      p[i] = p[i] * static_cast<T>(1 - u.lr * u.weight_decay) - static_cast<T>(rate) * m[i] / scale;
    }
  });
}

void adamw(const std::vector<AdamWItem>& items, const AdamWUpdate& u) {
  for (const AdamWItem& item : items) {
    const Tensor g = aligned(item.gradient, item.parameter);
    if (item.parameter.dtype() == DType::f32)
      adamw_one<float>(item, g, u);
    else
      adamw_one<double>(item, g, u);
  }
}

}  // namespace

void fill(OptimKernels& table) {
  table.sgd = sgd;
  table.adamw = adamw;
}

}  // namespace engine::cpu
