#!/usr/bin/env bash
# Runs all that there is to run where there is a GPU, and then measures. See usage() below.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=tests/counts.bash
source "$root/tests/counts.bash"
# shellcheck source=tests/gpu/end_to_end.bash
source "$root/tests/gpu/end_to_end.bash"
# shellcheck source=tests/gpu/measure.bash
source "$root/tests/gpu/measure.bash"

usage() {
  cat <<'TEXT'
run.sh [--device NAME] [--only tests|measure] [--quick] [--budget SECONDS] [--out DIR]
       [--build DIR] [--data DIR] [--recipe FILE] [--set KEY=VALUE]... [--peer FILE]

Tests a device and measures its speed: in a checkout with a build folder, or in a folder that tests/gpu/pack.sh made and
that was unpacked on a machine without compiler or network. Every step has a time limit, and one that fails stops none
of the others. Prints a table of what passed, failed and was skipped, then one of the measurements; the last line is
`N passed, N failed`, with `, N skipped` where something was. Exit status: 0, 1 where something failed, 77 where there
is no GPU.

  --device NAME     cuda (the default), cuda:<index>; cpu runs the same steps in small, to try out this script
  --only PART       tests or measure
  --quick           measure only what counts most
  --budget SECONDS  begin no measurement after so many (480); what was left out is said
  --out DIR         where logs, runs and measurements.jsonl go (runs/gpu)
  --build DIR       the programs (build)
  --data DIR        CIFAR-100, or the data of --recipe; what needs it is skipped where there is none
  --recipe FILE     what is trained (apps/recipes/cifar100-lt/ride-3.toml, two epochs)
  --set KEY=VALUE   overrides a key of it
  --peer FILE       a Python program that measures PyTorch: takes --model --batch --precision --device --steps --warmup
                    --infer --compile --channels-last --cuda-graph and prints a JSON line with ms and images_per_second
TEXT
}

say() { printf 'run: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 2
}

device=cuda only='' quick=no budget=480 out=$root/runs/gpu build=$root/build data='' peer=''
recipe=$root/apps/recipes/cifar100-lt/ride-3.toml overrides=() epochs=(--epochs 2)
library_path=${LD_LIBRARY_PATH:-}
if [[ -f $root/packed ]]; then  # by pack.sh: with libraries, a peer where it was given one, and a set that is drawn
  library_path=$root/lib${library_path:+:$library_path}
  [[ -d $root/cifar-100-binary ]] && data=$root overrides=(--set data.imbalance=1)
  [[ -f $root/peer.py ]] && peer=$root/peer.py
fi
while [[ $# -gt 0 ]]; do
  case $1 in
    --device | --only | --budget | --out | --build | --data | --recipe | --peer)
      [[ -n ${2:-} ]] || die "$1 needs a value (see --help)"
      printf -v "${1#--}" '%s' "$2"
      [[ $1 == --recipe ]] && epochs=()
      [[ $1 == --data ]] && overrides=()
      shift 2
      ;;
    --set)
      [[ -n ${2:-} ]] || die "--set needs a value (see --help)"
      overrides+=(--set "$2")
      shift 2
      ;;
    --quick) quick=yes && shift ;;
    -h | --help) usage && exit ;;
    *) die "unknown option '$1' (see --help)" ;;
  esac
done
[[ $device == cpu || $device =~ ^cuda(:[0-9]+)?$ ]] || die "--device: '$device' is none of cpu, cuda, cuda:<index>"
[[ -z $only || $only == tests || $only == measure ]] || die "--only: '$only' is none of tests, measure"
[[ $budget =~ ^[0-9]+$ ]] || die "--budget: '$budget' is no number of seconds"
[[ -x $build/apps/ride-train ]] || die "no programs in $build: build them, or name another folder with --build"
[[ -f $recipe ]] || die "--recipe: no file $recipe"
[[ -z $data || -d $data ]] || die "--data: no folder $data"
[[ -z $peer || -f $peer ]] || die "--peer: no file $peer"

# cuDNN and cuBLAS may be installed as packages of Python alone.
python_libraries() {
  python3 -c 'import glob, sysconfig; print(":".join(glob.glob(sysconfig.get_path("purelib") + "/nvidia/*/lib")))' \
    2>/dev/null
}

# seconds_left MOST: so many, or what is left of the budget, but 1 at least.
seconds_left() {
  local left=$((budget - SECONDS))
  ((left < $1)) || left=$1
  echo $((left < 1 ? 1 : left))
}

# program NAME ARGUMENTS...: a program of apps/, with a time limit.
program() {
  local name=$1
  shift
  LD_LIBRARY_PATH=$library_path timeout -k 10 "$limit" "$build/apps/ride-$name" "$@"
}

rows=()  # of the table of tests

# row NAME COMMAND...: runs a command and adds to the table what it adds to the counts.
row() {
  local name=$1 start=$SECONDS before=("$passed" "$failed" "$skipped")
  shift
  "$@"
  rows+=("$(printf '%-46s %7d %7d %8d %8d' "$name" $((passed - before[0])) $((failed - before[1])) \
    $((skipped - before[2])) $((SECONDS - start)))")
}

# check NAME COMMAND...: a row that is one test. What the command says goes to a log, whose end is shown if it fails;
# with status 77 it is skipped, and the log's last line says why.
check() { row "$1" count_check "$@"; }
# shellcheck disable=SC2317  # called through row
count_check() {
  local name=$1 status=0 log limit=90
  log=$out/$(tr -cs 'a-z0-9' - <<<"${1,,}" | sed 's/-$//').log
  shift
  printf -- '---- %s\n' "$name"
  "$@" >"$log" 2>&1 || status=$?
  case $status in
    0) passed=$((passed + 1)) ;;
    77) skip "$name: $(tail -n 1 "$log")" ;;
    124) fail "$name (still running after $limit s; $log)" ;;
    *) fail "$name (exit status $status; $log)" ;;
  esac
  [[ $status -eq 0 || $status -eq 77 ]] || tail -n 12 "$log"
}

# test_program NAME SECONDS: one of the build folder's. If it fails on a GPU, it runs once more and waits after every
# launch: the log then names the op that went wrong, where the first one names all that it can have been.
# shellcheck disable=SC2317  # called through row
test_program() {
  local path=$build/tests/$1/test-$1 limit=$2 failed_before=$failed
  if [[ ! -x $path ]]; then
    skip "test-$1: not in $build"
    return
  fi
  LD_LIBRARY_PATH=$library_path run_program "test-$1" "$path"
  cp "$scratch/test-$1.log" "$out"
  [[ $failed -gt $failed_before && $device != cpu ]] || return 0
  RIDE_CUDA_SYNC=1 LD_LIBRARY_PATH=$library_path timeout -k 10 "$(seconds_left 120)" "$path" --no-colors \
    >"$out/test-$1-waiting.log" 2>&1
}

has_gpu() { compgen -G '/dev/nvidia[0-9]*' >/dev/null || nvidia-smi -L >/dev/null 2>&1; }

describe_machine() {
  echo "$(uname -sr), $(nproc) processors"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null
  [[ -f $root/packed ]] && cat "$root/packed"
  return 0
}

scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out" || die "--out: can't make $out"
out=$(cd "$out" && pwd -P)
if [[ $device != cpu ]]; then
  found=$(python_libraries) && library_path+=${found:+${library_path:+:}$found}
  if ! has_gpu; then
    say "skipped: no GPU on this machine. A program says: $(limit=60 program bench --device "$device" 2>&1 | tail -n 1)"
    exit 77
  fi
fi
describe_machine | tee "$out/machine.txt"
if [[ $only != measure ]]; then
  run_tests
  {
    printf '\n%-46s %7s %7s %8s %8s\n' test passed failed skipped seconds
    printf '%s\n' "${rows[@]}"
    counts_line
  } | tee "$out/tests.txt"
fi
[[ $only == tests ]] || measure
finish
