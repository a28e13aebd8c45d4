"""What Meson makes of CUDA toolkits that can't build the back end: none under `auto`, an error under `enabled`."""
import json
import os
import shutil
import subprocess
import unittest

from support import BUILD, ROOT, Temporary

MESON = shutil.which("meson")
NVCC = """#!/bin/sh
case $1 in
  --version) echo 'Cuda compilation tools, release {release}, V{release}.88' ;;
  --list-gpu-arch) printf 'compute_%s\\n' 75 80 86 90 ;;
esac
"""


def options_of_build():
    """Where the build under test found its packages."""
    options = subprocess.run([MESON, "introspect", "--buildoptions", str(BUILD)], capture_output=True, text=True,
                             check=True)
    prefixes = next(o["value"] for o in json.loads(options.stdout) if o["name"] == "cmake_prefix_path")
    return [f"-Dcmake_prefix_path={','.join(prefixes)}"]


@unittest.skipUnless(MESON, "meson is not on PATH")
class Configure(Temporary):
    def configure(self, state, release="13.0", runtime=True, code=0):
        """The line about the back end that Meson ends with, for a toolkit of this release that compiles nothing."""
        toolkit = self.folder / "toolkit"
        for part in ("bin", "include", "lib64"):
            (toolkit / part).mkdir(parents=True, exist_ok=True)
        nvcc = toolkit / "bin/nvcc"
        nvcc.write_text(NVCC.format(release=release))
        nvcc.chmod(0o755)
        for header in ("cudnn.h", "cublasLt.h", "cudnn_frontend.h"):
            (toolkit / "include" / header).touch()
        (toolkit / "include/cudnn_version.h").write_text("#define CUDNN_MAJOR 9\n")
        if runtime:
            (toolkit / "lib64/libcudart_static.a").write_bytes(b"!<arch>\n")
        done = subprocess.run([MESON, "setup", str(self.folder / "build"), str(ROOT), *options_of_build(),
                               f"-Dcuda={state}", "-Dtests=disabled", f"-Dcudnn_root={toolkit}",
                               f"-Dcudnn_frontend_root={toolkit / 'include'}"],
                              capture_output=True, text=True, timeout=240,
                              env=os.environ | {"PATH": f"{toolkit / 'bin'}:{os.environ['PATH']}"})
        self.assertEqual(done.returncode, code, done.stdout[-2000:] + done.stderr[-2000:])
        lines = [line for line in done.stdout.splitlines() if "CUDA back end" in line]
        self.assertTrue(lines, done.stdout[-2000:])
        return lines[-1]

    def test_a_whole_toolkit(self):
        self.assertRegex(self.configure("auto"), r"CUDA back end *: for 80, 90")

    def test_a_toolkit_that_is_too_old(self):
        line = self.configure("auto", release="12.8")
        self.assertIn("no, these are missing: nvcc 13 or newer", line)
        self.assertIn("is of version 12.8", line)

    def test_a_toolkit_without_the_static_runtime(self):
        self.assertIn("no, these are missing: the runtime as a static library", self.configure("auto", runtime=False))

    def test_both_are_errors_where_the_back_end_is_wanted(self):
        line = self.configure("enabled", release="12.8", runtime=False, code=1)
        self.assertIn("the CUDA back end can't be built, these are missing: nvcc 13 or newer", line)
        self.assertIn("the runtime as a static library", line)
