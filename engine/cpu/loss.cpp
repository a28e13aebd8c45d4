// Losses of several classifiers in one pass: image by image, the maths in engine/kernels/ensemble_row.h.
#include <vector>

#include "engine/core/parallel.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/ensemble_row.h"

namespace engine::cpu {
namespace {

template <class T>
using Plain = T*;
template <class T>
using Rows = functors::EnsembleRows<T, Plain>;

// A team of one.
struct Alone {
  int64_t member() const { return 0; }
  int64_t size() const { return 1; }
  template <class T, class F>
  T combine(T value, const F&) const {
    return value;
  }
};

template <class T>
const T* values(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

template <class T>
Rows<T> rows_of(const EnsembleLoss& loss) {
  return functors::ensemble_rows<T, Plain>(loss, values<T>);
}

template <class F>
void for_images(const EnsembleLoss& loss, F&& f) {
  const int64_t per_image = loss.logits[0].size(1) * loss.members();
  parallel_for(loss.labels.numel(), std::max<int64_t>(1, 1024 / std::max<int64_t>(per_image, 1)),
               [&](int64_t n, int64_t end) {
                 for (; n < end; ++n) f(n);
               });
}

template <class T>
void ensemble_as(const EnsembleLoss& loss, const EnsembleLossResult& result) {
  const Rows<T> rows = rows_of<T>(loss);
  const int64_t* labels = loss.labels.data<int64_t>();
  T* shifts = result.shifts.data<T>();
  std::vector<functors::EnsembleTerms<T>> terms(static_cast<std::size_t>(loss.labels.numel()));
  for_images(loss, [&](int64_t n) {
    T* own = shifts + n * rows.shifts_per_row();
    terms[n] = functors::ensemble_terms<T>(Alone{}, rows, n, labels[n], [&](int i, T value) { own[i] = value; });
  });
  double cross_entropy = 0, divergence = 0, weight = 0;
  for (const auto& t : terms) {
    cross_entropy += t.cross_entropy;
    divergence += t.divergence;
    weight += t.weight;
  }
  T* parts = result.parts.data<T>();
  for (const double part : functors::scales_of(loss).parts(cross_entropy, divergence, weight, loss.labels.numel()))
    *parts++ = static_cast<T>(part);
}

template <class T>
void ensemble_backward_as(const EnsembleLoss& loss, const EnsembleLossResult& result, const Tensor& dtotal,
                          const std::vector<Tensor>& dlogits) {
  const Rows<T> rows = rows_of<T>(loss);
  const int64_t* labels = loss.labels.data<int64_t>();
  const T* shifts = result.shifts.data<T>();
  const T given = dtotal.data<T>()[0];
  const T cross_entropy = given * static_cast<T>(loss.cross_entropy) / result.parts.data<T>()[3];
  const T divergence = given * static_cast<T>(loss.divergence) / static_cast<T>(loss.labels.numel());
  std::vector<T*> out;
  for (const Tensor& d : dlogits) out.push_back(d.data<T>());
  for_images(loss, [&](int64_t n) {
    const T* own = shifts + n * rows.shifts_per_row();
    functors::ensemble_gradients<T>(
        Alone{}, rows, n, labels[n], cross_entropy, divergence, [&](int i) { return own[i]; },
        [&](int e, int64_t c, T value) { out[e][n * rows.classes + c] = value; });
  });
}

void ensemble(const EnsembleLoss& loss, const EnsembleLossResult& result) {
  count_losses(loss, 1);
  functors::with_logit_type(loss, [&](auto type) { ensemble_as<decltype(type)>(loss, result); });
}

void ensemble_backward(const EnsembleLoss& loss, const EnsembleLossResult& result, const Tensor& dtotal,
                       const std::vector<Tensor>& dlogits) {
  count_losses(loss, 2);
  functors::with_logit_type(loss,
                            [&](auto type) { ensemble_backward_as<decltype(type)>(loss, result, dtotal, dlogits); });
}

}  // namespace

void fill(LossKernels& table) {
  table.ensemble = ensemble;
  table.ensemble_backward = ensemble_backward;
}

}  // namespace engine::cpu
