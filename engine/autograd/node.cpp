#include "engine/autograd/node.h"

#include <atomic>

namespace engine {
namespace {

std::atomic<uint64_t> next_sequence{0};

AutogradMeta& meta_of(const Tensor& x) {
  if (!x.autograd()) x.set_autograd(std::make_shared<AutogradMeta>());
  return *x.autograd();
}

}  // namespace

// A dropped graph can be a chain of any length: take it apart in a loop, not by recursion through the destructors.
Node::~Node() {
  backward = nullptr;
  std::vector<std::shared_ptr<AutogradMeta>> doomed = std::move(inputs);
  while (!doomed.empty()) {
    std::shared_ptr<AutogradMeta> meta = std::move(doomed.back());
    doomed.pop_back();
    if (!meta || meta.use_count() > 1 || !meta->node || meta->node.use_count() > 1) continue;
    Node& node = *meta->node;
    node.backward = nullptr;
    for (auto& input : node.inputs) doomed.push_back(std::move(input));
    node.inputs.clear();
  }
}

Tensor Needs::take(std::size_t i) const {
  AutogradMeta* meta = (*inputs_)[i].get();
  if (!meta || !meta->node || !meta->grad.defined() || !owns_memory(meta->grad)) return {};
  return std::exchange(meta->grad, Tensor());
}

Tensor record(const char* name, Tensor y, std::span<const Tensor* const> inputs, Backward backward) {
  auto node = std::make_shared<Node>();
  node->name = name;
  node->sequence = next_sequence++;
  node->inputs.reserve(inputs.size());
  for (const Tensor* input : inputs)
    node->inputs.push_back(input->defined() && input->requires_grad() ? input->autograd() : nullptr);
  node->backward = std::move(backward);
  auto meta = std::make_shared<AutogradMeta>();
  meta->requires_grad = true;
  meta->node = std::move(node);
  y.set_autograd(std::move(meta));
  return y;
}

Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, Backward backward) {
  bool wanted = false;
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) {
    pointers.push_back(&input);
    wanted = wanted || (input.defined() && input.requires_grad());
  }
  if (!wanted || !grad_enabled()) return y;
  return record(name, std::move(y), std::span<const Tensor* const>(pointers), std::move(backward));
}

bool Tensor::requires_grad() const { return impl_->autograd && impl_->autograd->requires_grad; }

Tensor& Tensor::set_requires_grad(bool on) {
  AutogradMeta& meta = meta_of(*this);
  check(!meta.node, "set_requires_grad", "only leaves can change it; detach() the tensor made by {} first",
        meta.node ? meta.node->name : "");
  check(!on || is_floating(dtype()), "set_requires_grad", "only floating point tensors have gradients, this is {}",
        str());
  meta.requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return impl_->autograd ? impl_->autograd->grad : Tensor(); }

void Tensor::set_grad(const Tensor& grad) const { meta_of(*this).grad = grad; }

void register_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook) {
  check(x.requires_grad(), "register_hook", "the tensor has no gradient: call set_requires_grad() first");
  x.autograd()->hooks.push_back(std::move(hook));
}

}  // namespace engine
