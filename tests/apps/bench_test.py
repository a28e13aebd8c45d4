"""ride-bench: one JSON line with the agreed keys and plausible values."""
import json
import unittest

from support import error_of, run


class Bench(unittest.TestCase):
    def test_json(self):
        for model, mode in (("resnet32", "train"), ("ride-3", "infer")):
            with self.subTest(model=model, mode=mode):
                said = run("bench", "--model", model, "--mode", mode, "--precision", "f32", "--batch", 4, "--steps", 2,
                           "--warmup", 1, "--threads", 2, "--device", "cpu", "--json").stdout
                self.assertEqual(said.count("\n"), 1)
                line = json.loads(said)
                self.assertEqual({key: line[key] for key in ("model", "mode", "precision", "batch", "device",
                                                             "threads")},
                                 {"model": model, "mode": mode, "precision": "f32", "batch": 4, "device": "cpu",
                                  "threads": 2})
                self.assertAlmostEqual(line["images_per_second"] * line["ms"] / 1e3, 4, delta=0.1)
                self.assertGreaterEqual(line["best_images_per_second"], line["images_per_second"])
                self.assertGreater(line["peak_mib"], 5)

    def test_unknown_model(self):
        self.assertIn("ride-9", error_of("bench", "--model", "ride-9", "--json"))


if __name__ == "__main__":
    unittest.main()
