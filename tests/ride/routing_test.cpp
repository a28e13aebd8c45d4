#include "ride/routing/routing_loss.h"

#include <doctest/doctest.h>

#include "engine/autograd/grad_check.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "ride/routing/expert_assignment.h"
#include "tests/error_of.h"
#include "tests/golden.h"

using namespace ride;
using doctest::Approx;
using engine::Tensor;

namespace {

int64_t parameter_count(const engine::Module& module) {
  int64_t count = 0;
  for (const Tensor& p : module.parameters()) count += p.numel();
  return count;
}

// The assignment module whose weights the golden file holds.
std::unique_ptr<ExpertAssignment> golden_assignment(const Golden& golden) {
  auto assignment = std::make_unique<ExpertAssignment>(
      ExpertAssignmentOptions{.experts = 3, .features = 6, .classes = 5, .top_choices = 4});
  for (const auto& [name, tensor] : assignment->state_dict()) engine::copy_into(golden["assignment." + name], tensor);
  return assignment;
}

std::vector<Tensor> as_f32(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) tensor = engine::cast(tensor.detach(), engine::DType::f32);
  return tensors;
}

}  // namespace

TEST_CASE("the assignment module adds the published number of parameters") {
  for (const auto& [experts, parameters] : {std::pair{2, 831}, {3, 1615}, {4, 2399}, {6, 3967}}) {
    const ExpertAssignment assignment({.experts = experts, .features = 48, .classes = 100, .top_choices = 30});
    CHECK(parameter_count(assignment) == parameters);
  }
}

TEST_CASE("the assignment module's state dict has the authors' names") {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : ExpertAssignment({.experts = 3}).state_dict())
    names.push_back(name + tensor.shape().str());
  CHECK(names == std::vector<std::string>{
                     "expert_help_pred_hidden_fcs.0.weight(16, 48)", "expert_help_pred_hidden_fcs.0.bias(16,)",
                     "expert_help_pred_hidden_fcs.1.weight(16, 48)", "expert_help_pred_hidden_fcs.1.bias(16,)",
                     "expert_help_pred_fc.weight(1, 46)", "expert_help_pred_fc.bias(1,)"});
}

TEST_CASE("the assignment module starts Kaiming-normal, with PyTorch's biases") {
  engine::Generator generator(3);
  const ExpertAssignment assignment({.experts = 6, .features = 512}, generator);
  double squares = 0, count = 0;
  for (const auto& [name, tensor] : assignment.named_parameters())
    for (const double w : tensor.to<double>()) {
      const bool hidden = name.find("hidden") != std::string::npos;
      if (name.ends_with("bias")) CHECK(std::abs(w) <= 1 / std::sqrt(hidden ? 512.0 : 46.0));
      if (!hidden || !name.ends_with("weight")) continue;
      squares += w * w;
      ++count;
    }
  CHECK(squares / count == Approx(2.0 / 512).epsilon(0.02));  // 40,960 draws: deviation of the mean square .7 %
}

TEST_CASE("fewer classes than top choices, zero features, an empty batch") {
  const ExpertAssignment assignment({.experts = 2, .features = 6, .classes = 5, .top_choices = 30});
  CHECK(assignment.options().top_choices == 5);
  const Tensor answer = assignment(0, Tensor::zeros({3, 6}), Tensor::zeros({3, 5}));
  for (const float y : answer.to<float>()) CHECK(std::isfinite(y));
  CHECK(assignment(0, Tensor::zeros({0, 6}), Tensor::zeros({0, 5})).shape() == engine::Shape{0});
}

TEST_CASE("routing targets by hand") {
  // Three experts, three classes, label 0. Sample 0: expert 0 wrong, 1 right, mean of both right. Sample 1: only expert
  // 2 right, but too weakly for the mean. Sample 2: expert 0 right, the others wrong.
  const ExpertLogits z = {Tensor::from(std::vector<float>{1, 2, 0, 0, 9, 0, 5, 0, 0}, {3, 3}),
                          Tensor::from(std::vector<float>{4, 0, 0, 0, 9, 0, 0, 9, 0}, {3, 3}),
                          Tensor::from(std::vector<float>{4, 0, 0, 1, 0, 0, 0, 9, 0}, {3, 3})};
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 0, 0}, {3});
  const auto targets = [&](Variant variant, int head) { return routing_targets(z, labels, variant)[head].to<float>(); };
  CHECK(targets(Variant::reference, 0) == std::vector<float>{1, 0, 0});
  CHECK(targets(Variant::reference, 1) == std::vector<float>{0, 0, 0});
  CHECK(targets(Variant::paper, 0) == std::vector<float>{1, 1, 0});
  CHECK(targets(Variant::paper, 1) == std::vector<float>{0, 1, 0});
}

TEST_CASE("routing loss by hand") {
  // One head, sample 0 needs help (target 1), sample 1 does not: (100 log(1 + e^-1) + log(1 + e^2)) / 2.
  const ExpertLogits z = {Tensor::from(std::vector<float>{0, 1, 1, 0}, {2, 2}),
                          Tensor::from(std::vector<float>{3, 1, 1, 0}, {2, 2})};
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 0}, {2});
  const Tensor head = Tensor::from(std::vector<float>{1, 2}, {2});
  const double expected = (100 * std::log1p(std::exp(-1.0)) + std::log1p(std::exp(2.0))) / 2;
  CHECK(routing_loss({head}, z, labels).item() == Approx(expected).epsilon(1e-6));
  const double unweighted = (std::log1p(std::exp(-1.0)) + std::log1p(std::exp(2.0))) / 2;
  CHECK(routing_loss({head}, z, labels, {.pos_weight = 1}).item() == Approx(unweighted).epsilon(1e-6));
}

TEST_CASE("assignment heads, targets and routing loss agree with PyTorch, gradients too") {
  const Golden golden("ride_losses.safetensors");
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    CAPTURE(ride::name(variant));
    const std::string v(ride::name(variant));
    const auto assignment = golden_assignment(golden);
    const ExpertLogits z = as_f32(golden.leaves("expert_logits"));
    const std::vector<Tensor> heads = assignment->heads(as_f32(golden.leaves("features")), z, variant);
    const std::vector<Tensor> targets = routing_targets(z, golden["labels"], variant);
    for (std::size_t i = 0; i < heads.size(); ++i) {
      CHECK(difference(heads[i], golden[fmt::format("head.{}.{}", v, i)]) < 1e-5);
      CHECK(difference(targets[i], golden[fmt::format("target.{}.{}", v, i)]) == 0);
    }
    const Tensor loss = routing_loss(heads, z, golden["labels"], {.variant = variant});
    CHECK(difference(loss, golden["routing." + v]) < 1e-5);
    loss.backward();
    for (const auto& [name, parameter] : assignment->named_parameters())
      CHECK_MESSAGE(difference(parameter.grad(), golden["routing." + v + ".grad." + name]) < 1e-5, name);
  }
}

TEST_CASE("routing loss passes the gradient check") {
  const Golden golden("ride_losses.safetensors");
  const auto result = engine::grad_check(
      [&](const std::vector<Tensor>& heads) {
        return routing_loss(heads, golden.leaves("expert_logits"), golden["labels"]);
      },
      {engine::clone(golden["head.reference.0"]).set_requires_grad(),
       engine::clone(golden["head.reference.1"]).set_requires_grad()});
  CHECK_MESSAGE(result.ok, result.message);
}

TEST_CASE("the assignment module refuses what does not fit") {
  CHECK(error_of([] { ExpertAssignment({.experts = 1}); }).find("1 experts") != std::string::npos);
  const ExpertAssignment assignment({.experts = 2, .features = 6, .classes = 5});
  CHECK(error_of([&] {
          assignment(1, Tensor::zeros({2, 6}), Tensor::zeros({2, 5}));
        }) == "[expert_assignment] no head 1: 2 experts have 1");
  CHECK(error_of([&] {
          assignment(0, Tensor::zeros({2, 7}), Tensor::zeros({2, 5}));
        }) == "[expert_assignment] features must be (N, 6), got (2, 7)");
  CHECK(error_of([&] {
          assignment(0, Tensor::zeros({2, 6}), Tensor::zeros({2, 4}));
        }) == "[expert_assignment] logits must be (2, 5), got (2, 4)");
}
