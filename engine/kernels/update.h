// What an optimizer does to one element, one source for every back end. T is the parameters' type, float or double.
#pragma once
#include <cmath>

#include "engine/core/host_device.h"
#include "engine/kernels/optim.h"

namespace engine::updates {

// d = g + decay p;  v = momentum v + d;  p -= lr (nesterov ? d + momentum v : v)
template <class T>
struct Sgd {
  T lr, momentum, weight_decay;
  bool nesterov;

  ENGINE_HD void operator()(T& p, T g, T& v) const {
    const T d = g + weight_decay * p;
    v = momentum * v + d;
    p -= lr * (nesterov ? d + momentum * v : v);
  }
};

// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
// p = (1 - lr decay) p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
template <class T>
struct AdamW {
  T beta1, beta2, rest1, rest2, eps;
  T keep, rate, root;

  ENGINE_HD void operator()(T& p, T g, T& m, T& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = p * keep - rate * m / (std::sqrt(v) / root + eps);
  }
};

template <class T>
ENGINE_HD Sgd<T> rule(const SgdUpdate& u) {
  return {static_cast<T>(u.lr), static_cast<T>(u.momentum), static_cast<T>(u.weight_decay), u.nesterov};
}

template <class T>
ENGINE_HD AdamW<T> rule(const AdamWUpdate& u) {
  const double step = static_cast<double>(u.step);
  return {static_cast<T>(u.beta1),
          static_cast<T>(u.beta2),
          static_cast<T>(1 - u.beta1),
          static_cast<T>(1 - u.beta2),
          static_cast<T>(u.eps),
          static_cast<T>(1 - u.lr * u.weight_decay),
          static_cast<T>(u.lr / (1 - std::pow(u.beta1, step))),
          static_cast<T>(std::sqrt(1 - std::pow(u.beta2, step)))};
}

}  // namespace engine::updates
