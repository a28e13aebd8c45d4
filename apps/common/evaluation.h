// Running a model over a test set.
#pragma once
#include <vector>

#include "data/loader.h"
#include "ride/metrics/meter.h"
#include "ride/models/resnet_cifar.h"
#include "ride/routing/cascade.h"

namespace apps {

// The mean logits of all experts, or of the first `experts`.
struct EvaluateOptions {
  int64_t experts = 0;       // 0: all
  bool keep_logits = false;  // fill the tensors of Evaluation
  bool profile = false;      // count the ops of the network (engine/core/profile.h)
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

// The same through the cascade: every sample uses as many experts as `assignment` calls for.
struct CascadeEvaluateOptions {
  ride::CascadeOptions cascade = {};
  bool keep_logits = false;  // runs all experts on every image a second time, for expert_logits alone
  bool profile = false;
};
Evaluation evaluate_cascade(ride::ResNetCifar& model, const ride::ExpertAssignment& assignment,
                            const data::Loader& loader, const std::vector<int64_t>& counts,
                            const CascadeEvaluateOptions& options = {});

}  // namespace apps
