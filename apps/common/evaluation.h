// Running a model over a test set.
#pragma once
#include <vector>

#include "data/loader.h"
#include "ride/metrics/meter.h"
#include "ride/models/resnet_cifar.h"
#include "ride/routing/cascade.h"

namespace apps {

// The answer is the mean logits of all experts, of the first `experts`, or of those that a cascade calls.
struct EvaluateOptions {
  int64_t experts = 0;                                 // 0: all
  const ride::ExpertAssignment* assignment = nullptr;  // not null: of the cascade, which takes no number of experts
  ride::CascadeOptions cascade = {};
  bool keep_logits = false;  // fill the tensors of Evaluation; after a cascade all experts run again for it, untimed
  bool profile = false;      // count the ops of the network (engine/core/profile.h), and no others
};

struct Evaluation {
  ride::Metrics metrics;
  double loss = 0;               // mean cross-entropy of the logits
  engine::Tensor logits;         // (N, C)
  engine::Tensor expert_logits;  // (experts, N, C): of every expert, also of those a cascade did not call
  engine::Tensor labels;         // (N)
  double seconds = 0;            // that the network took
  int64_t batches = 0;
};

// Puts the model into eval mode. The loader gives its batches on the model's device.
Evaluation evaluate(ride::ResNetCifar& model, const data::Loader& loader, const std::vector<int64_t>& counts,
                    const EvaluateOptions& options = {});

}  // namespace apps
