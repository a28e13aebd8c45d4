#include "ride/routing/cascade.h"

#include <vector>

#include "engine/autograd/grad_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/shape_ops.h"

namespace ride {
namespace {

using engine::Tensor;

// Answers of samples in the order in which they stop, put back into the order of the batch at the end.
struct Stopped {
  std::vector<Tensor> logits, rows, experts_used;  // rows: in the batch

  void add(const Tensor& mean, const Tensor& which, int64_t experts) {
    logits.push_back(mean);
    rows.push_back(which);
    experts_used.push_back(Tensor::full(which.shape(), static_cast<double>(experts), which.options()));
  }
  CascadeResult in_batch_order() const {
    const Tensor row = engine::concat(rows, 0);
    return {to_rows(engine::concat(logits, 0), row), to_rows(engine::concat(experts_used, 0), row)};
  }
  // y[row[i]] = x[i]
  static Tensor to_rows(const Tensor& x, const Tensor& row) {
    const Tensor nothing = Tensor::zeros(x.shape(), x.options());
    const Tensor index = x.rank() == 2 ? engine::expand_to(engine::unsqueeze(row, 1), x.shape()) : row;
    return engine::scatter(nothing, {.axis = 0}, index, x);
  }
};

// Which rows of the compacted batch go on, and then which stop.
engine::Partition decide(const Tensor& assignment, const CascadeOptions& options) {
  const Tensor p = engine::cast(engine::sigmoid(engine::reshape(assignment, {assignment.size(0)})), engine::DType::f32);
  const Tensor threshold = Tensor::scalar(options.threshold, p.dtype(), p.device());
  return engine::partition(options.variant == Variant::reference ? engine::less(threshold, p)
                                                                 : engine::less_equal(threshold, p));
}

}  // namespace

CascadeResult cascade(const CascadeNetwork& network, const ExpertAssignment& assignment, const Tensor& images,
                      const CascadeOptions& options) {
  const engine::NoGradGuard no_grad;
  const int64_t experts = assignment.options().experts;

  Tensor rows = Tensor::arange(images.size(0)).to(images.device());  // of the batch that are still under way
  Stopped stopped;

  const Tensor shared = network.shared(images);
  Tensor features = network.features(0, shared, {});
  Tensor own = network.classify(0, features);
  Tensor sum = own;  // over the experts so far
  for (int64_t next = 1;; ++next) {
    const Tensor mean = next == 1 ? sum : sum / static_cast<double>(next);
    if (next == experts || rows.numel() == 0) {
      stopped.add(mean, rows, next);
      return stopped.in_batch_order();
    }
    const bool reference = options.variant == Variant::reference;
    const auto [order, on] = decide(assignment(next - 1, features, reference ? mean : own), options);
    if (on < rows.numel()) {
      const Tensor stop = engine::slice(order, {.axis = 0, .start = on, .end = rows.numel()});
      stopped.add(engine::index_select(mean, 0, stop), engine::index_select(rows, 0, stop), next);
      if (on == 0) return stopped.in_batch_order();
      const Tensor go_on = engine::slice(order, {.axis = 0, .start = 0, .end = on});
      sum = engine::index_select(sum, 0, go_on);
      rows = engine::index_select(rows, 0, go_on);
    }
    features = network.features(next, shared, rows.numel() < images.size(0) ? rows : Tensor());
    own = network.classify(next, features);
    sum = sum + own;
  }
}

}  // namespace ride
