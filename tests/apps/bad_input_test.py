"""What the programs say to wrong data, recipes, checkpoints and folders; what was there before stays as it was."""
import resource
import shutil
import struct
import subprocess
import unittest
from math import isfinite

from support import (TINY, Temporary, checkpoint, error_of, floats, metrics, model_arguments, needs_fashion, overrides,
                     read_safetensors, run, stopped, train_arguments, trained, write_fashion, write_idx, write_png,
                     write_safetensors)

BLACK = bytes(784)


class Data(Temporary):
    """Errors name the file, the place and what was expected; no run folder appears."""

    def refused(self, dataset, data, *expected):
        out = self.folder / "run"
        error = error_of("train", "-r", TINY, "--data", data, "--out", out,
                         *overrides({"data.dataset": dataset, "data.imbalance": 1, "data.largest": 0}))
        for text in expected:
            self.assertIn(str(text), error)
        self.assertFalse(out.exists())

    def fashion(self):
        folder = self.folder / "fashion"
        folder.mkdir()
        for prefix in ("train", "t10k"):
            write_fashion(folder, prefix, BLACK * 20, bytes(range(10)) * 2)
        return folder

    def test_missing_folder(self):
        self.refused("cifar100", self.folder / "nowhere", self.folder / "nowhere", "does not exist")

    def test_folder_without_the_files(self):
        self.refused("cifar100", self.folder, self.folder, "train.bin")

    def test_truncated_idx(self):
        file = self.fashion() / "train-images-idx3-ubyte"
        file.write_bytes(file.read_bytes()[:-100])
        self.refused("fashion-mnist", file.parent, file, 20 * 784, "offset 16")

    def test_file_of_another_format(self):
        file = self.fashion() / "t10k-images-idx3-ubyte"
        file.write_bytes(b"PK\3\4 this is an archive")
        self.refused("fashion-mnist", file.parent, file, "offset 0", "IDX")

    def test_label_too_large(self):
        file = self.fashion() / "train-labels-idx1-ubyte"
        write_idx(file, (20,), bytes([0] * 19 + [10]))
        self.refused("fashion-mnist", file.parent, file, "offset 27", "label 10", "0 to 9")

    def test_truncated_cifar(self):
        file = self.folder / "train.bin"
        file.write_bytes(bytes(3074 * 2 - 1))
        (self.folder / "test.bin").write_bytes(bytes(3074))
        self.refused("cifar100", self.folder, file, "3074")

    def test_list_with_a_label_the_training_set_lacks(self):
        write_png(self.folder / "a.png", BLACK)
        (self.folder / "train.txt").write_text("a.png 0\na.png 1\n")
        (self.folder / "test.txt").write_text("a.png 1\na.png 2\n")
        self.refused("list", self.folder, f"{self.folder}/test.txt, line 2", "label 2", "0 to 1")

    def test_file_that_is_no_image(self):
        for half in ("train", "test"):
            (self.folder / half / "class").mkdir(parents=True)
            (self.folder / half / "class/a.png").write_bytes(b"no image")
        out = self.folder / "run"
        arguments = ["-r", TINY, "--data", self.folder, "--out", out]
        error = error_of("train", *arguments, *overrides({"data.imbalance": 1, "data.largest": 0}))
        self.assertIn(str(self.folder / "train/class/a.png"), error)
        self.assertFalse(checkpoint(out).exists())


class Recipe(Temporary):
    """Mistakes in a recipe end with 2 and name the line, the key and what is allowed or nearest."""

    def refused(self, text, line, *expected):
        recipe = self.folder / "recipe.toml"
        recipe.write_text(text)
        error = error_of("train", "-r", recipe, "--print-recipe", code=2)
        for part in (f"{recipe}:{line}: ", *expected):
            self.assertIn(part, error)

    def test_misspelt_key(self):
        self.refused("seed = 1\n[loss]\n\ndiversty = -0.2\n", 4, '"loss.diversty"', '"loss.diversity"')

    def test_misspelt_table(self):
        self.refused("[optin]\nlr = 0.1\n", 1, "[optin]", "[optim]")

    def test_wrong_type(self):
        self.refused('[optim]\nlr = "fast"\n', 2, "optim.lr", "fast")

    def test_out_of_range(self):
        self.refused("[model]\nexperts = 9\n", 2, "model.experts = 9", "8")

    def test_no_toml(self):
        self.refused("[model]\nexperts = = 2\n", 2)

    def test_override(self):
        for override, *expected in (("loss.diversty=1", "loss.diversity"), ("imbalance=0.5", "data.imbalance"),
                                    ("loss.type=mse", "ldam"), ("seed", "key=value")):
            with self.subTest(override):
                error = error_of("train", "-r", TINY, "--set", override, "--print-recipe", code=2)
                for part in (f"--set {override}", *expected):
                    self.assertIn(part, error)


@needs_fashion
class Checkpoint(Temporary):
    def evaluate_error(self, file, **changed):
        error = error_of("evaluate", *model_arguments(file, **changed))
        self.assertIn(str(file), error)
        return error

    def test_another_architecture_lists_every_name(self):
        error = self.evaluate_error(checkpoint(trained()), model__experts=3)
        tensors, _ = read_safetensors(checkpoint(trained()))
        for name in tensors:
            if name.startswith(("model.layer2s.0.", "model.linears.0.")):
                self.assertIn(name.removeprefix("model.").replace("s.0.", "s.2.", 1), error)
        self.assertNotIn("layer2s.1.", error)

    def test_missing_extra_and_differently_shaped_tensors(self):
        tensors, _ = read_safetensors(checkpoint(trained()))
        weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        del weights["bn1.weight"], weights["layer1.3.conv2.weight"]
        weights["layer9.weight"] = ("F32", [1], struct.pack("<f", 1))
        weights["conv1.weight"] = ("F32", [16, 3, 1, 1], bytes(4 * 48))
        write_safetensors(self.folder / "weights.safetensors", weights)
        error = self.evaluate_error(self.folder / "weights.safetensors")
        for text in ("bn1.weight", "layer1.3.conv2.weight", "layer9.weight", "conv1.weight", "(16, 3, 1, 1)",
                     "(16, 3, 3, 3)"):
            self.assertIn(text, error)

    def test_truncated(self):
        content = checkpoint(trained()).read_bytes()
        file = self.folder / "cut.safetensors"
        for length in (0, 5, 1000, len(content) // 2, len(content) - 1):
            with self.subTest(length):
                file.write_bytes(content[:length])
                self.evaluate_error(file)
        run_folder = self.folder / "run"
        error = error_of("train", *train_arguments(run_folder, "--resume", file))
        self.assertIn(str(file), error)
        self.assertFalse(run_folder.exists())

    def test_absent(self):
        self.evaluate_error(self.folder / "absent.safetensors")


@needs_fashion
class Writing(Temporary):
    def test_loss_that_is_not_finite_stops_the_run(self):
        # One step an epoch: the first one's loss is still that of the initial weights.
        done = run("train", *train_arguments(self.folder, optim__lr=1e30, data__batch=512), code=1)
        self.assertRegex(done.stdout, f"loss is .* at epoch 2 step 2: stopped; .*{checkpoint(self.folder)}")
        self.assertEqual([line["epoch"] for line in metrics(self.folder)], [1])
        tensors, metadata = read_safetensors(checkpoint(self.folder))
        self.assertEqual((metadata["epoch"], metadata["step"]), ("1", "1"))
        self.assertTrue(all(isfinite(value) for tensor in tensors.values() for value in floats(tensor)))

    def test_loss_that_is_not_finite_before_the_first_checkpoint(self):
        done = run("train", *train_arguments(self.folder, optim__lr=1e30), code=1)
        self.assertIn("at epoch 1 step 2: stopped", done.stdout)
        self.assertFalse(checkpoint(self.folder).exists())
        self.assertNotIn(str(checkpoint(self.folder)), done.stdout)

    def test_folder_that_cannot_be_made(self):
        (self.folder / "file").write_text("")
        error = error_of("train", *train_arguments(self.folder / "file/run"))
        self.assertIn(str(self.folder / "file/run"), error)

    def resumed_in_vain(self, out, reason, **options):
        """A resumed run whose next checkpoint can't be written: it says so, and the one before is as it was."""
        before = checkpoint(out).read_bytes()
        error = error_of("train", *train_arguments(out, "--resume", "auto"), **options)
        self.assertIn(str(checkpoint(out)), error)
        self.assertIn(reason, error)
        self.assertEqual([file.name for file in checkpoint(out).parent.iterdir()], ["last.safetensors"])
        self.assertEqual(checkpoint(out).read_bytes(), before)

    def test_file_too_large(self):
        out = self.folder / "run"
        shutil.copytree(stopped(), out)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

        # Python ignores SIGXFSZ and its children do so too: writing ends with an error.
        self.resumed_in_vain(out, "File too large", preexec_fn=limit, restore_signals=False)

    def test_disk_full(self):
        disk = self.folder / "disk"
        disk.mkdir()
        size = checkpoint(stopped()).stat().st_size * 3 // 2
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "ride-test", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a small disk can't be mounted here")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        shutil.copytree(stopped(), disk / "run")
        self.resumed_in_vain(disk / "run", "No space left on device")


if __name__ == "__main__":
    unittest.main()
