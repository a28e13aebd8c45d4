#!/usr/bin/env bash
# The core and the CPU's kernels once more, with every access to memory and every overflow looked at by the compiler's
# sanitizers: the kernels of this processor and the baseline's. Builds a folder of its own; takes longer than all of
# tests/run.sh, which does not run it. The last line is `N passed, N failed`.
set -uo pipefail
# shellcheck source=apps/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../apps/env.sh"
# shellcheck source=tests/counts.bash
source "$root/tests/counts.bash"
cd "$root" || exit 1

limit=3600
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
folder=$root/build-sanitized

apps/setup.sh || { fail setup; finish; }
PATH="$venv/bin:$PATH"
if [[ ! -f $folder/.ride-source || "$(<"$folder/.ride-source")" != "$root" ]]; then
  rm -rf "$folder"
  meson setup "$folder" "$root" --cmake-prefix-path="$venv" -Dcpp_link_args="-Wl,-rpath,$venv/lib" -Dcuda=disabled \
    -Doptimization=2 -Ddebug=true -Db_sanitize=address,undefined || { fail build; finish; }
  printf '%s\n' "$root" >"$folder/.ride-source"
fi
ninja -C "$folder" tests/core/test-core tests/cpu/test-cpu || { fail build; finish; }

# What is still held at the end belongs to caches that live as long as the program.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
run_program core "$folder/tests/core/test-core" </dev/null
run_program cpu "$folder/tests/cpu/test-cpu" </dev/null
export RIDE_CPU_ISA=baseline
run_program "cpu, baseline" "$folder/tests/cpu/test-cpu" </dev/null
finish
