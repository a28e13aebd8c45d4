#!/usr/bin/env bash
# Sets up, builds and tests everything: formatting, include rules, every test program, the programs of apps/, scripts.
# The last line is `N passed, N failed`, with `, N skipped` where there are any; the exit status is 1 if one failed.
set -uo pipefail
# shellcheck source=apps/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../apps/env.sh"
# shellcheck source=tests/counts.bash
source "$root/tests/counts.bash"
cd "$root" || exit 1

scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT

# run_unittests NAME FOLDER: Python's unittest in FOLDER; each of its tests counts.
run_unittests() {
  local name=$1 log="$scratch/$1.log" status=0 total absent broken test_name
  printf -- '---- %s\n' "$name"
  PYTHONDONTWRITEBYTECODE=1 RIDE_BUILD="$build" timeout "$limit" "$venv/bin/python" -m unittest discover --verbose \
    -s "$2" -p '*_test.py' 2>&1 | tee "$log" || status=$?
  total=$(sed -En 's/^Ran ([0-9]+) tests? in .*/\1/p' "$log")
  if [[ -z $total ]]; then
    fail "$name (exit status $status, no summary)"
    return
  fi
  # A test with several broken subtests is one failed test.
  mapfile -t broken < <(sed -En 's/^(FAIL|ERROR): ([^ ]+ \([^)]*\)).*/\2/p' "$log" | sort -u)
  mapfile -t absent < <(sed -En 's/^(.*) \.\.\. skipped (.*)$/\1: \2/p' "$log")
  passed=$((passed + total - ${#broken[@]} - ${#absent[@]}))
  skipped=$((skipped + ${#absent[@]}))
  for test_name in "${absent[@]}"; do skips+=("$name: $test_name"); done
  for test_name in "${broken[@]}"; do fail "$name: $test_name"; done
  if [[ $status -ne 0 && ${#broken[@]} -eq 0 ]]; then fail "$name (exit status $status)"; fi
}

# The sources under version control, or all of them where this is no clone.
# shellcheck disable=SC2317  # called through bash -c
format_check() {
  local files
  mapfile -d '' files < <(git -c safe.directory="$root" ls-files -z -- '*.h' '*.cpp' '*.cu' 2>/dev/null)
  if [[ ${#files[@]} -eq 0 ]]; then
    mapfile -d '' files < <(find engine data ride apps tests -regex '.*\.\(h\|cpp\|cu\)' -print0)
  fi
  # shellcheck disable=SC2016  # $1 is the inner shell's
  printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c '
    clang-format --dry-run -Werror "$1" >/dev/null 2>&1 || { echo "not formatted: clang-format -i $1"; exit 1; }' _
}

# Names and paths of the programs that Meson knows as tests, so that a stale one left in build/ is not run.
test_programs() {
  meson introspect "$build" --tests | "$venv/bin/python" -c '
import json, sys
for test in json.load(sys.stdin):
    print(test["name"], test["cmd"][0], sep="\t")'
}

# What kernels are compiled for and this processor has (engine/cpu/isa.h), but for the best of them.
other_instruction_sets() {
  grep -qw avx2 /proc/cpuinfo || return
  echo baseline
  if grep -qw avx512bw /proc/cpuinfo; then echo avx2; fi
}

apps/setup.sh || { fail setup; finish; }
PATH="$venv/bin:$PATH"
export -f format_check
export root
run_one format bash -c format_check
run_one includes "$venv/bin/python" tests/check_includes.py --include "$venv/include"
run_one includes-self-test "$venv/bin/python" tests/check_includes.py --self-test
run_one resources-self-test "$venv/bin/python" tests/cuda/resources.py --self-test

printf -- '---- build\n'
if ! ride_build all; then
  fail build
  finish
fi
passed=$((passed + 1))

run_one resources "$venv/bin/python" tests/cuda/resources.py --build "$build"

while IFS=$'\t' read -r name program; do
  run_program "$name" "$program" </dev/null
done < <(test_programs)
# What ran on kernels of this processor's best instruction set alone, once more on those of the others.
for isa in $(other_instruction_sets); do
  export RIDE_CPU_ISA=$isa
  run_program "cpu, $isa" "$build/tests/cpu/test-cpu" --test-case='Winograd*' </dev/null
  run_program "nn, $isa" "$build/tests/nn/test-nn" </dev/null
  run_program "ops, $isa" "$build/tests/ops/test-ops" --test-case='*conv*' </dev/null
  unset RIDE_CPU_ISA
done
run_unittests programs tests/apps </dev/null
for script in tests/*.sh; do
  [[ $script == tests/run.sh ]] || run_one "$(basename "$script" .sh)" bash "$script" </dev/null
done
finish
