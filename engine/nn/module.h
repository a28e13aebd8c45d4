// Module: a part of a network that owns parameters (learnt), buffers (kept, not learnt) and other modules, each by
// name.
//
//   class Block : public Module {
//     Conv2d& conv1 = add<Conv2d>("conv1", Conv2dLayerOptions{...});
//     BatchNorm2d& bn1 = add<BatchNorm2d>("bn1", BatchNorm2dOptions{.channels = 16});
//   };
//
// The order of declaration is the order of the state dict.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/state_dict.h"

namespace engine {

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // children are referred to by address
  Module& operator=(const Module&) = delete;

  // --- what it holds: own entries first, then the children's with "<child>." in front, as PyTorch orders them ---
  std::vector<Tensor> parameters() const;
  StateDict named_parameters() const;
  // Parameters and buffers; the handles share this module's storage, so copying into them loads the module.
  StateDict state_dict() const;
  // This module under the name "" and everything below it, parents before children.
  std::vector<std::pair<std::string, const Module*>> named_modules() const;

  // Moves parameters and buffers, their gradients dropped. An optimizer is made after it.
  void to(Device device);
  Device device() const;  // of the parameters; the CPU where there are none

  // --- modes ----------------------------------------------------------------------------------------------------
  // Training mode (batch statistics in batch norm, ...) for this module and all below, frozen ones excepted.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }
  // Whether the parameters collect gradients; a part without is not recorded on the tape.
  void set_requires_grad(bool on);
  // A frozen part stays in eval mode whatever train() its parents get, and its parameters collect no gradients: running
  // statistics of a finished trunk don't move.
  void freeze();
  void unfreeze();
  bool is_frozen() const { return frozen_; }

 protected:
  // Each returns a handle to (or reference to) what it registered. Names are not empty, hold each name once.
  Tensor register_parameter(const std::string& name, Tensor value);  // and switches its gradient on
  Tensor register_buffer(const std::string& name, Tensor value);
  void register_child(const std::string& name, std::shared_ptr<Module> child);
  // Makes a child in place; it lives as long as this module.
  template <class M, class... Args>
  M& add(const std::string& name, Args&&... args) {
    auto child = std::make_shared<M>(std::forward<Args>(args)...);
    register_child(name, child);
    return *child;
  }

 private:
  void check_name(const std::string& name) const;
  void collect(const std::string& prefix, bool with_buffers, StateDict& out) const;
  void collect_modules(const std::string& name, std::vector<std::pair<std::string, const Module*>>& out) const;

  StateDict parameters_, buffers_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  bool training_ = true, frozen_ = false;
};

// A module with one tensor in and one out: what Sequential strings together.
class Layer : public Module {
 public:
  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }
};

}  // namespace engine
