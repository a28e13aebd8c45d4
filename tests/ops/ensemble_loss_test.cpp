#include <doctest/doctest.h>

#include "engine/autograd/backward.h"
#include "engine/core/random.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"

using namespace engine;
using doctest::Approx;

namespace {

Tensor draw(const Shape& shape, uint64_t seed) {
  Generator random(seed);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) value = random.uniform(-1, 1);
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("ensemble_loss is the sum of its members' losses and divergences, one op after the other") {
  const Tensor labels = Tensor::from<int64_t>({2, 0, 3, 3, 1}, {5});
  const Tensor weight = exp(draw({4}, 1)), margins = draw({4}, 2), temperature = exp(draw({4}, 3));
  for (const double smoothing : {0.0, 0.3})
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
      std::vector<Tensor> z;
      for (int e = 0; e < 3; ++e) z.push_back((draw({5, 4}, 10 + e) * 4).detach().set_requires_grad());
      const Tensor zbar = ((z[0] + z[1] + z[2]) / 3).detach();
      const Tensor own = reshape(cast(equal(unsqueeze(labels, 1), Tensor::arange(4)), DType::f64), {5, 4}) * margins;
      const Tensor counted = index_select(weight, 0, labels);
      Tensor entropy, divergence;
      for (const Tensor& member : z) {
        const Tensor each = cross_entropy(
            member - own, labels, {.weight = weight, .label_smoothing = smoothing, .reduction = Reduction::none});
        const Tensor one = reduction == Reduction::mean ? sum(each) / sum(counted) : sum(each);
        const Tensor kl = kl_div(log_softmax(member / temperature, 1), softmax(zbar / temperature, 1));
        entropy = entropy.defined() ? entropy + one : one;
        divergence = divergence.defined() ? divergence + kl : kl;
      }
      const Tensor want = entropy * 0.6 + divergence * -0.45;
      want.backward();
      std::vector<std::vector<double>> gradients;
      for (const Tensor& member : z) {
        gradients.push_back(member.grad().to<double>());
        member.set_grad({});
      }
      const EnsembleLossValue got = ensemble_loss(z, labels,
                                                  {.cross_entropy = 0.6,
                                                   .divergence = -0.45,
                                                   .weight = weight,
                                                   .margins = margins,
                                                   .temperature = temperature,
                                                   .label_smoothing = smoothing,
                                                   .reduction = reduction});
      (got.total * 2).backward();
      CHECK(got.total.item() == Approx(want.item()).epsilon(1e-12));
      CHECK(got.cross_entropy.item() == Approx(entropy.item() * 0.6).epsilon(1e-12));
      CHECK(got.divergence.item() == Approx(divergence.item() * -0.45).epsilon(1e-12));
      CHECK_FALSE(got.cross_entropy.requires_grad());
      for (std::size_t e = 0; e < z.size(); ++e)
        for (std::size_t i = 0; i < 20; ++i)
          CHECK(z[e].grad().to<double>()[i] == Approx(2 * gradients[e][i]).epsilon(1e-10));
    }
}
