#!/usr/bin/env python3
"""Checks the tree's include rules (which folder may use which) and that header-only files compile alone.

check_includes.py [ROOT] [--include DIR ...]   prints `file:line: message` for each violation, exit status 1 if any
check_includes.py --self-test                  plants each kind of violation in a temporary tree and expects it found
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What each folder may include besides itself. Dependencies point one way: what stands here is above it.
ENGINE = {
    "core": set(),
    "kernels": {"core"},
    "autograd": {"core", "kernels"},
    "ops": {"core", "kernels", "autograd"},
    "nn": {"core", "autograd", "ops"},
    "optim": {"core", "kernels", "autograd", "ops", "nn"},
    "dist": {"core", "kernels", "autograd", "ops", "nn"},
    "io": {"core", "autograd", "ops", "nn", "optim"},
    "cpu": {"core", "kernels"},
    "cuda": {"core", "kernels"},
}
ALLOWED = {f"engine/{name}": {f"engine/{below}" for below in below_it} for name, below_it in ENGINE.items()}
ALLOWED["data"] = {"engine/core", "engine/ops", "engine/io"}
ALLOWED["ride"] = {"data", *ALLOWED} - {"engine/cpu", "engine/cuda"}
ALLOWED["apps"] = {"ride", *ALLOWED["ride"]}

# Single files that may include one thing more, each with its reason.
EXCEPTIONS = {
    ("engine/autograd/backward.cpp", "engine/ops/elementwise.h"): "gradients of several uses are added by the op",
}
SELECT = "engine/kernels/select.cpp"  # the one file that knows which back ends exist
BACK_ENDS = ("engine/cpu", "engine/cuda")

VENDOR = [  # header, the folders it may appear in
    (re.compile(r"(oneapi/)?dnnl"), ("engine/cpu",)),
    (re.compile(r"cuda|cublas|cudnn|nvrtc|nvtx|cooperative_groups|mma\.h"), ("engine/cuda", "tests/emulator")),
    (re.compile(r"nccl|mpi\.h"), ("engine/dist",)),
    (re.compile(r"CLI/"), ("apps",)),
    (re.compile(r"doctest/"), ("tests",)),
]
SLOW = re.compile(r"nlohmann/(?!json_fwd)|toml\+\+/|CLI/|stb/")  # too slow for a header

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TOPS = ("engine", "data", "ride", "apps", "tests")
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}


def folder_of(path):
    """The unit a path belongs to: engine/<layer>, or the top folder."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "engine" and len(parts) > 2 else parts[0]


def sources(root):
    for top in TOPS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path.relative_to(root).as_posix()


def project_violation(file, header, root):
    """Why `file` may not include the project's `header`, or None."""
    if not (root / header).is_file() or header.split("/")[0] not in TOPS or ".." in header:
        return f'"{header}" is not a file named from the root of the tree'
    user, used = folder_of(file), folder_of(header)
    if user == used or user == "tests" or (file, header) in EXCEPTIONS:
        return None
    if used in BACK_ENDS and file == SELECT:
        return None
    if used not in ALLOWED.get(user, set()):
        allowed = ", ".join(sorted(ALLOWED.get(user, set()))) or "nothing else"
        return f'{user} may not include "{header}"; it may use {allowed}'
    return None


def system_violation(file, header):
    """Why `file` may not include the library's `header`, or None."""
    for pattern, folders in VENDOR:
        if pattern.match(header) and not file.startswith(tuple(f"{folder}/" for folder in folders)):
            return f"<{header}> belongs in {' and '.join(folders)} only"
    if SLOW.match(header) and file.endswith(".h") and folder_of(file) != "tests":
        return f"<{header}> is slow to compile: include it in the .cpp"
    return None


def check_file(file, root):
    includes = []
    for number, line in enumerate((root / file).read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            includes.append((number, match[1] == '"', match[2]))
    found = []
    for number, quoted, header in includes:
        why = project_violation(file, header, root) if quoted else system_violation(file, header)
        if why:
            found.append(f"{file}:{number}: {why}")
    own = re.sub(r"\.(cpp|cu)$", ".h", file)
    if own != file and (root / own).is_file() and (not includes or includes[0][2] != own):
        found.append(f'{file}:{includes[0][0] if includes else 1}: its first include must be "{own}", '
                     "so that the header is known to compile alone")
    return found


def check_alone(files, root, include_dirs):
    """Compiles each header that has no .cpp of its name (whose first include it would be), vendor folders left out."""
    sources_here = set(files)
    headers = [f for f in files if f.endswith(".h") and folder_of(f) not in (*BACK_ENDS, "engine/dist", "tests")
               and not sources_here & {f[:-2] + ".cpp", f[:-2] + ".cu"}]
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", "-fopenmp", "-x", "c++", f"-I{root}",
               *(f"-isystem{d}" for d in include_dirs)]

    def compile_one(header):
        done = subprocess.run([*command, "-"], input=f'#include "{header}"\n', text=True,
                              capture_output=True, cwd=root)
        return [] if done.returncode == 0 else [f"{header}:1: does not compile alone:\n{done.stderr.rstrip()}"]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(compile_one, headers) for line in lines], len(headers)


def check_tree(root, include_dirs=()):
    """All violations in the tree, and a line that says what was looked at."""
    files = list(sources(root))
    found = [line for file in files for line in check_file(file, root)]
    for file, header in EXCEPTIONS:
        text = (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""
        if f'"{header}"' not in text:
            found.append(f'{file}:1: the exception for "{header}" is not used any more: remove it here')
    alone, compiled = check_alone(files, root, include_dirs)
    return found + alone, f"{len(files)} files, {compiled} of them headers compiled alone"


CLEAN = {  # a small tree that keeps every rule
    "engine/core/tensor.h": "#pragma once\n#include <cstdint>\nstruct Tensor { std::int64_t size; };\n",
    "engine/core/tensor.cpp": '#include "engine/core/tensor.h"\n',
    "engine/autograd/backward.cpp": '#include "engine/ops/elementwise.h"\n',
    "engine/ops/elementwise.h": '#pragma once\n#include "engine/core/tensor.h"\n',
    "engine/kernels/select.cpp": '#include "engine/cpu/conv.h"\n',
    "engine/cpu/conv.h": '#pragma once\n#include "engine/core/tensor.h"\n',
    "engine/cpu/conv.cpp": '#include "engine/cpu/conv.h"\n#include <oneapi/dnnl/dnnl.hpp>\n',
    "engine/nn/module.h": '#pragma once\n#include "engine/ops/elementwise.h"\n',
    "data/loader.h": '#pragma once\n#include "engine/core/tensor.h"\n',
    "ride/loss.h": '#pragma once\n#include "data/loader.h"\n#include "engine/nn/module.h"\n',
    "apps/train.cpp": '#include "ride/loss.h"\n#include <CLI/CLI.hpp>\n',
    "tests/core/test_tensor.cpp": '#include "engine/core/tensor.h"\n#include <doctest/doctest.h>\n',
}
PLANTED = [  # file, its text, what the report must say
    ("engine/core/bad.cpp", '#include "engine/ops/elementwise.h"\n', "engine/core may not include"),
    ("engine/autograd/bad.cpp", '#include "engine/ops/elementwise.h"\n', "engine/autograd may not include"),
    ("engine/ops/bad.cpp", '#include "engine/nn/module.h"\n', "engine/ops may not include"),
    ("engine/ops/bad.cpp", '#include "engine/cpu/conv.h"\n', "engine/ops may not include"),
    ("engine/kernels/other.cpp", '#include "engine/cpu/conv.h"\n', "engine/kernels may not include"),
    ("engine/nn/bad.cpp", '#include "ride/loss.h"\n', "engine/nn may not include"),
    ("engine/io/bad.cpp", '  #  include "data/loader.h"\n', "engine/io may not include"),
    ("engine/cpu/bad.cpp", '#include "engine/ops/elementwise.h"\n', "engine/cpu may not include"),
    ("data/bad.cpp", '#include "ride/loss.h"\n', "data may not include"),
    ("data/bad.cpp", '#include "engine/nn/module.h"\n', "data may not include"),
    ("ride/bad.cpp", '#include "apps/common.h"\n', "not a file named from the root"),
    ("ride/bad.cpp", '#include "engine/cpu/conv.h"\n', "ride may not include"),
    ("ride/bad.cpp", '#include "../data/loader.h"\n', "not a file named from the root"),
    ("ride/bad.cpp", '#include "loss.h"\n', "not a file named from the root"),
    ("engine/ops/bad.cpp", "#include <dnnl.hpp>\n", "<dnnl.hpp> belongs in"),
    ("engine/ops/bad.cpp", "#include <oneapi/dnnl/dnnl.hpp>\n", "belongs in engine/cpu only"),
    ("engine/nn/bad.cpp", "#include <cuda_runtime.h>\n", "belongs in engine/cuda and tests/emulator only"),
    ("engine/core/bad.cpp", "#include <mpi.h>\n", "belongs in engine/dist only"),
    ("ride/bad.cpp", "#include <CLI/CLI.hpp>\n", "belongs in apps only"),
    ("ride/bad.cpp", "#include <doctest/doctest.h>\n", "belongs in tests only"),
    ("data/bad.h", "#pragma once\n#include <nlohmann/json.hpp>\n", "slow to compile"),
    ("data/loader.cpp", '#include <vector>\n#include "data/loader.h"\n', "its first include must be"),
    ("data/bad.h", "#pragma once\ninline std::size_t size();\n", "does not compile alone"),
    ("engine/autograd/backward.cpp", "", "is not used any more"),
]


def write_tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), CLEAN)
        found, _ = check_tree(Path(folder))
        if found:
            failures.append("the clean tree is not clean: " + "; ".join(found))
    for file, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            write_tree(Path(folder), {**CLEAN, file: text})
            found, _ = check_tree(Path(folder))
            if len(found) != 1 or expected not in found[0] or not found[0].startswith(f"{file}:"):
                failures.append(f"{file} with {text!r}: expected one report with '{expected}', got {found}")
    print("\n".join(failures or [f"self-test: a clean tree passes, {len(PLANTED)} planted violations are found"]))
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--include", action="append", default=[], metavar="DIR", help="folder of library headers")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    found, summary = check_tree(options.root.resolve(), options.include)
    print("\n".join([*found, f"includes: {summary}; {len(found)} violations"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
