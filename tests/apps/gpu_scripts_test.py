"""tests/gpu: run.sh in small on the CPU, its tests on the emulated device, what it says of a step that fails, a machine
without a GPU, bad input; an archive of pack.sh, unpacked and run."""
import json
import os
import shutil
import subprocess
import unittest

from support import BUILD, ENVIRONMENT, ROOT, TINY, Temporary, needs_fashion, overrides, run, tiny_fashion

SCRIPTS = ROOT / "tests/gpu"
PEER = """
import json, sys
if "--help" not in sys.argv:
    assert sys.argv[sys.argv.index("--model") + 1] == "resnet32", sys.argv
    print(json.dumps({"peer": "a test", "ms": 4.0, "images_per_second": 1000.0}))
"""


def script(path, *arguments, code=0, environment=None):
    done = subprocess.run([str(part) for part in (path, *arguments)], capture_output=True, text=True, timeout=300,
                          env=ENVIRONMENT | {"OMP_NUM_THREADS": "2"} | (environment or {}))
    if done.returncode != code:
        raise AssertionError(f"exit code {done.returncode}, expected {code}\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done


class Run(Temporary):
    def small(self, *arguments, **options):
        """Lines that run.sh prints of a run on the CPU."""
        return script(SCRIPTS / "run.sh", "--device", "cpu", "--build", BUILD, "--out", self.folder / "out", *arguments,
                      **options).stdout.splitlines()

    @needs_fashion
    def test_one_step_fails_and_the_others_go_on(self):
        # The programs, but for one that fails; no test programs.
        broken = self.folder / "build/apps"
        broken.mkdir(parents=True)
        for program in ("train", "route", "evaluate", "bench"):
            (broken / f"ride-{program}").symlink_to(BUILD / f"apps/ride-{program}")
        (broken / "ride-predict").write_text("#!/bin/sh\necho no such luck; exit 3\n")
        (broken / "ride-predict").chmod(0o755)
        # At the recipe's rate so short a training is chaotic: roundings alone move its loss by a fifth.
        lines = self.small("--only", "tests", "--build", self.folder / "build", "--recipe", TINY, "--data",
                           tiny_fashion(), "--set", "data.batch=24", "--set", "optim.lr=0.003", code=1)
        head = next(i for i, line in enumerate(lines) if line.split() == ["test", "passed", "failed", "skipped",
                                                                         "seconds"])
        rows = {line[:46].strip(): tuple(map(int, line[46:].split()[:3])) for line in lines[head + 1:head + 15]}
        self.assertEqual(rows.pop("test-gpu: the parity suite"), (0, 0, 1))
        self.assertEqual(rows.pop("predict"), (0, 1, 0))
        self.assertEqual(len(rows), 12)
        for name, counts in rows.items():
            self.assertEqual(counts, (1, 0, 0), name)
        self.assertEqual(lines[-1], "12 passed, 1 failed, 1 skipped")
        self.assertTrue(any(line.startswith("failed: predict (exit status 3; ") for line in lines))
        self.assertIn("no such luck", lines)

    @needs_fashion
    def test_emulated_device(self):
        # As on a machine with a GPU: the programs on the emulated device, and a tool that lists it. Two epochs of three
        # steps on 8x8 pixels, so few as the emulator is slow; the third full batch is recorded.
        apps, tools = self.folder / "build/apps", self.folder / "tools"
        for folder in (apps, tools):
            folder.mkdir(parents=True)
        for program in ("train", "route", "evaluate", "predict", "bench"):
            (apps / f"ride-{program}").symlink_to(BUILD / f"tests/emulator/ride-{program}-emulated")
        (tools / "nvidia-smi").write_text("#!/bin/sh\necho GPU 0: emulated\n")
        (tools / "nvidia-smi").chmod(0o755)
        settings = {"data.batch": 16, "data.largest": 20, "data.image_size": 8, "augment.crop_padding": 1,
                    "loss.reweight_epoch": -1, "optim.lr": 0.0003}
        done = script(SCRIPTS / "run.sh", "--build", self.folder / "build", "--out", self.folder / "out", "--only",
                      "tests", "--recipe", TINY, "--data", tiny_fashion(), *overrides(settings),
                      environment={"PATH": f"{tools}:{os.environ['PATH']}"})
        rows = {line[:46].strip(): line[46:].split()[:3] for line in done.stdout.splitlines()}
        for name in ("a device that is not there", "train, recorded step: the same loss", "evaluate: as on the CPU",
                     "evaluate the cascade: as on the CPU", "predict", "evaluate in bf16: as in f32",
                     "resume on the CPU what the device began", "resume on the device what the CPU began"):
            self.assertEqual(rows[name], ["1", "0", "0"], name)
        self.assertRegex((self.folder / "out/recorded/train.log").read_text(), "steps replayed: [1-9]")
        self.assertIn('"emulated device', (self.folder / "out/back/run.json").read_text())

    def test_measurements(self):
        (self.folder / "peer.py").write_text(PEER)
        lines = self.small("--only", "measure", "--peer", self.folder / "peer.py")
        self.assertEqual(lines[-1], "0 passed, 0 failed")
        measured = [json.loads(line) for line in (self.folder / "out/measurements.jsonl").read_text().splitlines()]
        self.assertEqual([line["who"] for line in measured], ["work", "ride", "recorded", "eager"])
        work, ride = measured[:2]
        self.assertGreater(work["gflop"], 1)  # 4 images, forward and backward: 4 * 6 * 69 M multiply-adds
        self.assertGreater(work["peak_gflop_per_second"], 0.1)
        rows = {line.split()[0]: line.split()[1:] for line in lines if len(line.split()) == 9}
        self.assertEqual(rows["eager"], ["resnet32", "train", "f32", "4", "4.00", "1000.0",
                                         f"{work['gflop'] / 4:.2f}", f"{work['megabytes'] / 4:.0f}"])
        self.assertEqual(rows["ride"][4], f"{ride['ms']:.2f}")
        self.assertIn("measured peaks: ", lines[-2])

    def test_no_time_left(self):
        self.assertIn("not measured, as 0 s are over: 3 (--budget)", self.small("--only", "measure", "--budget", 0))

    def test_no_data(self):
        lines = self.small("--only", "tests", "--build", self.without_tests())
        self.assertIn("skipped: the programs from end to end: no data (--data DIR)", lines)

    def without_tests(self):
        (self.folder / "build").mkdir()
        (self.folder / "build/apps").symlink_to(BUILD / "apps")
        return self.folder / "build"

    @unittest.skipIf(any(name.startswith("nvidia") for name in os.listdir("/dev")), "there is a GPU")
    def test_no_gpu(self):
        done = script(SCRIPTS / "run.sh", "--build", BUILD, "--out", self.folder / "out", code=77)
        self.assertIn("skipped: no GPU on this machine. A program says: error: [cuda] ", done.stderr)

    def test_bad_input(self):
        for arguments, said in ((["--device", "tpu"], "'tpu' is none of cpu, cuda, cuda:<index>"),
                                (["--only", "some"], "'some' is none of tests, measure"),
                                (["--budget", "long"], "'long' is no number of seconds"),
                                (["--build", "/nowhere"], "no programs in /nowhere"),
                                (["--data", "/nowhere"], "--data: no folder /nowhere"),
                                (["--peer", "/nowhere"], "--peer: no file /nowhere"),
                                (["--recipe"], "--recipe needs a value"),
                                (["--fast"], "unknown option '--fast'")):
            self.assertIn(said, script(SCRIPTS / "run.sh", "--build", BUILD, *arguments, code=2).stderr)


class Pack(Temporary):
    def setUp(self):
        super().setUp()
        # Packing looks at no program but ride-data, so that any will do.
        for program in ("apps/ride-train", "apps/ride-bench", "tests/gpu/test-gpu"):
            (self.folder / "build" / program).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy("/bin/true", self.folder / "build" / program)
        (self.folder / "build/apps/ride-data").symlink_to(BUILD / "apps/ride-data")

    def pack(self, *arguments, **options):
        return script(SCRIPTS / "pack.sh", self.folder / "a.tar.zst", "--build", self.folder / "build", *arguments,
                      **options)

    def test_archive(self):
        data = self.folder / "cifar-100-binary"
        data.mkdir()
        # 100 images of each class in turn; the pixels tell them apart.
        records = [bytes((0, i % 100)) + i.to_bytes(4) + bytes(3068) for i in range(10000)]
        (data / "train.bin").write_bytes(b"".join(records))
        (data / "test.bin").write_bytes(b"".join(records[:300]))
        (self.folder / "peer.py").write_text(PEER)
        self.pack("--data", data, "--test-images", 200, "--peer", self.folder / "peer.py")
        subprocess.run(["tar", "-C", self.folder, "-xf", self.folder / "a.tar.zst"], check=True)
        there = self.folder / "ride-gpu"
        for name in ("tests/gpu/run.sh", "tests/counts.bash", "build/tests/gpu/test-gpu", "peer.py",
                     "tests/data/files/images/small.png", "apps/recipes/cifar100-lt/ride-3.toml"):
            self.assertTrue((there / name).is_file(), name)
        self.assertIn("libfmt", " ".join(os.listdir(there / "lib")))
        self.assertNotIn("libc.so", " ".join(os.listdir(there / "lib")))
        # The smaller set taken whole is the drawn one.
        drawn = [line.split() for line in run("data", "draw", "--data", data).stdout.splitlines()]
        packed = (there / "cifar-100-binary/train.bin").read_bytes()
        self.assertEqual(packed, b"".join(records[int(index)] for index, _ in drawn))
        whole = [line.split() for line in run("data", "draw", "--data", there, "--imbalance", 1).stdout.splitlines()]
        self.assertEqual(whole, [[str(i), label] for i, (_, label) in enumerate(drawn)])
        self.assertEqual((there / "cifar-100-binary/test.bin").read_bytes(), b"".join(records[:200]))
        # run.sh there finds what it needs, and that ride-train does nothing.
        done = script(there / "tests/gpu/run.sh", "--device", "cpu", "--only", "tests", code=1)
        self.assertIn("packed at revision ", done.stdout)
        self.assertNotIn("no data", done.stdout)

    def test_bad_input(self):
        self.assertIn("MiB, at most 0: fewer --test-images", self.pack("--most", 0, code=1).stderr)
        self.assertFalse((self.folder / "a.tar.zst").exists())
        for arguments, said in ((["--data", "/nowhere"], "--data: no folder /nowhere"),
                                (["--data", self.folder], "no train.bin and test.bin in"),
                                (["--peer", "/nowhere"], "--peer: no file /nowhere"),
                                (["--build", "/nowhere"], "no apps/ride-train in /nowhere"),
                                (["--test-images", "no"], "'no' is no number above 0"),
                                (["--all"], "unknown option '--all'")):
            self.assertIn(said, self.pack(*arguments, code=1).stderr)
        self.assertIn("is no .tar.zst and no .tar.xz", script(SCRIPTS / "pack.sh", "a.zip", code=1).stderr)
