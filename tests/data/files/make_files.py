#!/usr/bin/env python3
"""Writes the golden files of tests/data from Python's own pickle, numpy and Pillow (numpy 2.4, Pillow 13.0 here).

Run in this folder: python3 make_files.py
"""
import os
import pickle
import struct

import numpy as np
from PIL import Image


def pixels(images):
    """(N, 3072) bytes by a formula that the tests repeat."""
    i, k = np.arange(images)[:, None], np.arange(3072)[None]
    return ((7 * i + 13 * k + k // 256) % 256).astype(np.uint8)


def short(text):
    """Python 2's protocol 2 writes str as SHORT_BINSTRING or BINSTRING."""
    data = text if isinstance(text, bytes) else text.encode()
    if len(data) < 256:
        return b"U" + bytes([len(data)]) + data
    return b"T" + struct.pack("<i", len(data)) + data


def python2_protocol2(array, fine, coarse):
    """What CIFAR-100's own train and test files look like: protocol 2 of Python 2 with numpy.core's names."""
    rows, columns = array.shape
    ints = lambda values: b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e"
    ndarray = (b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04\x87q\x05Rq\x06"
               b"(K\x01M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", columns) + b"\x86q\x07"
               b"cnumpy\ndtype\nq\x08U\x02u1q\x09K\x00K\x01\x87q\x0aRq\x0b"
               b"(K\x03U\x01|q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0db\x89" + short(array.tobytes()) +
               b"q\x0etq\x0fb")
    return (b"\x80\x02}q\x00(" + short("batch_label") + short("testing batch 1 of 1") + short("fine_labels") + ints(fine) +
            short("coarse_labels") + ints(coarse) + short("data") + ndarray + b"u.")


def python2_protocol0(array, fine):
    """The text protocol, where bytes stand as Python 2's repr."""
    def quoted(data):
        out = "'"
        for byte in data:
            c = chr(byte)
            out += {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c) or (
                c if 32 <= byte < 127 else f"\\x{byte:02x}")
        return (out + "'").encode()
    rows, columns = array.shape
    labels = b"(lp2\n" + b"".join(b"I%d\na" % v for v in fine)
    ndarray = (b"cnumpy.core.multiarray\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\nRp9\n"
               b"(I1\n(I%d\nI%d\ntp10\ncnumpy\ndtype\np11\n(S'u1'\np12\nI0\nI1\ntp13\nRp14\n"
               b"(I3\nS'|'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\nS" % (rows, columns) + quoted(array.tobytes()) +
               b"\np17\ntp18\nb")
    return b"(dp0\nS'fine_labels'\np1\n" + labels + b"sS'data'\np3\n" + ndarray + b"s."


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def write_pickles():
    array, fine, coarse = pixels(3), [5, 99, 0], [1, 19, 0]
    names = [f"class {i}" for i in range(100)]
    write("python2/train", python2_protocol2(array, fine, coarse))
    write("protocol0/train", python2_protocol0(array, fine))
    for protocol in (2, 4):
        content = {"fine_labels": fine, "data": array, "filenames": ["a.png", "b.png", "c.png"]}
        write(f"python3_protocol{protocol}/train", pickle.dumps(content, protocol=protocol))
    write("python3_protocol4/meta", pickle.dumps({"fine_label_names": names}, protocol=4))
    write("protocol0/meta", b"(dp0\nS'fine_label_names'\np1\n(lp2\n" +
          b"".join(b"S'%s'\np%d\na" % (name.encode(), 3 + i) for i, name in enumerate(names)) + b"s.")
    write("malicious/train", b"cos\nsystem\n(S'echo run'\ntR.")
    write("wrong_dtype/train", pickle.dumps({"fine_labels": fine, "data": array.astype(np.int32)}, protocol=2))


def write_rotations():
    """Lines "height width degrees" and then the source pixel of each pixel, -1 outside, after Image.rotate."""
    lines = []
    for height, width, degrees in [(32, 32, 15.0), (32, 32, -15.0), (32, 32, 7.3), (32, 32, -0.6), (32, 32, 3.25),
                                   (32, 32, -11.11), (32, 32, 33.0), (20, 27, 12.0), (5, 8, -14.5)]:
        image = Image.fromarray(np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width), mode="I")
        moved = np.asarray(image.rotate(degrees, resample=Image.Resampling.NEAREST, fillcolor=0)) - 1
        lines.append(f"{height} {width} {degrees}\n" + " ".join(map(str, moved.ravel())) + "\n")
    write("./rotations.txt", "".join(lines).encode())


def write_draw():
    """A draw from unsorted labels with another seed: numpy's legacy generator, class after class."""
    labels = np.array([(i * i + 3 * i // 7) % 7 for i in range(900)])
    counts = [90, 60, 40, 27, 18, 12, 8]
    np.random.seed(42)
    drawn = []
    for c, count in enumerate(counts):
        members = np.where(labels == c)[0]
        np.random.shuffle(members)
        drawn += members[:count].tolist()
    write("./draw.txt", (" ".join(map(str, drawn)) + "\n").encode())


def write_images():
    rgb = np.zeros((3, 5, 3), np.uint8)
    for y in range(3):
        for x in range(5):
            rgb[y, x] = (40 * x, 80 * y, 200 - 10 * x)
    write("./images/.keep", b"")
    os.remove("images/.keep")
    Image.fromarray(rgb).save("images/small.png")
    Image.fromarray(rgb).save("images/small.bmp")
    Image.fromarray(np.full((8, 8, 3), (200, 100, 50), np.uint8)).save("images/flat.jpg", quality=95)
    y, x = np.mgrid[0:25, 0:40]
    waves = Image.fromarray(((x * x // 7 + 3 * y) % 256).astype(np.uint8))  # the shorter side to 10, the centre 10 x 10
    small = np.asarray(waves.resize((16, 10), Image.Resampling.BILINEAR))[:, 3:13]
    write("./resized.txt", (" ".join(map(str, small.ravel())) + "\n").encode())
    Image.fromarray(np.full((2, 2), 77, np.uint8)).save("images/grey.png")


write_pickles()
write_rotations()
write_draw()
write_images()
