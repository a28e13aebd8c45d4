// The maths of EnsembleLoss for one image, one source for every back end: a team of threads goes over the classes, on
// the CPU a team of one. A Team has member(), size() and combine(value, f): the values of all members put together.
#pragma once
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/host_device.h"
#include "engine/kernels/functors.h"
#include "engine/kernels/loss.h"

namespace engine::functors {

template <class T>
struct Larger {
  ENGINE_HD T operator()(T a, T b) const { return b > a ? b : a; }
};

// The batch as a kernel reads it. Pointer is how the back end names its memory.
template <class T, template <class> class Pointer>
struct EnsembleRows {
  Pointer<const T> logits[EnsembleLoss::most_members];
  Pointer<const T> weight, margins, temperature;  // may be null
  int64_t classes;
  int members;
  bool diverse;  // whether there is a divergence
  T smoothing;

  ENGINE_DEVICE T weight_of(int64_t c) const { return weight ? static_cast<T>(weight[c]) : T(1); }
  ENGINE_DEVICE T per_temperature(int64_t c) const {
    return temperature ? T(1) / static_cast<T>(temperature[c]) : T(1);
  }
  ENGINE_DEVICE T logit(int e, int64_t n, int64_t c) const { return logits[e][n * classes + c]; }
  ENGINE_DEVICE T mean(int64_t n, int64_t c) const {
    T sum = logit(0, n, c);
    for (int e = 1; e < members; ++e) sum += logit(e, n, c);
    return sum / static_cast<T>(members);
  }
  ENGINE_DEVICE T less_margin(int e, int64_t n, int64_t c, int64_t label) const {
    return logit(e, n, c) - (margins && c == label ? static_cast<T>(margins[c]) : T(0));
  }
  ENGINE_DEVICE int64_t shifts_per_row() const { return 1 + 2 * members; }
};

// address(tensor): a Pointer<const T>, null for an undefined tensor.
template <class T, template <class> class Pointer, class Address>
EnsembleRows<T, Pointer> ensemble_rows(const EnsembleLoss& loss, const Address& address) {
  EnsembleRows<T, Pointer> rows{.logits = {},
                                .weight = address(loss.weight),
                                .margins = address(loss.margins),
                                .temperature = address(loss.temperature),
                                .classes = loss.logits[0].size(1),
                                .members = static_cast<int>(loss.members()),
                                .diverse = loss.divergence != 0,
                                .smoothing = static_cast<T>(loss.label_smoothing)};
  for (int e = 0; e < rows.members; ++e) rows.logits[e] = address(loss.logits[e]);
  return rows;
}

// Calls f(T()) with the logits' type.
template <class F>
void with_logit_type(const EnsembleLoss& loss, const F& f) {
  if (loss.logits[0].dtype() == DType::f64)
    f(double());
  else
    f(float());
}

// What the sums over all images become: EnsembleLossResult's parts.
struct EnsembleScales {
  double cross_entropy, divergence;
  bool mean;

  ENGINE_HD std::array<double, 4> parts(double entropy_sum, double divergence_sum, double weight_sum,
                                        int64_t images) const {
    const double weight = mean ? weight_sum : 1, entropy = entropy_sum * (cross_entropy / weight);
    const double apart = divergence != 0 ? divergence_sum * (divergence / static_cast<double>(images)) : 0;
    return {entropy + apart, entropy, apart, weight};
  }
};
inline EnsembleScales scales_of(const EnsembleLoss& loss) { return {loss.cross_entropy, loss.divergence, loss.mean}; }

// sum f(c) over all classes
template <class T, class Team, class F>
ENGINE_DEVICE T sum_classes(const Team& team, int64_t classes, const F& f) {
  T sum = 0;
  ENGINE_NO_UNROLL
  for (int64_t c = team.member(); c < classes; c += team.size()) sum += f(c);
  return team.combine(sum, Add<T>{});
}

// log sum e^f(c)
template <class T, class Team, class F>
ENGINE_DEVICE T log_sum_exp(const Team& team, int64_t classes, const F& f) {
  T top = -std::numeric_limits<T>::infinity();
  ENGINE_NO_UNROLL
  for (int64_t c = team.member(); c < classes; c += team.size()) top = Larger<T>{}(top, f(c));
  top = team.combine(top, Larger<T>{});
  return top + std::log(sum_classes<T>(team, classes, [&](int64_t c) { return std::exp(f(c) - top); }));
}

template <class T>
struct EnsembleTerms {
  T cross_entropy{}, divergence{}, weight{};  // sums over the members; w_y
};

// save(i, value) keeps shift i of the row.
template <class T, class Team, class Rows, class Save>
ENGINE_DEVICE EnsembleTerms<T> ensemble_terms(const Team& team, const Rows& r, int64_t n, int64_t label,
                                              const Save& save) {
  EnsembleTerms<T> terms;
  terms.weight = r.weight_of(label);
  const auto target = [&](int64_t c) { return r.mean(n, c) * r.per_temperature(c); };
  const T target_shift = r.diverse ? log_sum_exp<T>(team, r.classes, target) : T(0);
  save(0, target_shift);
  ENGINE_NO_UNROLL
  for (int e = 0; e < r.members; ++e) {
    const auto z = [&](int64_t c) { return r.less_margin(e, n, c, label); };
    const T shift = log_sum_exp<T>(team, r.classes, z);
    save(1 + 2 * e, shift);
    const T own = terms.weight * (shift - z(label));
    T all = 0;
    if (r.smoothing > T(0))
      all = sum_classes<T>(team, r.classes, [&](int64_t c) { return r.weight_of(c) * (shift - z(c)); });
    terms.cross_entropy += (T(1) - r.smoothing) * own + r.smoothing / static_cast<T>(r.classes) * all;
    if (!r.diverse) continue;
    // sum q (log q - log p), where log q = target - target_shift and log p = softened - softened_shift
    const auto softened = [&](int64_t c) { return r.logit(e, n, c) * r.per_temperature(c); };
    const T softened_shift = log_sum_exp<T>(team, r.classes, softened);
    save(2 + 2 * e, softened_shift);
    terms.divergence += softened_shift - target_shift + sum_classes<T>(team, r.classes, [&](int64_t c) {
                          return std::exp(target(c) - target_shift) * (target(c) - softened(c));
                        });
  }
  return terms;
}

// d/dz of one row: with p = softmax(z - margin), q and r the softened predictions of the mean and of the member,
//   cross entropy   (1 - s) w_y (p - [c = y]) + s/C (p sum w - w)
//   divergence      (r - q) / T
// times `cross_entropy` and `divergence`. shift(i) is what save() was given, write(e, c, value) takes the results.
template <class T, class Team, class Rows, class Shift, class Write>
ENGINE_DEVICE void ensemble_gradients(const Team& team, const Rows& r, int64_t n, int64_t label, T cross_entropy,
                                      T divergence, const Shift& shift, const Write& write) {
  const T own = (T(1) - r.smoothing) * r.weight_of(label), spread = r.smoothing / static_cast<T>(r.classes);
  T all = 0;
  if (r.smoothing > T(0)) all = sum_classes<T>(team, r.classes, [&](int64_t c) { return r.weight_of(c); });
  ENGINE_NO_UNROLL
  for (int64_t c = team.member(); c < r.classes; c += team.size()) {
    const T per_temperature = r.per_temperature(c);
    const T q = r.diverse ? std::exp(r.mean(n, c) * per_temperature - shift(0)) : T(0);
    ENGINE_NO_UNROLL
    for (int e = 0; e < r.members; ++e) {
      const T p = std::exp(r.less_margin(e, n, c, label) - shift(1 + 2 * e));
      T g = cross_entropy * (own * (p - (c == label ? T(1) : T(0))) + spread * (p * all - r.weight_of(c)));
      if (r.diverse) {
        const T softened = std::exp(r.logit(e, n, c) * per_temperature - shift(2 + 2 * e));
        g += divergence * (softened - q) * per_temperature;
      }
      write(e, c, g);
    }
  }
}

}  // namespace engine::functors
