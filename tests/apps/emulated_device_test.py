"""The programs with --device cuda, on the device that tests/emulator makes of the CPU.

A step there takes a third of a second. So images are cut down to 8x8 pixels,
the training set to 44 of them (20 down to 5 a class), in five batches of 8 and one of 4, and two epochs make a run. The
second epoch's loss is another one than the first's (reweight_epoch of tiny.toml).
"""
import functools
import json
import re
import shutil
import signal
import unittest

from support import (BUILD, THREADS, Temporary, checkpoint, differing_tensors, error_of, floats, metrics,
                     model_arguments, needs_fashion, read_safetensors, run, stop_early, temporary_folder, tiny_fashion,
                     train_arguments)

TRAIN, EVALUATE, ROUTE, PREDICT, BENCH = (
    BUILD / f"tests/emulator/ride-{name}-emulated" for name in ("train", "evaluate", "route", "predict", "bench"))
# f32 factors unrounded, so that both devices compute the same but for the order of sums.
CUDA = ["--device", "cuda", "--tf32", "off"]
SMALL = {"data__image_size": 8, "augment__crop_padding": 1, "data__largest": 20}
# 26 images in a batch of 16 and one of 10, one loss throughout; the test set is looked at once, at the end.
TWO_BATCHES = SMALL | {"data__largest": 12, "data__batch": 16, "loss__reweight_epoch": -1, "schedule__epochs": 4,
                       "schedule__evaluate_every": 4}


@functools.cache
def trained():
    """Run folder of a training on the device. Tests only read it."""
    out = temporary_folder() / "run"
    run(TRAIN, *train_arguments(out, *CUDA, **SMALL))
    return out


@functools.cache
def routed():
    """Run folder of an assignment stage for that model, on the device. Tests only read it."""
    out = temporary_folder() / "run"
    run(ROUTE, *model_arguments(checkpoint(trained()), **SMALL, route__epochs=1), "--out", out, *CUDA, *THREADS)
    return out


def log(out):
    return (out / "train.log").read_text()


def ops(table):
    """What --profile prints: {op: [ms, share, calls, ...]}."""
    return {row[:36].strip(): row[36:].split() for row in table.splitlines() if row[36:46].strip()}


@needs_fashion
class Training(Temporary):
    def test_names_its_device(self):
        self.assertIn("emulated device", json.loads((trained() / "run.json").read_text())["device"])
        self.assertEqual([line["step"] for line in metrics(trained())], [6, 12])

    def test_recorded_steps_are_the_same_training(self):
        run(TRAIN, *train_arguments(self.folder, *CUDA, "--graph", **SMALL))
        # Of an epoch's five full batches two run before the third is recorded; for another loss it is done again.
        self.assertEqual(re.findall(r"steps replayed: (\d+)", log(self.folder)), ["3", "3"])
        self.assertEqual(metrics(self.folder), metrics(trained()))
        self.assertEqual(differing_tensors(checkpoint(self.folder), checkpoint(trained())), [])

    def test_first_step_is_the_cpus(self):
        # One batch of everything and one update; the loss before it, and the test set's after it.
        lines = []
        for program, device in ((TRAIN, CUDA), ("train", [])):
            out = self.folder / str(len(lines))
            run(program, *train_arguments(out, *device, **SMALL, data__batch=64, schedule__epochs=1))
            lines += metrics(out)
        for key in ("train/loss", "train/loss_diversity", "val/loss"):
            self.assertAlmostEqual(lines[0][key], lines[1][key], delta=1e-3 * abs(lines[1][key]), msg=key)

    def test_stopped_and_resumed(self):
        out, whole, on_cpu = (self.folder / name for name in ("out", "whole", "on-cpu"))
        code, said = stop_early(train_arguments(out, *CUDA, **TWO_BATCHES), signal.SIGTERM, program=TRAIN)
        self.assertEqual(code, 143, said)
        self.assertIn("stopped by signal 15 at epoch 1 step 1", said)
        shutil.copytree(out, on_cpu)

        # What it goes on with is the smaller batch, which comes a third time in epoch 3. It is the full one that is
        # recorded, in epoch 4.
        run(TRAIN, *train_arguments(out, *CUDA, "--graph", "--resume", "auto", **TWO_BATCHES))
        self.assertEqual(re.findall(r"steps replayed: (\d+)", log(out)), ["0", "0", "0", "1"])
        run(TRAIN, *train_arguments(whole, *CUDA, **TWO_BATCHES))
        self.assertEqual(metrics(out), metrics(whole))
        self.assertEqual(differing_tensors(checkpoint(out), checkpoint(whole)), [])

        run("train", *train_arguments(on_cpu, "--resume", "auto", **TWO_BATCHES))
        self.assertEqual(json.loads((on_cpu / "run.json").read_text())["device"], "cpu")
        here, there = metrics(on_cpu), metrics(whole)
        self.assertEqual([line["step"] for line in here], [line["step"] for line in there])
        self.assertAlmostEqual(here[0]["train/loss"], there[0]["train/loss"], delta=1e-3 * there[0]["train/loss"])

    def test_loss_that_is_not_finite(self):
        # The host looks at losses some steps later here, all together: the step it names is the right one.
        said = run(TRAIN, *train_arguments(self.folder, *CUDA, **SMALL, optim__lr=1e30), code=1).stdout
        self.assertRegex(said, r"loss is -?(nan|inf) at epoch 1 step 2: stopped; no checkpoint was written yet")
        self.assertEqual(list((self.folder / "checkpoints").iterdir()), [])

    def test_profile_is_of_the_devices_time(self):
        said = run(TRAIN, *train_arguments(self.folder, *CUDA, "--profile", **SMALL)).stdout
        table = ops(said)
        self.assertEqual(table["sgd"][2], "12")  # every step of both epochs
        self.assertEqual(table["conv2d"][2], str(12 * (11 + 2 * 20)))  # and nothing of the evaluations
        # The host gives the device its work in a hundredth of the time that this takes.
        seconds = sum(float(taken) for taken in re.findall(r"  ([\d.]+) s, \d+ images/s", said))
        self.assertGreater(float(table["sum"][0]) / 1e3, 0.2 * seconds)


@needs_fashion
class Inference(Temporary):
    def logits(self, program, file, *more):
        """(what ride-evaluate says, logits of the answer)"""
        saved = self.folder / "logits.safetensors"
        said = run(program, *model_arguments(file, **SMALL), *more, *THREADS, "--json", "--save-logits", saved).stdout
        return json.loads(said), floats(read_safetensors(saved)[0]["logits"])

    def assertSameAnswers(self, file, *more):
        (there, got), (here, wanted) = self.logits(EVALUATE, file, *CUDA, *more), self.logits("evaluate", file, *more)
        scale = max(map(abs, wanted))
        self.assertLess(max(abs(a - b) for a, b in zip(got, wanted, strict=True)), 1e-4 * scale)
        # Two logits may be as near to each other as that.
        self.assertAlmostEqual(there["accuracy"], here["accuracy"], delta=1.5 / here["samples"])
        self.assertEqual(there["samples_by_experts"], here["samples_by_experts"])
        self.assertAlmostEqual(there["loss"], here["loss"], delta=1e-4 * here["loss"])

    def test_evaluation(self):
        self.assertSameAnswers(checkpoint(trained()))
        said = json.loads(run(EVALUATE, *model_arguments(checkpoint(trained()), **SMALL), *CUDA, "--json").stdout)
        self.assertEqual(said["accuracy"], metrics(trained())[-1]["val/acc"])

    def test_cascade(self):
        self.assertEqual([line["epoch"] for line in metrics(routed())], [1])
        for threshold in (0, 1):  # all experts, the first alone: no probability that rounding moves across
            self.assertSameAnswers(checkpoint(routed()), "--threshold", threshold)

    def test_prediction(self):
        images = sorted((tiny_fashion() / "test/bag").iterdir())[:2]
        arguments = [*model_arguments(checkpoint(routed()), **SMALL), "--threshold", 0, *images]
        there = run(PREDICT, *arguments, *CUDA).stdout
        here = run("predict", *arguments).stdout
        self.assertEqual(re.findall(r"\(\d of 2 experts\)\n.*", there), re.findall(r"\(\d of 2 experts\)\n.*", here))
        self.assertEqual(there.count("(2 of 2 experts)"), 2)

    def test_profile(self):
        said = run(EVALUATE, *model_arguments(checkpoint(routed()), **SMALL), "--threshold", 1, *CUDA, "--profile")
        # The stem, layer1 and two stages of both experts: nothing is known yet of how many samples go on.
        self.assertEqual(float(ops(said.stderr)["conv2d_fused"][2]), 51)
        self.assertIn("measured peaks", said.stderr)


class Bench(Temporary):
    def test_step(self):
        small = ["--model", "ride-1", "--batch", 2, "--image-size", 8, "--steps", 1, *CUDA]
        for mode in ("train", "infer"):
            with self.subTest(mode=mode):
                line = json.loads(run(BENCH, *small, "--mode", mode, "--warmup", 2, "--graph", "--json").stdout)
                self.assertEqual((line["device"], line["graph"]), ("cuda", True))
                self.assertGreater(line["peak_mib"], 0.1)  # of the device's memory
        self.assertEqual(ops(run(BENCH, *small, "--warmup", 0, "--profile").stderr)["conv2d"][2], "31")
        self.assertIn("batch_lanes is a format of the CPU", error_of(BENCH, *small, "--format", "batch_lanes"))


@needs_fashion
class Missing(Temporary):
    def test_device_that_is_not_there(self):
        model = model_arguments(checkpoint(trained()), **SMALL)
        image = next((tiny_fashion() / "test/bag").iterdir())
        for program, arguments in ((TRAIN, train_arguments(self.folder / "run")), (EVALUATE, model),
                                   (ROUTE, [*model, "--out", self.folder / "run"]), (PREDICT, [*model, image]),
                                   (BENCH, ["--batch", 1])):
            with self.subTest(program=program.name):
                self.assertIn("there is no cuda:7: this machine has 1 CUDA device",
                              error_of(program, *arguments, "--device", "cuda:7"))
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
