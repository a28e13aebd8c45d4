// Batch norm's per-element maths, one source for every back end. T is the compute type (float or double).
#pragma once
#include "engine/kernels/functors.h"
#include "engine/kernels/norm.h"

namespace engine::functors {

// y = relu?((x - mean) scale + bias + residual),  scale = inv_std weight
template <class T>
struct Normalize {
  T mean, scale, bias;
  bool relu;
  ENGINE_HD T operator()(T x, T residual) const {
    const T v = (x - mean) * scale + bias + residual;
    return relu ? Relu<T>{}.forward(v) : v;
  }
};

// What a batch's statistics become: the inverse deviation to normalise by, and their share in the running ones.
template <class T>
struct UpdateStatistics {
  T keep, take, unbiased, eps;
  explicit UpdateStatistics(const BatchNormUpdate& u)
      : keep(static_cast<T>(1 - u.momentum)),
        take(static_cast<T>(u.momentum)),
        unbiased(static_cast<T>(static_cast<double>(u.count) / static_cast<double>(u.count - 1))),
        eps(static_cast<T>(u.eps)) {}
  ENGINE_HD T inv_std(T variance) const { return T(1) / std::sqrt(variance + eps); }
  ENGINE_HD T running_mean(T before, T mean) const { return before * keep + mean * take; }
  ENGINE_HD T running_var(T before, T variance) const { return before * keep + variance * unbiased * take; }
};

// dx = scale (g - mean(g) - z mean(g z)),  z = (x - mean) inv_std,  from dbias = sum g and dweight = sum g z over n
// values. `share` is 1 / n, or 0 where mean and inv_std are constants.
template <class T>
struct NormalizeGradient {
  T mean, scale, per_x, constant;
  ENGINE_HD static NormalizeGradient of(T mean, T inv_std, T weight, T dweight, T dbias, T share) {
    const T scale = inv_std * weight;
    return {mean, scale, -scale * inv_std * (dweight * share), -scale * (dbias * share)};
  }
  ENGINE_HD T operator()(T x, T g) const { return scale * g + per_x * (x - mean) + constant; }
};

// How many values, their mean, and the sum of their squared distances from it, for L series of one length.
template <class T, int L>
struct Moments {
  T count{}, mean[L]{}, squares[L]{};

  // From sums of d = x - pivot and of d^2: a pivot among the values keeps d as small as the values' spread.
  ENGINE_HD static Moments of(T count, const T (&pivot)[L], const T (&sum)[L], const T (&sum_squares)[L]) {
    Moments out;
    out.count = count;
    for (int l = 0; l < L; ++l) {
      const T d = sum[l] / count;
      out.mean[l] = pivot[l] + d;
      out.squares[l] = sum_squares[l] - sum[l] * d;
      if (out.squares[l] < T(0)) out.squares[l] = T(0);
    }
    return out;
  }
  // The union of both, by the formula of Chan, Golub and LeVeque.
  ENGINE_HD void add(const Moments& other) {
    if (other.count == T(0)) return;
    const T share = other.count / (count + other.count);
    for (int l = 0; l < L; ++l) {
      const T d = other.mean[l] - mean[l];
      mean[l] += d * share;
      squares[l] += other.squares[l] + d * d * (count * share);
    }
    count += other.count;
  }
  // The L series as one.
  ENGINE_HD Moments<T, 1> together() const {
    Moments<T, 1> out{count, {mean[0]}, {squares[0]}};
    for (int l = 1; l < L; ++l) out.add({count, {mean[l]}, {squares[l]}});
    return out;
  }
};

}  // namespace engine::functors
