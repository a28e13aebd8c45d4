#include "engine/autograd/backward.h"

#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "engine/autograd/autocast.h"
#include "engine/autograd/node.h"
#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"

namespace engine {
namespace {

// grad += part. The first part is taken as it is; a later one is added in place where that can't be seen elsewhere.
void accumulate(Tensor& grad, Tensor part) {
  if (!grad.defined())
    grad = std::move(part);
  else if (owns_memory(grad))
    add_in_place(grad, part);
  else
    grad = grad + part;
}

// What a leaf keeps is its own and dense, so that clipping or scaling it in place touches nothing else: the gradient of
// a sum is an expanded view, and both sides of a + b receive the same tensor.
Tensor owned(Tensor part) {
  if (owns_memory(part)) return part;
  Tensor copy = empty_like(part);
  kernels(part).elementwise.copy(part, copy);
  return copy;
}

Tensor run_hooks(const AutogradMeta& meta, Tensor gradient) {
  for (const auto& hook : meta.hooks)
    if (Tensor replaced = hook(gradient); replaced.defined()) gradient = std::move(replaced);
  return gradient;
}

struct LaterFirst {
  bool operator()(const std::shared_ptr<AutogradMeta>& a, const std::shared_ptr<AutogradMeta>& b) const {
    return a->node->sequence < b->node->sequence;
  }
};

}  // namespace

// Nodes carry rising sequence numbers and inputs are made before outputs, so taking the highest number first visits
// every node after all of its consumers: a topological order without a separate pass over the graph.
void backward(const Tensor& root, const Tensor& gradient) {
  check(root.requires_grad(), "backward", "nothing to differentiate: no input of this tensor requires a gradient");
  check(root.shape() == gradient.shape(), "backward", "gradient {} does not fit tensor {}", gradient.shape(),
        root.shape());
  const NoGradGuard no_grad;
  const Autocast as_recorded(DType::f32);  // gradients have the types of what they are the gradients of

  std::priority_queue<std::shared_ptr<AutogradMeta>, std::vector<std::shared_ptr<AutogradMeta>>, LaterFirst> ready;
  std::vector<std::pair<std::shared_ptr<AutogradMeta>, Tensor>> leaves;  // each leaf's gradient of this walk
  std::unordered_set<AutogradMeta*> seen;
  std::unordered_map<AutogradMeta*, std::size_t> leaf_index;

  auto deliver = [&](const std::shared_ptr<AutogradMeta>& meta, Tensor part) {
    if (meta->node) {
      accumulate(meta->grad, std::move(part));
      if (seen.insert(meta.get()).second) ready.push(meta);
    } else {
      auto [at, fresh] = leaf_index.try_emplace(meta.get(), leaves.size());
      if (fresh) leaves.emplace_back(meta, Tensor());
      accumulate(leaves[at->second].second, std::move(part));
    }
  };

  deliver(root.autograd(), gradient);
  while (!ready.empty()) {
    std::shared_ptr<AutogradMeta> meta = ready.top();
    ready.pop();
    Node& node = *meta->node;
    check(static_cast<bool>(node.backward), "backward", "the graph through {} was already used: run the forward again",
          node.name);
    Tensor dy = run_hooks(*meta, std::exchange(meta->grad, Tensor()));
    Gradients parts;
    {
      profile::Scope scope(node.name, " backward");
      parts = std::exchange(node.backward, nullptr)(dy, Needs(node.inputs));
    }
    dy = Tensor();
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (parts[i].defined() && node.inputs[i]) deliver(node.inputs[i], std::move(parts[i]));
    node.inputs.clear();
  }
  for (auto& [meta, part] : leaves) {
    part = run_hooks(*meta, std::move(part));
    if (meta->grad.defined())
      accumulate(meta->grad, std::move(part));
    else
      meta->grad = owned(std::move(part));
  }
}

void Tensor::backward() const {
  check(numel() == 1, "backward", "without a gradient needs a tensor of one element, got {}", shape());
  engine::backward(*this, full(shape(), 1, options()));
}

void Tensor::backward(const Tensor& gradient) const { engine::backward(*this, gradient); }

}  // namespace engine
