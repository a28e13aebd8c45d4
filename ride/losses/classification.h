// Classification losses L(z, y) over logits (N, C) and labels (N) i64: what RIDE applies to every expert.
#pragma once
#include <memory>
#include <optional>

#include "engine/ops/loss.h"
#include "ride/losses/class_weights.h"

namespace ride {

class ClassificationLoss {
 public:
  virtual ~ClassificationLoss() = default;
  // A scalar. Class weights (when deferred re-weighting has begun) enter as each loss says.
  virtual engine::Tensor operator()(const engine::Tensor& logits, const engine::Tensor& labels) const = 0;
  // This loss of this epoch as a cross-entropy of the engine's, for logits like these; nothing where it is none.
  virtual std::optional<engine::EnsembleLossOptions> as_cross_entropy(const engine::Tensor& logits) const = 0;
  // Tells the loss the epoch, counted from 1, before it begins.
  virtual void set_epoch(int epoch) = 0;
};

struct CrossEntropyLossOptions {
  double label_smoothing = 0;
  DeferredWeights::Options reweighting = {};
};
// Softmax cross-entropy. With class weights the mean is divided by the sum of the weights in the batch.
class CrossEntropyLoss : public ClassificationLoss {
 public:
  explicit CrossEntropyLoss(const ClassCounts& counts, const CrossEntropyLossOptions& options = {});
  engine::Tensor operator()(const engine::Tensor& logits, const engine::Tensor& labels) const override;
  std::optional<engine::EnsembleLossOptions> as_cross_entropy(const engine::Tensor& logits) const override;
  void set_epoch(int epoch) override { weights_.set_epoch(epoch); }

 private:
  DeferredWeights weights_;
  double label_smoothing_;
};

struct FocalOptions {
  double gamma = 1;  // 0 is cross-entropy
  DeferredWeights::Options reweighting = {};
};
// Focal loss (Lin et al., 2017) in the form of LDAM-DRW's baselines: mean over the batch of (1 - e^-c)^gamma c with
// c = w_y CE, so that e^-c is p_y without weights. Divided by N, not by the sum of the weights.
class FocalLoss : public ClassificationLoss {
 public:
  explicit FocalLoss(const ClassCounts& counts, const FocalOptions& options = {});
  engine::Tensor operator()(const engine::Tensor& logits, const engine::Tensor& labels) const override;
  std::optional<engine::EnsembleLossOptions> as_cross_entropy(const engine::Tensor&) const override { return {}; }
  void set_epoch(int epoch) override { weights_.set_epoch(epoch); }

 private:
  DeferredWeights weights_;
  double gamma_;
};

struct LdamOptions {
  double max_margin = 0.5;
  double scale = 30;  // s by which the cosine head has multiplied the logits already
  DeferredWeights::Options reweighting = {};
};
// LDAM (Cao et al., 2019): cross-entropy after z_y -= s m_y; the logits come scaled by s. With a reweight_epoch:
// LDAM-DRW.
class LdamLoss : public ClassificationLoss {
 public:
  explicit LdamLoss(const ClassCounts& counts, const LdamOptions& options = {});
  engine::Tensor operator()(const engine::Tensor& logits, const engine::Tensor& labels) const override;
  std::optional<engine::EnsembleLossOptions> as_cross_entropy(const engine::Tensor& logits) const override;
  void set_epoch(int epoch) override { weights_.set_epoch(epoch); }

 private:
  DeferredWeights weights_;
  Constant margins_;  // (C): s m_i
};

}  // namespace ride
