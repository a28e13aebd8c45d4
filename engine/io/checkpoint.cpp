#include "engine/io/checkpoint.h"

#include <charconv>
#include <string_view>
#include <unordered_map>

#include "engine/io/safetensors.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

// Marks a file as a checkpoint and tells its version; a file without it is a bare file of weights.
constexpr const char* version_key = "checkpoint_version";
constexpr const char* version = "1";
// A checkpoint's floats may be stored in another precision than the model's; other types must be the same.
bool convertible(DType from, DType into) { return from == into || (is_floating(from) && is_floating(into)); }

constexpr std::string_view model_prefix = "model.", optimizer_prefix = "optimizer.";

template <class T>
T parse_number(const std::string& key, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "checkpoint", "metadata \"{}\" is \"{}\", no number",
        key, text);
  return value;
}

std::string without_prefix(const std::string& name) {
  for (const std::string_view prefix : {"module.backbone.", "backbone.", "module."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

}  // namespace

const std::string& Checkpoint::text(const std::string& key) const {
  const auto found = metadata.find(key);
  check(found != metadata.end(), "checkpoint", "has no \"{}\" in its metadata: not written by this program?", key);
  return found->second;
}

int64_t Checkpoint::integer(const std::string& key) const { return parse_number<int64_t>(key, text(key)); }
double Checkpoint::real(const std::string& key) const { return parse_number<double>(key, text(key)); }

void save_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  StateDict tensors;
  for (const auto& [name, tensor] : checkpoint.model) tensors.emplace_back(std::string(model_prefix) + name, tensor);
  for (const auto& [name, tensor] : checkpoint.optimizer)
    tensors.emplace_back(std::string(optimizer_prefix) + name, tensor);
  std::map<std::string, std::string> metadata = checkpoint.metadata;
  metadata.insert_or_assign("format", std::string("pt"));
  metadata.insert_or_assign(version_key, std::string(version));
  save_safetensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const std::string& path) {
  SafetensorsFile file = load_safetensors(path);
  Checkpoint checkpoint;
  checkpoint.metadata = std::move(file.metadata);
  const auto found = checkpoint.metadata.find(version_key);
  if (found == checkpoint.metadata.end()) {
    checkpoint.model = std::move(file.tensors);
    return checkpoint;
  }
  check(found->second == version, "checkpoint", "{}: version {}, this program reads version {}", path, found->second,
        version);
  for (auto& [name, tensor] : file.tensors) {
    if (name.starts_with(model_prefix)) {
      checkpoint.model.emplace_back(name.substr(model_prefix.size()), tensor);
    } else {
      check(name.starts_with(optimizer_prefix), "checkpoint",
            "{}: tensor \"{}\" belongs to neither model nor optimizer", path, name);
      checkpoint.optimizer.emplace_back(name.substr(optimizer_prefix.size()), tensor);
    }
  }
  return checkpoint;
}

void load_state(const StateDict& from, const StateDict& into, const LoadOptions& options) {
  std::string problems;
  std::unordered_map<std::string, const Tensor*> wanted;
  for (const auto& [name, tensor] : into) wanted.emplace(name, &tensor);

  std::unordered_map<std::string, const Tensor*> given;
  for (const auto& [full, tensor] : from) {
    if (full.ends_with("num_batches_tracked")) continue;
    const std::string name = wanted.contains(full) ? full : without_prefix(full);
    if (!wanted.contains(name))
      problems += fmt::format("\n  extra    {} {}", full, tensor.shape());
    else if (!given.emplace(name, &tensor).second)
      problems += fmt::format("\n  repeated {} {}", full, tensor.shape());
  }
  for (const auto& [name, tensor] : into) {
    const auto found = given.find(name);
    if (found == given.end())
      problems += fmt::format("\n  missing  {} {}", name, tensor.shape());
    else if (found->second->shape() != tensor.shape())
      problems +=
          fmt::format("\n  shape    {} is {}, the model needs {}", name, found->second->shape(), tensor.shape());
    else if (!convertible(found->second->dtype(), tensor.dtype()))
      problems += fmt::format("\n  dtype    {} is {}, the model needs {}", name, engine::name(found->second->dtype()),
                              engine::name(tensor.dtype()));
  }
  check(problems.empty(), "load_state", "{} doesn't fit this model, nothing was loaded:{}", options.source, problems);
  for (const auto& [name, tensor] : into) copy_into(given.at(name)->to(tensor.device()), tensor);
}

}  // namespace engine
