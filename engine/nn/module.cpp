#include "engine/nn/module.h"

#include <algorithm>

namespace engine {
namespace {

template <class Entries>
bool has(const Entries& entries, const std::string& name) {
  return std::ranges::any_of(entries, [&](const auto& entry) { return entry.first == name; });
}

}  // namespace

void Module::check_name(const std::string& name) const {
  check(!name.empty(), "module", "a parameter, buffer or child needs a name");
  check(!has(parameters_, name) && !has(buffers_, name) && !has(children_, name), "module",
        "\"{}\" is registered already: names within a module differ", name);
}

Tensor Module::register_parameter(const std::string& name, Tensor value) {
  check_name(name);
  value.set_requires_grad();
  parameters_.emplace_back(name, value);
  return value;
}

Tensor Module::register_buffer(const std::string& name, Tensor value) {
  check_name(name);
  buffers_.emplace_back(name, value);
  return value;
}

void Module::register_child(const std::string& name, std::shared_ptr<Module> child) {
  check_name(name);
  check(child != nullptr, "module", "child \"{}\" is null", name);
  children_.emplace_back(name, std::move(child));
}

void Module::collect(const std::string& prefix, bool with_buffers, StateDict& out) const {
  for (const auto& [name, tensor] : parameters_) out.emplace_back(prefix + name, tensor);
  if (with_buffers)
    for (const auto& [name, tensor] : buffers_) out.emplace_back(prefix + name, tensor);
  for (const auto& [name, child] : children_) child->collect(prefix + name + ".", with_buffers, out);
}

StateDict Module::named_parameters() const {
  StateDict out;
  collect("", false, out);
  return out;
}

StateDict Module::state_dict() const {
  StateDict out;
  collect("", true, out);
  return out;
}

void Module::to(Device device) {
  for (const auto& [name, tensor] : state_dict()) {
    tensor.set_data(tensor.to(device));
    tensor.set_grad({});
  }
}

Device Module::device() const {
  const StateDict all = state_dict();
  return all.empty() ? Device{} : all[0].second.device();
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> out;
  for (auto& [name, tensor] : named_parameters()) out.push_back(tensor);
  return out;
}

void Module::collect_modules(const std::string& name, std::vector<std::pair<std::string, const Module*>>& out) const {
  out.emplace_back(name, this);
  for (const auto& [child_name, child] : children_)
    child->collect_modules(name.empty() ? child_name : name + "." + child_name, out);
}

std::vector<std::pair<std::string, const Module*>> Module::named_modules() const {
  std::vector<std::pair<std::string, const Module*>> out;
  collect_modules("", out);
  return out;
}

void Module::train(bool on) {
  if (frozen_) return;
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::set_requires_grad(bool on) {
  for (Tensor& parameter : parameters()) parameter.set_requires_grad(on);
}

void Module::freeze() {
  eval();
  frozen_ = true;
  set_requires_grad(false);
}

void Module::unfreeze() {
  frozen_ = false;
  set_requires_grad(true);
}

}  // namespace engine
