#include "apps/common/run_folder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/common/version.h"
#include "engine/io/atomic_file.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace apps;

namespace {
const RunFolderOptions quiet{.echo = false};
}

TEST_CASE("run folder: its files stand where the convention says") {
  const TemporaryFolder temporary;
  RunFolder run(temporary / "runs/first", quiet);
  CHECK(std::filesystem::is_directory(temporary / "runs/first/checkpoints"));
  CHECK(std::filesystem::is_directory(temporary / "runs/first/figures"));
  CHECK(run.checkpoint("last") == temporary / "runs/first/checkpoints/last.safetensors");
  run.write_recipe("seed = 1\n");
  CHECK(engine::read_text(temporary / "runs/first/recipe.toml") == "seed = 1\n");
  run.log("epoch 1 done");
  run.log("epoch 2 done");
  const std::string log = engine::read_text(run.file("train.log"));
  CHECK(contains(log, "  epoch 1 done\n"));
  CHECK(log.find("epoch 1") < log.find("epoch 2"));
}

TEST_CASE("run folder: run.json says what ran") {
  const TemporaryFolder temporary;
  const RunFolder run(temporary.path.string(), quiet);
  run.write_run({.command = {"ride-train", "-r", "a b.toml", "\xff"},
                 .seed = 7,
                 .device = "cpu",
                 .threads = 2,
                 .versions = {{"onednn", "3.2"}}});
  const auto json = nlohmann::json::parse(engine::read_text(run.file("run.json")));
  CHECK(json["command"][2] == "a b.toml");
  CHECK(json["seed"] == 7);
  CHECK(json["device"] == "cpu");
  CHECK(json["threads"] == 2);
  CHECK(json["git_revision"] == git_revision());
  CHECK((git_revision() == "unknown" || git_revision().size() == 40));
  CHECK(json["versions"]["ride"] == version());
  CHECK(json["versions"]["compiler"] == compiler());
  CHECK(json["versions"]["onednn"] == "3.2");
  CHECK(json["started"].get<std::string>().size() == 19);
}

TEST_CASE("run folder: metrics are on the disk at once, one JSON object a line") {
  const TemporaryFolder temporary;
  RunFolder run(temporary.path.string(), quiet);
  run.metrics(85, 0, {{"train/loss", 1.0 / 3}, {"val/acc_few", std::nan("")}});
  const std::string text = engine::read_text(run.file("metrics.jsonl"));
  CHECK(text == "{\"step\":85,\"epoch\":0,\"train/loss\":0.3333333333333333,\"val/acc_few\":null}\n");
}

TEST_CASE("run folder: a resumed run drops what it will write again, and half a line") {
  const TemporaryFolder temporary;
  const std::string folder = temporary.path.string();
  {
    RunFolder run(folder, quiet);
    run.log("before");
    for (const int64_t step : {50, 85, 100, 170}) run.metrics(step, step / 85, {{"lr", 0.1}});
  }
  const std::string path = temporary / "metrics.jsonl";
  engine::write_text_atomically(path, engine::read_text(path) + "{\"step\":6");
  RunFolder run(folder, {.resume_step = 85, .echo = false});
  run.metrics(100, 1, {{"lr", 0.2}});
  CHECK(engine::read_text(path) ==
        "{\"step\":50,\"epoch\":0,\"lr\":0.1}\n{\"step\":85,\"epoch\":1,\"lr\":0.1}\n{\"step\":100,\"epoch\":1,\"lr\":"
        "0.2}\n");
  CHECK(contains(engine::read_text(temporary / "train.log"), "before"));
}

TEST_CASE("run folder: a new run in an old folder starts its logs anew and keeps the old checkpoint aside") {
  const TemporaryFolder temporary;
  const std::string folder = temporary.path.string();
  {
    RunFolder old(folder, quiet);
    old.log("old");
    old.metrics(1, 0, {});
    CHECK(old.last_good_checkpoint() == "no checkpoint was written yet");
    engine::write_text_atomically(old.checkpoint("last"), "weights");
    engine::write_text_atomically(old.checkpoint("best"), "best weights");
    CHECK(old.last_good_checkpoint() == "the last good checkpoint is " + old.checkpoint("last"));
    CHECK(checkpoint_to_resume("auto", folder) == old.checkpoint("last"));
  }
  const RunFolder run(folder, quiet);
  CHECK(engine::read_text(run.file("train.log")).empty());
  CHECK(engine::read_text(run.file("metrics.jsonl")).empty());
  CHECK(engine::read_text(run.checkpoint("previous")) == "weights");
  CHECK(engine::read_text(run.checkpoint("previous-best")) == "best weights");
  CHECK_FALSE(std::filesystem::exists(run.checkpoint("best")));
  CHECK(checkpoint_to_resume("auto", folder).empty());
  CHECK(checkpoint_to_resume("", folder).empty());
  CHECK(checkpoint_to_resume("x.safetensors", folder) == "x.safetensors");
}

TEST_CASE("run folder: it knows the checkpoints of its own run, by whatever path") {
  const TemporaryFolder temporary;
  const RunFolder run(temporary / "runs/first", quiet);
  CHECK(is_run_of(temporary / "runs/first", run.checkpoint("last")));
  CHECK(is_run_of(temporary / "runs/./first/", temporary / "runs/../runs/first/checkpoints/best.safetensors"));
  CHECK(is_run_of(temporary / "runs/first", temporary / "runs/first/weights.safetensors"));
  std::filesystem::create_directory_symlink(temporary / "runs/first", temporary / "link");
  CHECK(is_run_of(temporary / "link", run.checkpoint("last")));
  CHECK_FALSE(is_run_of(temporary / "runs/second", run.checkpoint("last")));
  CHECK_FALSE(is_run_of(temporary / "runs", run.checkpoint("last")));
}

TEST_CASE("run folder: a place that can't hold one is an error with its path") {
  const TemporaryFolder temporary;
  engine::write_text_atomically(temporary / "file", "");
  CHECK(contains(error_of([&] { RunFolder run(temporary / "file/run", quiet); }), temporary / "file/run"));
  CHECK(contains(error_of([&] { RunFolder run(temporary / "file", quiet); }), temporary / "file"));
}
