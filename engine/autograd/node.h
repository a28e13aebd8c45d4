// The tape: every recorded op leaves a node that knows its inputs and how to turn the gradient of its output into
// theirs.
//
//   Tensor sigmoid(const Tensor& x) {
//     Tensor y = ...;
//     return record("sigmoid", y, {x}, [y = y.detach()](const Tensor& dy, Needs) -> Gradients {
//       return {dy * y * (1 - y)};
//     });
//   }
//
// A closure that needs the op's own output captures y.detach(): capturing y itself would make the node own itself.
#pragma once
#include <array>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "engine/autograd/grad_mode.h"
#include "engine/core/tensor.h"

namespace engine {

// One per input of the op; an undefined tensor means "no gradient".
using Gradients = std::vector<Tensor>;
inline const Tensor none;

// needs[i]: whether input i wants a gradient, so that a backward can skip work nobody asked for.
class Needs {
 public:
  explicit Needs(const std::vector<std::shared_ptr<AutogradMeta>>& inputs) : inputs_(&inputs) {}
  bool operator[](std::size_t i) const { return (*inputs_)[i] != nullptr; }
  std::size_t size() const { return inputs_->size(); }
  // The gradient that input i has got from other ops so far, handed to an op that adds to it as it computes: what it
  // returns for input i is then the sum. Undefined where there is none yet, or where others can see its memory.
  Tensor take(std::size_t i) const;

 private:
  const std::vector<std::shared_ptr<AutogradMeta>>* inputs_;
};

// True when nobody else can see x's memory and each element has its own place in it (not so in expanded views).
inline bool owns_memory(const Tensor& x) { return x.is_unshared() && x.is_dense(x.format()); }

using Backward = std::function<Gradients(const Tensor& dy, Needs needs)>;

struct Node {
  const char* name;
  uint64_t sequence;                                  // grows with every recorded op: inputs come before outputs
  std::vector<std::shared_ptr<AutogradMeta>> inputs;  // null where no gradient is needed
  Backward backward;                                  // emptied once used, which frees what it saved
  ~Node();
};

// What autograd knows of one tensor.
struct AutogradMeta {
  bool requires_grad = false;
  Tensor grad;                 // leaves keep their gradient here; others only while a backward runs
  std::shared_ptr<Node> node;  // the op that made the tensor; null for leaves
  // Called with the finished gradient of this tensor; may return another one to take its place (or an undefined one
  // to leave it).
  std::vector<std::function<Tensor(const Tensor&)>> hooks;
};

// Ties y to its inputs when gradients are enabled and any input wants one; returns y.
Tensor record(const char* name, Tensor y, std::span<const Tensor* const> inputs, Backward backward);
Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, Backward backward);

template <class F>
Tensor record(const char* name, Tensor y, std::initializer_list<std::reference_wrapper<const Tensor>> inputs,
              F&& backward) {
  std::array<const Tensor*, 8> pointers{};
  std::size_t n = 0;
  bool wanted = false;
  for (const Tensor& input : inputs) {
    pointers.at(n++) = &input;
    wanted = wanted || (input.defined() && input.requires_grad());
  }
  if (!wanted || !grad_enabled()) return y;  // before the closure is made into a std::function: no graph is built
  return record(name, std::move(y), std::span<const Tensor* const>(pointers.data(), n),
                Backward(std::forward<F>(backward)));
}

// Calls `hook` with the gradient of x once a backward has it complete.
void register_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook);

}  // namespace engine
