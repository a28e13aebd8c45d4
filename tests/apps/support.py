"""What the tests of the programs share: running them, small data cut from Fashion-MNIST, reading what they write.

The programs are taken from $RIDE_BUILD, by default build/ of this checkout. Standard library only.
"""
import array
import atexit
import functools
import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RIDE_BUILD") or ROOT / "build").resolve()
SHARED = Path(os.environ.get("RIDE_SHARED") or ROOT.parent / "shared")
RECIPES = ROOT / "apps/recipes"
TINY = Path(__file__).with_name("tiny.toml")
FASHION = Path("/usr/share/datasets/fashion-mnist")

needs_fashion = unittest.skipUnless(FASHION.is_dir(), f"Fashion-MNIST is not in {FASHION}")

# Classes of the tiny data set and their labels in Fashion-MNIST.
CLASSES = {"bag": 8, "pullover": 2, "sneaker": 7, "trouser": 1}
# Two, so that an order of sums that depends on threads would show.
THREADS = ["--threads", 2]
# A thread that waits leaves its core to others: small steps are then quick on a busy machine, too.
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive"}


class Temporary(unittest.TestCase):
    """A test with a folder of its own, `self.folder`."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ride-"))
        self.addCleanup(shutil.rmtree, self.folder)


def command(program, *arguments):
    """`program`: the name after ride-, or a path."""
    path = program if isinstance(program, Path) else BUILD / f"apps/ride-{program}"
    return [str(part) for part in (path, *arguments)]


def run(program, *arguments, code=0, environment=None, **options):
    """Runs a program to its end; fails the test with what it said where it ends with another code."""
    done = subprocess.run(command(program, *arguments), capture_output=True, text=True, timeout=300,
                          env=ENVIRONMENT | (environment or {}), **options)
    if done.returncode != code:
        raise AssertionError(f"exit code {done.returncode}, expected {code}: {' '.join(done.args)}\n"
                             f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def start(program, *arguments):
    """Starts a program and waits for its first line, the summary of its data."""
    running = subprocess.Popen(command(program, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, env=ENVIRONMENT)
    running.stdout.readline()
    return running


def error_of(program, *arguments, code=1, **options):
    """The error a program ends with: exactly one line that starts with `error: `, and what belongs to it."""
    stderr = run(program, *arguments, code=code, **options).stderr
    if stderr.count("error: ") != 1:
        raise AssertionError(f"expected one error, got {stderr!r}")
    return stderr[stderr.index("error: "):]


def overrides(values):
    """`--set key=value` for each; keys have `__` for the point."""
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def train_arguments(out, *more, **changed):
    """A run of the tiny recipe with some keys changed."""
    return ["-r", TINY, "--data", tiny_fashion(), "--out", out, *overrides(changed), *THREADS, *more]


def model_arguments(file, **changed):
    """What the programs take that read a checkpoint."""
    return ["--checkpoint", file, "-r", TINY, "--data", tiny_fashion(), *overrides(changed)]


def write_idx(path, shape, values):
    path.write_bytes(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(values))


def write_fashion(folder, prefix, images, labels):
    """The two files of one half of a data set; images are bytes, 28 * 28 each."""
    write_idx(folder / f"{prefix}-images-idx3-ubyte", (len(labels), 28, 28), images)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte", (len(labels),), labels)


def temporary_folder():
    """One that lives as long as the test run."""
    folder = Path(tempfile.mkdtemp(prefix="ride-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def fashion(prefix, count):
    """The first `count` (image, label) of a half of Fashion-MNIST."""
    with gzip.open(FASHION / f"{prefix}-images-idx3-ubyte.gz") as file:
        images = file.read(16 + 784 * count)[16:]
    with gzip.open(FASHION / f"{prefix}-labels-idx1-ubyte.gz") as file:
        labels = file.read(8 + count)[8:]
    return [(images[784 * i:784 * (i + 1)], label) for i, label in enumerate(labels)]


@functools.cache
def tiny_fashion():
    """An image folder: of each of CLASSES the first 120 training images and 50 test images of Fashion-MNIST."""
    folder = temporary_folder()
    for half, prefix, each in (("train", "train", 120), ("test", "t10k", 50)):
        pairs = fashion(prefix, 20 * each)
        for name, label in CLASSES.items():
            (folder / half / name).mkdir(parents=True)
            for i, image in enumerate([image for image, other in pairs if other == label][:each]):
                write_png(folder / half / name / f"{i:03}.png", image)
    return folder


@functools.cache
def trained():
    """Run folder of a finished training. Tests only read it."""
    out = temporary_folder() / "run"
    run("train", *train_arguments(out))
    return out


@functools.cache
def stopped():
    """Run folder of the same training, stopped by SIGINT in its first epoch. Tests only read it."""
    out = temporary_folder() / "run"
    stop_early(train_arguments(out), signal.SIGINT)
    return out


def stop_early(arguments, stop, program="train"):
    """Starts a program and sends it a signal as soon as it has read its data. Returns (exit code, what it said)."""
    running = start(program, *arguments)
    running.send_signal(stop)
    said, _ = running.communicate(timeout=300)
    return running.returncode, said


def checkpoint(out, name="last"):
    return Path(out) / f"checkpoints/{name}.safetensors"


def read_safetensors(path):
    """({name: (dtype, shape, bytes)}, metadata)"""
    content = Path(path).read_bytes()
    start = 8 + struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], content[start + begin:start + end])
    return tensors, metadata


def write_safetensors(path, tensors):
    """tensors: {name: (dtype, shape, bytes)}"""
    header, at = {}, 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(content)]}
        at += len(content)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, content in tensors.values():
            file.write(content)


def floats(tensor):
    dtype, _, content = tensor
    assert dtype == "F32", dtype
    return array.array("f", content)


def metrics(out):
    """The lines of metrics.jsonl, without the speed: that differs from run to run."""
    lines = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("images_per_second", None)
    return lines


def differing_tensors(a, b):
    """Names of tensors that are not bit for bit the same in two checkpoints."""
    (left, _), (right, _) = read_safetensors(a), read_safetensors(b)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def write_png(path, image):
    """image: 28 * 28 bytes of grey"""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + image[at:at + 28] for at in range(0, 784, 28)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
