"""ride-evaluate, ride-route and ride-predict on a tiny trained model, and on weights that PyTorch made."""
import functools
import json
import re
import signal
import unittest
from array import array

from support import (CLASSES, ROOT, THREADS, TINY, Temporary, checkpoint, differing_tensors, error_of, floats, metrics,
                     model_arguments, needs_fashion, overrides, read_safetensors, run, stop_early, temporary_folder,
                     tiny_fashion, trained, write_fashion, write_safetensors)

TEST_IMAGES = 200


def evaluate(file, *more):
    return json.loads(run("evaluate", *model_arguments(file), *THREADS, "--json", *more).stdout)


def saved_logits(path):
    """logits [image][class], expert_logits [expert][image][class], labels"""
    tensors, _ = read_safetensors(path)

    def rows(values, width):
        return [values[at:at + width] for at in range(0, len(values), width)]

    images, classes = tensors["logits"][1]
    flat = rows(floats(tensors["expert_logits"]), classes)
    assert tensors["expert_logits"][1] == [len(flat) // images, images, classes]
    assert (tensors["labels"][0], tensors["labels"][1]) == ("I64", [images])
    return rows(floats(tensors["logits"]), classes), rows(flat, images), array("q", tensors["labels"][2])


@needs_fashion
class Evaluate(Temporary):
    def test_gives_what_the_training_saw(self):
        result = evaluate(checkpoint(trained()))
        self.assertEqual(result["accuracy"], metrics(trained())[-1]["val/acc"])
        self.assertEqual(result["samples"], TEST_IMAGES)
        self.assertEqual(result["samples_per_class"], [50] * 4)
        self.assertEqual(result["class_names"], list(CLASSES))
        self.assertEqual(result["train_counts"], [120, 75, 47, 30])
        self.assertEqual(result["samples_by_experts"], [0, TEST_IMAGES])

    def test_saved_logits(self):
        file = self.folder / "logits.safetensors"
        result = evaluate(checkpoint(trained()), "--save-logits", file)
        logits, experts, labels = saved_logits(file)
        self.assertEqual((len(logits), len(logits[0]), len(experts)), (TEST_IMAGES, 4, 2))
        for mean, *parts in zip(logits, *experts):
            for value, *terms in zip(mean, *parts):
                self.assertAlmostEqual(value, sum(terms) / 2, delta=1e-5 * max(1, abs(value)))
        right = sum(max(range(4), key=row.__getitem__) == label for row, label in zip(logits, labels))
        self.assertEqual(right / TEST_IMAGES, result["accuracy"])
        self.assertNotEqual(experts[0], experts[1])

    def test_first_experts_only(self):
        every, one = self.folder / "every.safetensors", self.folder / "one.safetensors"
        all_cost = evaluate(checkpoint(trained()), "--save-logits", every)
        result = evaluate(checkpoint(trained()), "--experts", 1, "--save-logits", one)
        self.assertEqual(saved_logits(one)[0], saved_logits(every)[1][0])
        self.assertEqual(result["experts_used"], 1)
        self.assertLess(result["macs"], all_cost["macs"])
        error = error_of("evaluate", *model_arguments(checkpoint(trained())), "--experts", 3)
        self.assertIn("3 experts", error)

    def test_threshold_needs_routing(self):
        error = error_of("evaluate", *model_arguments(checkpoint(trained())), "--threshold", 0.5)
        self.assertIn("ride-route", error)

    def test_table(self):
        said = run("evaluate", *model_arguments(checkpoint(trained()))).stdout
        for text in ("many", "medium", "few", f"{TEST_IMAGES} images", "MACs"):
            self.assertIn(text, said)


def route_arguments(out, *more):
    return [*model_arguments(checkpoint(trained())), "--out", out, *THREADS, *more]


@functools.cache
def routed():
    """Run folder of a finished assignment stage. Tests only read it."""
    out = temporary_folder() / "run"
    run("route", *route_arguments(out))
    return out


@needs_fashion
class Route(Temporary):
    def test_trains_the_assignment_and_nothing_else(self):
        before, _ = read_safetensors(checkpoint(trained()))
        after, _ = read_safetensors(checkpoint(routed()))
        changed = {name for name in after if name.startswith("model.") and after[name] != before.get(name)}
        self.assertEqual(changed, {f"model.expert_help_pred_{part}" for part in (
            "hidden_fcs.0.weight", "hidden_fcs.0.bias", "fc.weight", "fc.bias")})
        self.assertEqual([line["epoch"] for line in metrics(routed())], [1, 2])

    def test_stopped_and_resumed(self):
        arguments = route_arguments(self.folder, "--resume", "auto")
        exit_code, said = stop_early(arguments, signal.SIGTERM, program="route")
        self.assertEqual(exit_code, 143, said)
        run("route", *arguments)
        self.assertEqual(differing_tensors(checkpoint(self.folder), checkpoint(routed())), [])
        self.assertEqual(metrics(self.folder), metrics(routed()))

    def test_refuses_the_folder_of_its_model(self):
        before = checkpoint(trained()).read_bytes()
        error = error_of("route", *route_arguments(trained()))
        self.assertIn(str(trained()), error)
        self.assertEqual(checkpoint(trained()).read_bytes(), before)

    def test_threshold_decides_how_many_experts_run(self):
        file = checkpoint(routed())
        one, some, both = (evaluate(file, "--threshold", threshold) for threshold in (1, 0.5, 0))
        self.assertEqual([one["experts_used"], both["experts_used"]], [1, 2])
        self.assertEqual(one["accuracy"], evaluate(file, "--experts", 1)["accuracy"])
        self.assertEqual(both["accuracy"], evaluate(file, "--no-routing")["accuracy"])
        self.assertEqual(sum(some["samples_by_experts"]), TEST_IMAGES)
        self.assertLess(one["macs"], both["macs"])
        self.assertTrue(one["macs"] <= some["macs"] <= both["macs"])

    def test_profile(self):
        said = run("evaluate", *model_arguments(checkpoint(routed())), *THREADS, "--threshold", 0, "--profile", "--json")
        ops = {row[:36].strip(): row[36:].split() for row in said.stderr.splitlines()}
        for op in ("conv2d_fused", "topk", "partition"):
            self.assertGreater(float(ops[op][0]), 0)
        batches = -(-TEST_IMAGES // 256)
        self.assertEqual(float(ops["partition"][2]) * batches, batches)  # one decision between two experts
        self.assertIn("measured peaks", said.stderr)
        self.assertEqual(json.loads(said.stdout)["experts_used"], 2)

    def test_saved_logits_are_no_part_of_the_profile(self):
        arguments = [*model_arguments(checkpoint(routed())), *THREADS, "--threshold", 1, "--profile"]
        calls = []
        for more in ([], ["--save-logits", self.folder / "logits.safetensors"]):
            table = run("evaluate", *arguments, *more).stderr
            calls.append({row[:36].strip(): row[36:].split()[2] for row in table.splitlines()[1:-1]})
        self.assertEqual(calls[0]["conv2d_fused"], "31")  # of the first expert alone
        self.assertEqual(calls[1], calls[0])
        self.assertEqual(read_safetensors(self.folder / "logits.safetensors")[0]["expert_logits"][1],
                         [2, TEST_IMAGES, 4])

    def test_predict_uses_the_cascade(self):
        image = next((tiny_fashion() / "test/bag").iterdir())
        for threshold, used in ((1, 1), (0, 2)):
            said = run("predict", *model_arguments(checkpoint(routed())), "--threshold", threshold, image).stdout
            self.assertIn(f"({used} of 2 experts)", said)


@needs_fashion
class Predict(Temporary):
    def test_names_and_shares(self):
        images = sorted((tiny_fashion() / "test/trouser").iterdir())[:10]
        said = run("predict", *model_arguments(checkpoint(trained())), *images).stdout
        blocks = re.findall(r"(\S+)  \(2 of 2 experts\)\n((?:  .*\n)+)", said)
        self.assertEqual([path for path, _ in blocks], [str(image) for image in images])
        first = []
        for _, lines in blocks:
            shares = re.findall(r"^ +([\d.]+) %  (\S+)$", lines, re.MULTILINE)
            self.assertEqual({name for _, name in shares}, set(CLASSES))
            values = [float(share) for share, _ in shares]
            self.assertEqual(values, sorted(values, reverse=True))
            self.assertAlmostEqual(sum(values), 100, delta=0.3)
            first.append(shares[0][1])
        self.assertGreaterEqual(first.count("trouser"), 7)

    def test_agrees_with_the_evaluation(self):
        # The evaluation reads the test folder in this order.
        images = [image for name in sorted(CLASSES) for image in sorted((tiny_fashion() / "test" / name).iterdir())]
        file = self.folder / "logits.safetensors"
        evaluate(checkpoint(trained()), "--save-logits", file)
        said = run("predict", *model_arguments(checkpoint(trained())), *images).stdout
        first = re.findall(r"experts\)\n +[\d.]+ %  (\S+)", said)
        names = sorted(CLASSES)
        self.assertEqual(first, [names[max(range(4), key=row.__getitem__)] for row in saved_logits(file)[0]])

    def test_file_that_is_no_image(self):
        (self.folder / "no.png").write_text("no image")
        error = error_of("predict", *model_arguments(checkpoint(trained())), self.folder / "no.png")
        self.assertIn(str(self.folder / "no.png"), error)


class PyTorch(Temporary):
    """A state dict in PyTorch's names gives PyTorch's logits (tests/golden/make_evaluate.py)."""

    @staticmethod
    def fill(count, key, low, high):
        """As in tests/golden/make_models.py; arrays round to f32 after every step."""
        low, high = array("f", [low, high])
        width = array("f", [high - low])[0]
        unit = []
        for i in range(count):
            x = (i + key * 0x9E3779B9) & 0xFFFFFFFF
            x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
            x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
            unit.append((x ^ x >> 16) >> 8)
        scaled = array("f", [width * (value * 2.0**-24) for value in unit])
        return array("f", [low + value for value in scaled])

    def test_logits(self):
        golden = json.loads((ROOT / "tests/golden/evaluate.json").read_text())
        tensors, place = {}, 0
        for entry in golden["state_dict"]:
            name, shape, count = entry["name"], entry["shape"], 1
            if name.endswith("num_batches_tracked"):
                tensors[f"backbone.{name}"] = ("I64", [], bytes(8))
                continue
            for length in shape:
                count *= length
            values = self.fill(count, place, entry["low"], entry["high"])
            tensors[f"backbone.{name}"] = ("F32", shape, values.tobytes())
            place += 1
        weights, saved = self.folder / "weights.safetensors", self.folder / "logits.safetensors"
        write_safetensors(weights, tensors)
        images = golden["images"]
        pixels = bytes(int(value) for value in self.fill(784 * images, golden["image_key"], 0, 256))
        for prefix in ("train", "t10k"):
            write_fashion(self.folder, prefix, pixels, bytes(range(images)))
        recipe = {"data.dataset": "fashion-mnist", "data.image_size": 32, "data.imbalance": 1, "data.largest": 0}
        run("evaluate", "--checkpoint", weights, "-r", TINY, "--data", self.folder, *overrides(recipe), "--save-logits",
            saved, *THREADS)
        _, experts, labels = saved_logits(saved)
        self.assertEqual(list(labels), list(range(images)))
        # PyTorch computed in f64, this in f32: 31 layers leave about 1e-6 of the cosine, whose scale is 30.
        worst = max(abs(a - b) for ours, theirs in zip(experts, golden["expert_logits"], strict=True)
                    for row, expected in zip(ours, theirs, strict=True)
                    for a, b in zip(row, expected, strict=True))
        self.assertLess(worst, 1e-3)


if __name__ == "__main__":
    unittest.main()
