"""ride-bench: JSON lines with the agreed keys and plausible values, the profile's table, sweeps, bad input."""
import json
import re
import unittest

from support import error_of, run

SMALLEST = ["--model", "ride-1", "--mode", "infer", "--batch", 1, "--image-size", 8, "--steps", 1, "--warmup", 0]


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

    def test_recorded_step(self):
        for mode in ("train", "infer"):
            line = json.loads(run("bench", "--model", "resnet32", "--mode", mode, "--batch", 2, "--steps", 2, "--graph",
                                  "--tf32", "off", "--json").stdout)
            self.assertEqual((line["graph"], line["tf32"]), (True, "off"))
        self.assertIn("--deterministic and --autotune exclude each other",
                      error_of("bench", "--deterministic", "--autotune"))

    def test_large_network(self):
        line = json.loads(run("bench", "--model", "resnet50", "--batch", 2, "--image-size", 32, "--steps", 1,
                              "--warmup", 0, "--json").stdout)
        self.assertEqual((line["model"], line["batch"]), ("resnet50", 2))

    def test_profile(self):
        table = run("bench", "--model", "ride-2", "--batch", 2, "--steps", 2, "--warmup", 1, "--profile").stderr
        head, *rows = table.splitlines()
        for column in ("op", "ms", "share", "calls", "GFLOP/s", "GB/s", "of flops", "of memory", "bound"):
            self.assertIn(column, head)
        bound = {row[:36].strip(): row.split()[-1] for row in rows}
        self.assertEqual(bound["conv2d"], "compute")
        self.assertEqual(bound["batch_norm backward"], "memory")
        calls = {row[:36].strip(): row[36:].split()[2] for row in rows[:-1]}
        self.assertEqual(calls["conv2d"], str(11 + 2 * 20))  # of one step
        converted = [op for op in bound if op.startswith("convert") or "->" in op]
        self.assertLessEqual(len(converted), 1, table)  # the images, once
        self.assertEqual(rows[-2][:3], "sum")
        peaks = re.fullmatch(r"measured peaks: ([\d.]+) GFLOP/s of multiply-adds, ([\d.]+) GB/s of memory", rows[-1])
        self.assertGreater(float(peaks[1]), 0.1)
        self.assertGreater(float(peaks[2]), 0.1)

    def test_formats(self):
        formats = ["contiguous", "channels_last", "batch_lanes"]
        for precision in ("f32", "bf16"):
            said = run("bench", "--model", "ride-2", "--batch", 16, "--steps", 1, "--warmup", 0, "--precision",
                       precision, "--sweep", "format=" + ",".join(formats), "--json").stdout
            self.assertEqual([json.loads(line)["format"] for line in said.splitlines()], formats)

    def test_sweep(self):
        small = ["--model", "resnet32", "--steps", 1, "--warmup", 0]
        said = run("bench", *small, "--sweep", "batch=1,3", "threads=1,2", "--json").stdout
        lines = [json.loads(line) for line in said.splitlines()]
        self.assertEqual([(line["batch"], line["threads"]) for line in lines], [(1, 1), (1, 2), (3, 1), (3, 2)])
        head, *rows = run("bench", *small, "--sweep", "mode=train,infer", "batch=2").stdout.splitlines()
        self.assertEqual(head.split()[:6], ["model", "mode", "precision", "format", "batch", "threads"])
        self.assertEqual([row.split()[:5] for row in rows],
                         [["resnet32", "train", "f32", "auto", "2"], ["resnet32", "infer", "f32", "auto", "2"]])

    def test_bad_input(self):
        for arguments, part in ((["--model", "ride-9"], "ride-9"), (["--precision", "f8"], "f8"),
                                (["--format", "nhwc"], "nhwc"),
                                (["--model", "resnet50", "--format", "batch_lanes"], "channels_last"),
                                (["--sweep", "batch"], "key=value"), (["--sweep", "batch=1,x"], "'x'"),
                                (["--sweep", "batch=0"], "'0'"), (["--sweep", "batch=1,"], "missing"),
                                (["--sweep", "colour=red"], "colour"), (["--sweep", "mode=sing"], "sing"),
                                (["--graph", "--profile", "--batch", 1], "leave out --graph or --profile"),
                                (["--sweep", "model=ride-1,ride-9", "--batch", 1, "--steps", 1], "ride-9")):
            with self.subTest(arguments=arguments):
                self.assertIn(part, error_of("bench", *arguments))

    def test_instruction_sets(self):
        run("bench", *SMALLEST, environment={"RIDE_CPU_ISA": "baseline"})
        self.assertIn("RIDE_CPU_ISA=sse is none of baseline, avx2, avx512",
                      error_of("bench", *SMALLEST, environment={"RIDE_CPU_ISA": "sse"}))

    def test_automatic_device(self):
        missing = run("bench", *SMALLEST, "--device", "auto").stderr
        if not missing:
            self.skipTest("this machine has a CUDA device")
        said = re.fullmatch(r"--device auto is the CPU: (.*)\n", missing)
        self.assertIn(said[1], error_of("bench", *SMALLEST, "--device", "cuda"))


if __name__ == "__main__":
    unittest.main()
