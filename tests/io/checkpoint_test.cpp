#include "engine/io/checkpoint.h"

#include <doctest/doctest.h>

#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace engine;

TEST_CASE("checkpoint: model, optimizer and metadata come back") {
  const TemporaryFolder folder;
  const std::string path = folder / "last.safetensors";
  Checkpoint saved;
  saved.model = {{"conv1.weight", Tensor::full({2, 3}, 1.5)}, {"bn1.running_mean", Tensor::full({2}, -1)}};
  saved.optimizer = {{"momentum.conv1.weight", Tensor::full({2, 3}, 0.25)}};
  saved.metadata = {{"epoch", "7"}, {"best", fmt::format("{}", 1.0 / 3)}, {"recipe", "seed = 1\n"}};
  save_checkpoint(path, saved);

  const Checkpoint loaded = load_checkpoint(path);
  REQUIRE(loaded.model.size() == 2);
  CHECK(loaded.model[0].first == "conv1.weight");
  CHECK(loaded.model[0].second.to<float>() == std::vector<float>(6, 1.5f));
  CHECK(loaded.model[1].first == "bn1.running_mean");
  REQUIRE(loaded.optimizer.size() == 1);
  CHECK(loaded.optimizer[0].first == "momentum.conv1.weight");
  CHECK(loaded.integer("epoch") == 7);
  CHECK(loaded.real("best") == 1.0 / 3);
  CHECK(loaded.text("recipe") == "seed = 1\n");
  CHECK(contains(error_of([&] { loaded.text("step"); }), "\"step\""));
  CHECK(contains(error_of([&] { loaded.integer("recipe"); }), "no number"));
  CHECK(contains(error_of([&] { loaded.integer("best"); }), "no number"));
}

TEST_CASE("checkpoint: a bare file of weights is a model; foreign tensors and versions are errors") {
  const TemporaryFolder folder;
  const std::string path = folder / "weights.safetensors";
  save_safetensors(path, {{"model.odd", Tensor::full({1}, 1)}, {"linear.weight", Tensor::full({1}, 2)}});
  const Checkpoint bare = load_checkpoint(path);
  CHECK(bare.model.size() == 2);
  CHECK(bare.model[0].first == "model.odd");
  CHECK(bare.optimizer.empty());

  save_safetensors(path, {{"linear.weight", Tensor::full({1}, 2)}}, {{"checkpoint_version", "1"}});
  CHECK(contains(error_of([&] { load_checkpoint(path); }), "\"linear.weight\" belongs to neither"));
  save_safetensors(path, {}, {{"checkpoint_version", "2"}});
  CHECK(contains(error_of([&] { load_checkpoint(path); }), "version 2"));
}

TEST_CASE("load_state: copies into the module's own storage, whatever layout and floating type") {
  const Tensor weight = Tensor::zeros({2, 3, 2, 2}, {.format = MemoryFormat::channels_last});
  const Tensor bias = Tensor::zeros({3});
  const StateDict module{{"weight", weight}, {"bias", bias}};
  std::vector<float> values(24);
  for (int i = 0; i < 24; ++i) values[i] = static_cast<float>(i);
  load_state({{"bias", Tensor::full({3}, 2.5, {.dtype = DType::bf16})}, {"weight", Tensor::from(values, {2, 3, 2, 2})}},
             module);
  CHECK(weight.to<float>() == values);
  CHECK(weight.is_dense(MemoryFormat::channels_last));
  CHECK(bias.to<float>() == std::vector<float>(3, 2.5f));
  load_state({{"bias", Tensor::full({3}, 0.5, {.dtype = DType::f64})}, {"weight", weight}}, module);
  CHECK(bias.to<float>() == std::vector<float>(3, 0.5f));
}

TEST_CASE("load_state: the authors' prefixes and batch counters are accepted") {
  for (const std::string prefix : {"", "backbone.", "module.", "module.backbone."}) {
    const Tensor weight = Tensor::zeros({2});
    load_state({{prefix + "bn1.weight", Tensor::full({2}, 3)},
                {prefix + "bn1.num_batches_tracked", Tensor::scalar(85, DType::i64)}},
               {{"bn1.weight", weight}});
    CHECK(weight.to<float>() == std::vector<float>(2, 3));
  }
}

TEST_CASE("load_state: one error lists every name that doesn't fit, and nothing is copied") {
  const Tensor fits = Tensor::zeros({2}), reshaped = Tensor::zeros({3}), missing = Tensor::zeros({4}),
               counts = Tensor::zeros({1});
  const StateDict module{
      {"fits", fits}, {"reshaped", reshaped}, {"missing.a", missing}, {"missing.b", missing}, {"counts", counts}};
  const StateDict file{{"fits", Tensor::full({2}, 1)},
                       {"reshaped", Tensor::full({3, 1}, 1)},
                       {"extra.a", Tensor::full({5}, 1)},
                       {"extra.b", Tensor::full({6}, 1)},
                       {"counts", Tensor::full({1}, 1, {.dtype = DType::i64})},
                       {"backbone.fits", Tensor::full({2}, 9)}};
  const std::string error = error_of([&] { load_state(file, module, {.source = "old.safetensors"}); });
  CHECK(contains(error, "old.safetensors doesn't fit this model, nothing was loaded"));
  for (const char* part :
       {"extra    extra.a (5,)", "extra    extra.b (6,)", "missing  missing.a (4,)", "missing  missing.b (4,)",
        "reshaped is (3, 1), the model needs (3,)", "counts is i64, the model needs f32", "repeated backbone.fits"})
    CHECK_MESSAGE(contains(error, part), part << " in " << error);
  CHECK(fits.to<float>() == std::vector<float>(2, 0));
}
