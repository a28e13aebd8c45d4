#include "ride/routing/cascade.h"

#include <algorithm>
#include <limits>
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

// The probability to go on, f32, of an assignment module's answers (M, 1) or (M).
Tensor probability(const Tensor& assignment) {
  return engine::cast(engine::sigmoid(engine::reshape(assignment, {assignment.size(0)})), engine::DType::f32);
}

// Which rows of the compacted batch go on, and then which stop.
engine::Partition decide(const Tensor& p, const CascadeOptions& options) {
  const Tensor threshold = Tensor::scalar(options.threshold, p.dtype(), p.device());
  return engine::partition(options.variant == Variant::reference ? engine::less(threshold, p)
                                                                 : engine::less_equal(threshold, p));
}

Tensor first(const Tensor& x, int64_t count) { return engine::slice(x, {.axis = 0, .start = 0, .end = count}); }

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
    const engine::Partition decided =
        decide(probability(assignment(next - 1, features, reference ? mean : own)), options);
    const Tensor& order = decided.index;
    const int64_t on = static_cast<int64_t>(decided.count.item());
    if (on < rows.numel()) {
      const Tensor stop = engine::slice(order, {.axis = 0, .start = on, .end = rows.numel()});
      stopped.add(engine::index_select(mean, 0, stop), engine::index_select(rows, 0, stop), next);
      if (on == 0) return stopped.in_batch_order();
      const Tensor go_on = first(order, on);
      sum = engine::index_select(sum, 0, go_on);
      rows = engine::index_select(rows, 0, go_on);
    }
    features = network.features(next, shared, rows.numel() < images.size(0) ? rows : Tensor());
    own = network.classify(next, features);
    sum = sum + own;
  }
}

namespace {

struct FixedSizes {
  CascadeResult result;
  std::vector<int64_t> needed;  // samples that went on to expert 2, 3, ...
};

// Expert e + 2 on sizes[e] samples. Where more went on than that, the result is not theirs.
FixedSizes cascade_of_sizes(const CascadeNetwork& network, const ExpertAssignment& assignment, const Tensor& images,
                            const CascadeOptions& options, const std::vector<int64_t>& sizes) {
  const engine::NoGradGuard no_grad;
  const int64_t experts = assignment.options().experts, n = images.size(0);
  const auto numbers = [&](int64_t count) { return Tensor::arange(count).to(images.device()); };

  const Tensor shared = network.shared(images);
  Tensor features = network.features(0, shared, {});
  Tensor own = network.classify(0, features);
  Tensor sum = own;                                               // over the experts so far
  Tensor rows = numbers(n), on = engine::less_equal(rows, rows);  // which samples these are, and which still count
  // One row more than there are samples, for what doesn't count.
  Tensor logits = Tensor::zeros({n + 1, own.size(1)}, own.options()), used = Tensor::zeros({n + 1}, rows.options());
  std::vector<Tensor> counts;
  for (int64_t next = 1;; ++next) {
    // The answer of those that stop here; the next expert's takes the place of the others'.
    const Tensor mean = next == 1 ? sum : sum / static_cast<double>(next);
    const Tensor row = engine::where(on, rows, Tensor::scalar(static_cast<double>(n), rows.dtype(), rows.device()));
    logits = engine::scatter(logits, {.axis = 0}, engine::expand_to(engine::unsqueeze(row, 1), mean.shape()), mean);
    used = engine::scatter(used, {.axis = 0}, row, Tensor::full(row.shape(), static_cast<double>(next), row.options()));
    if (next == experts) break;
    const bool reference = options.variant == Variant::reference;
    const Tensor p = probability(assignment(next - 1, features, reference ? mean : own));
    const Tensor never = Tensor::scalar(-std::numeric_limits<double>::infinity(), p.dtype(), p.device());
    const auto [order, count] = decide(engine::where(on, p, never), options);
    counts.push_back(count);
    const int64_t size = std::min(sizes[next - 1], rows.numel());
    if (size == 0) break;
    const Tensor go_on = first(order, size);
    rows = engine::index_select(rows, 0, go_on);
    sum = engine::index_select(sum, 0, go_on);
    on = engine::less(numbers(size), count);
    features = network.features(next, shared, rows);
    own = network.classify(next, features);
    sum = sum + own;
  }
  std::vector<int64_t> needed = engine::concat(counts, 0).to<int64_t>();  // here the host waits
  needed.resize(sizes.size(), 0);                                         // those behind an expert that nobody reached
  return {{first(logits, n), first(used, n)}, needed};
}

}  // namespace

CascadeResult Cascade::operator()(const Tensor& images) {
  const std::size_t further = static_cast<std::size_t>(assignment_.options().experts) - 1;
  const bool fixed = fixed_sizes_ || images.device().type != engine::DeviceType::cpu;
  if (!fixed || further == 0 || images.size(0) == 0) return cascade(network_, assignment_, images, options_);
  constexpr int64_t step = 16;  // samples: sizes that differ little are one size
  std::vector<int64_t> sizes(further, images.size(0));
  for (std::size_t e = 0; e < needed_.size(); ++e) {
    const int64_t some_more = (needed_[e] + needed_[e] / 8 + step) / step * step;
    sizes[e] = needed_[e] == 0 ? 0 : std::min(images.size(0), some_more);
  }
  FixedSizes got = cascade_of_sizes(network_, assignment_, images, options_, sizes);
  for (std::size_t e = 0; e < further; ++e)
    if (got.needed[e] > sizes[e]) {  // once more, with room for all
      got = cascade_of_sizes(network_, assignment_, images, options_, std::vector<int64_t>(further, images.size(0)));
      break;
    }
  needed_.resize(further, 0);
  for (std::size_t e = 0; e < further; ++e) needed_[e] = std::max(needed_[e], got.needed[e]);
  return got.result;
}

}  // namespace ride
