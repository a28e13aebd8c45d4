"""ride-data: the long-tailed draws are the published ones, and data sets are described."""
import unittest

from support import CLASSES, SHARED, Temporary, needs_fashion, run, tiny_fashion

CIFAR_100 = SHARED / "data/cifar-100-binary"


@unittest.skipUnless(CIFAR_100.is_dir(), f"CIFAR-100 is not in {CIFAR_100}")
class Draw(unittest.TestCase):
    def test_draws_equal_the_published_lists(self):
        for imbalance, images in ((10, 19573), (50, 12608), (100, 10847)):
            with self.subTest(imbalance=imbalance):
                done = run("data", "draw", "--dataset", "cifar100", "--data", CIFAR_100, "--imbalance", imbalance)
                published = CIFAR_100 / f"cifar100_lt_imb{imbalance}_seed0_index.txt"
                self.assertEqual(len(done.stdout.splitlines()), images)
                self.assertTrue(done.stdout == published.read_text(), f"differs from {published}")


@needs_fashion
class Describe(Temporary):
    def test_describe(self):
        said = run("data", "describe", "--dataset", "folder", "--data", tiny_fashion(), "--largest", 120,
                   "--imbalance", 12).stdout
        rows = [line.split() for line in said.splitlines() if line.split()[:1] and line.split()[0] in CLASSES]
        self.assertEqual(rows, [["bag", "0", "120", "many"], ["pullover", "1", "52", "medium"],
                                ["sneaker", "2", "22", "medium"], ["trouser", "3", "10", "few"]])


if __name__ == "__main__":
    unittest.main()
