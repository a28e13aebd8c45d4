// The cascade at test time: a sample goes from expert to expert until the assignment module lets it stop; experts it
// does not reach are not computed for it (paper section 3.3).
#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"
#include "ride/routing/expert_assignment.h"
#include "ride/variant.h"

namespace ride {

// A multi-expert network as the cascade sees it. Rows stay samples everywhere.
struct CascadeNetwork {
  std::function<engine::Tensor(const engine::Tensor& images)> shared;  // (N, ...) -> (N, ...)
  // Of the samples `rows` (M) of `shared`, of all of them where it is undefined: (N, ...) -> (M, d)
  std::function<engine::Tensor(int64_t expert, const engine::Tensor& shared, const engine::Tensor& rows)> features;
  std::function<engine::Tensor(int64_t expert, const engine::Tensor& features)> classify;  // (M, d) -> (M, C)
};

// For a network with these three as members. It is referred to, not copied, and must be in eval mode.
template <class Network>
CascadeNetwork cascade_network(Network& network) {
  using engine::Tensor;
  return {.shared = [&network](const Tensor& images) { return network.shared(images); },
          .features = [&network](int64_t expert, const Tensor& h,
                                 const Tensor& rows) { return network.features(expert, h, rows); },
          .classify = [&network](int64_t expert, const Tensor& f) { return network.classify(expert, f); }};
}

struct CascadeOptions {
  // reference: heads see the mean so far, a sample goes on when its probability > threshold.
  // paper: heads see the last expert's own logits, it goes on when the probability >= threshold.
  Variant variant = Variant::reference;
  double threshold = 0.5;
};

struct CascadeResult {
  engine::Tensor logits;        // (N, C): mean over the experts used
  engine::Tensor experts_used;  // (N) i64, from 1 to n
};

// Runs the first expert on all images and every further one on the samples that go on, as a smaller batch.
// Records nothing for backward. All is decided and moved on the device of the images; the host waits once an expert,
// for the number of samples that go on: the size of the next batch.
CascadeResult cascade(const CascadeNetwork& network, const ExpertAssignment& assignment, const engine::Tensor& images,
                      const CascadeOptions& options = {});

// The same, batch after batch. A device would idle while the host waits for it to learn the size of the next expert's
// batch, and has to plan its convolutions anew for every size. There an expert is run on as many samples as earlier
// batches needed and an eighth more, those that go on first; the others' answers are not used. The host waits once a
// batch, and a batch that needs more is done again with room for all.
class Cascade {
 public:
  // The assignment is referred to, and so is what the network refers to. `fixed_sizes`: as on a device on the CPU too.
  Cascade(CascadeNetwork network, const ExpertAssignment& assignment, const CascadeOptions& options = {},
          bool fixed_sizes = false)
      : network_(std::move(network)), assignment_(assignment), options_(options), fixed_sizes_(fixed_sizes) {}
  CascadeResult operator()(const engine::Tensor& images);

 private:
  CascadeNetwork network_;
  const ExpertAssignment& assignment_;
  CascadeOptions options_;
  bool fixed_sizes_;
  std::vector<int64_t> needed_;  // most samples that went on to expert 2, 3, ...; empty before the first batch
};

}  // namespace ride
