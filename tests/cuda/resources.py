#!/usr/bin/env python3
"""Checks what ptxas made of the kernels: no spilled registers, no arrays in local memory, and blocks that fit a device.

resources.py [--build DIR] [--cuobjdump PROGRAM]   the objects of DIR/engine/cuda, for all architectures they hold; prints
                                                   a line for each violation and a summary, exit status 1 if any is there
resources.py --self-test                           plants each kind of violation in a listing and expects it found

Exit status 77 (skipped) where no CUDA part was built or there is no cuobjdump. Standard library only.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REGISTERS = 64 * 1024  # of a block, given to threads eight at a time
SHARED = 48 * 1024  # bytes of a block, without asking for more
# What a kernel without __launch_bounds__ is launched with: threads_per_block of engine/cuda/launch_shape.h.
UNBOUNDED_THREADS = 256

# Kernels that may have a stack, by a part of their name, each with its reason.
EXCEPTIONS = {}


class Kernel(NamedTuple):
    name: str
    arch: str
    registers: int
    stack: int  # bytes of a thread, as local
    local: int
    shared: int  # bytes of a block; from sm_90 on with one KiB of the driver's
    threads: int  # at most


def threads_of(elf_listing):
    """{kernel: most threads} where __launch_bounds__ says so, from `cuobjdump --dump-elf`."""
    found = {}
    for section in re.split(r"^\.nv\.info\.", elf_listing, flags=re.MULTILINE)[1:]:
        bound = re.search(r"EIATTR_MAX_THREADS\s+Format:\s+\w+\s+Value:\s+(\w+) (\w+) (\w+)", section)
        if bound:
            x, y, z = (int(value, 16) for value in bound.groups())
            found[section.split(None, 1)[0]] = x * y * z
    return found


def kernels_of(listing, threads):
    """The kernels of `cuobjdump --dump-resource-usage`."""
    kernels, arch = [], ""
    for line in listing.splitlines():
        if line.startswith("arch = "):
            arch = line.split()[-1]
        elif name := re.match(r"\s*Function (\S+):$", line):
            function = name[1]
        elif "REG:" in line:
            used = {key: int(value) for key, value in re.findall(r"([A-Z]+):(\d+)", line)}
            kernels.append(Kernel(function, arch, used["REG"], used["STACK"], used["LOCAL"], used["SHARED"],
                                  threads.get(function, UNBOUNDED_THREADS)))
    return kernels


def violations(kernel):
    excused = any(part in kernel.name for part in EXCEPTIONS)
    for what, size in (("spilled registers or an array on the stack", kernel.stack), ("local memory", kernel.local)):
        if size and not excused:
            yield f"{size} bytes of {what}"
    registers = (kernel.registers + 7) // 8 * 8
    if registers * kernel.threads > REGISTERS:
        yield f"{kernel.threads} threads of {kernel.registers} registers, a block has {REGISTERS}"
    if kernel.shared > SHARED:
        yield f"{kernel.shared} bytes of shared memory, a block has {SHARED}"


def find_tool(asked):
    """cuobjdump: as asked for, the toolkit's, or that of NVIDIA's Python package."""
    packages = glob.glob(os.path.join(sys.prefix, "lib/python3*/site-packages/nvidia/*/bin/cuobjdump"))
    for candidate in (asked, shutil.which("cuobjdump"), "/usr/local/cuda/bin/cuobjdump", *packages):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return None


def skip(why):
    print(f"skipped: {why}")
    return 77


def report(kernels):
    broken = 0
    for kernel in kernels:
        for violation in violations(kernel):
            print(f"{kernel.name} ({kernel.arch}): {violation}")
            broken += 1
    most = {field: max(kernels, key=lambda k: getattr(k, field)) for field in ("registers", "shared")}
    print(f"resources: {len(kernels)} kernels for {', '.join(sorted({k.arch for k in kernels}))}; most registers "
          f"{most['registers'].registers}, most shared memory {most['shared'].shared} bytes, "
          f"{sum(k.threads != UNBOUNDED_THREADS for k in kernels)} with launch bounds of their own; {broken} violations")
    return 1 if broken else 0


def self_test():
    def listing(used):
        return f"Fatbin elf code:\n================\narch = sm_90\n\nResource usage:\n Common:\n  GLOBAL:0\n" \
               f" Function kernel:\n  {used} CONSTANT[0]:872 TEXTURE:0 SURFACE:0 SAMPLER:0\n"

    elf = ".nv.info.kernel\n\t<0x1>\n\tAttribute:\tEIATTR_MAX_THREADS\n\tFormat:\tEIFMT_SVAL\n\tValue:\t0x400 0x1 0x1 \n"
    for used, elf_listing, expected in (
            ("REG:64 STACK:0 SHARED:0 LOCAL:0", elf, []),
            ("REG:40 STACK:0 SHARED:49152 LOCAL:0", "", []),
            ("REG:255 STACK:0 SHARED:0 LOCAL:0", "", []),
            ("REG:40 STACK:16 SHARED:0 LOCAL:0", "", ["16 bytes of spilled"]),
            ("REG:40 STACK:0 SHARED:0 LOCAL:8", "", ["8 bytes of local"]),
            ("REG:65 STACK:0 SHARED:0 LOCAL:0", elf, ["1024 threads of 65 registers"]),
            ("REG:40 STACK:0 SHARED:50000 LOCAL:0", "", ["50000 bytes of shared"])):
        (kernel,) = kernels_of(listing(used), threads_of(elf_listing))
        found = list(violations(kernel))
        if kernel.arch != "sm_90" or len(found) != len(expected) or \
                not all(text.startswith(start) for text, start in zip(found, expected)):
            print(f"self-test: {used} gave {found}, expected {expected}")
            return 1
    print("self-test: every planted violation was found")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--cuobjdump")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    objects = sorted(Path(options.build).glob("engine/cuda/*.cu.o"))
    if not objects:
        return skip(f"no CUDA part in {options.build}")
    tool = find_tool(options.cuobjdump)
    if not tool:
        return skip("no cuobjdump (of the CUDA toolkit, or pip install nvidia-cuda-cuobjdump)")

    kernels = []
    for path in objects:
        def dump(what, path=path):
            return subprocess.run([tool, what, path], capture_output=True, text=True, check=True).stdout
        kernels += kernels_of(dump("--dump-resource-usage"), threads_of(dump("--dump-elf")))
    if not kernels:
        print(f"{tool} lists no kernel in {objects[0]}")
        return 1
    return report(kernels)


if __name__ == "__main__":
    sys.exit(main())
