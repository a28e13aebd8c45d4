// A checkpoint: everything a run needs to go on, in one safetensors file that other tools can open too.
#pragma once
#include <map>
#include <string>

#include "engine/core/state_dict.h"

namespace engine {

// In the file the tensors are named "model.<name>" and "optimizer.<name>"; `metadata` holds the rest as text (epoch,
// step, random state, resolved recipe, ...).
struct Checkpoint {
  StateDict model;
  StateDict optimizer;
  std::map<std::string, std::string> metadata;

  // The metadata's value for `key`; throws Error naming the key where it is missing or no number. Reals written by
  // fmt's "{}" come back bit for bit.
  const std::string& text(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  double real(const std::string& key) const;
};

// Writes atomically: a failure leaves the previous file as it was.
void save_checkpoint(const std::string& path, const Checkpoint& checkpoint);

// Reads a checkpoint, or a bare safetensors file of weights, which gives a checkpoint without optimizer.
Checkpoint load_checkpoint(const std::string& path);

struct LoadOptions {
  std::string source = "the state dict";  // what to call `from` in errors: the file's path
};

// Copies `from` into the tensors of `into` (handles that share the module's storage; floating types are converted).
// Strict: all missing, extra and differently shaped names are collected into one Error and nothing is copied unless
// everything fits. Names in `from` may carry the prefix `backbone.`, `module.` or `module.backbone.` of the authors'
// checkpoints; their `num_batches_tracked` counters are ignored.
void load_state(const StateDict& from, const StateDict& into, const LoadOptions& options = {});

}  // namespace engine
