// What kernels report to the profiler: one set of rules for every back end, so that the tables of two devices compare.
// Each does nothing while the profiler is off.
#pragma once
#include "engine/core/profile.h"
#include "engine/core/tensor.h"
#include "engine/kernels/loss.h"

namespace engine {

inline double bytes_of(const Tensor& x) {
  return static_cast<double>(x.numel()) * static_cast<double>(size_of(x.dtype()));
}

// An operation for each element of y; so many tensors like it are read or written, y itself among them.
inline void count_elementwise(const Tensor& y, int tensors) {
  if (profile::enabled()) profile::add_work(static_cast<double>(y.numel()), tensors * bytes_of(y));
}

// Values that are moved, and the index that says where to or from.
inline void count_moved(const Tensor& values, const Tensor& index) {
  if (profile::enabled()) profile::add_work(0, 2 * bytes_of(values) + bytes_of(index));
}

// Batch norm: so many tensors like x are read or written. What it computes hides behind that.
inline void count_norm(const Tensor& x, int tensors) {
  if (profile::enabled()) profile::add_work(0, tensors * bytes_of(x));
}

// Sums and softmax: tensors like x that are read or written, operations on each of its elements.
inline void count_rows(const Tensor& x, int tensors, int operations) {
  if (profile::enabled()) profile::add_work(operations * static_cast<double>(x.numel()), tensors * bytes_of(x));
}

// The losses of several classifiers: four operations on each logit for each of its softmaxes, exponentials among them.
inline void count_losses(const EnsembleLoss& loss, int tensors) {
  if (!profile::enabled()) return;
  const double members = static_cast<double>(loss.members()), softmaxes = loss.divergence != 0 ? 2 : 1;
  profile::add_work(4 * softmaxes * members * static_cast<double>(loss.logits[0].numel()),
                    tensors * members * bytes_of(loss.logits[0]));
}

// What is read and written once, without arithmetic to speak of: pooling's large and small side, an image's bytes and
// floats.
inline void count_passed(const Tensor& a, const Tensor& b) {
  if (profile::enabled()) profile::add_work(0, bytes_of(a) + bytes_of(b));
}

// An optimizer's step: parameter and momentum are read and written, the gradient is read.
inline void count_update(const Tensor& parameter) {
  if (profile::enabled()) profile::add_work(6 * static_cast<double>(parameter.numel()), 5 * bytes_of(parameter));
}

// A convolution in any of its passes, as the multiplications of the direct one; each operand is touched once.
inline void count_conv(const Shape& x, const Shape& w, const Shape& y, DType dtype) {
  if (!profile::enabled()) return;
  const double operands = static_cast<double>(x.numel() + w.numel() + y.numel());
  profile::add_work(2.0 * static_cast<double>(y.numel() * w[1] * w[2] * w[3]),
                    operands * static_cast<double>(size_of(dtype)));
}

inline void count_matmul(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (profile::enabled())
    profile::add_work(2.0 * static_cast<double>(y.numel() * a.size(-1)), bytes_of(a) + bytes_of(b) + bytes_of(y));
}

}  // namespace engine
