#!/usr/bin/env bash
# The CPU's kernels under valgrind, which knows every byte: nothing is read past an operand's end or before it is
# written. It has no AVX-512, so these are AVX2's. Takes a minute; skipped where valgrind is not installed.
set -euo pipefail
# shellcheck source=apps/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../apps/env.sh"

command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind"; exit 77; }
cases=('batch_lanes: every*' 'batch_lanes: layout*' 'row kernels*' 'weight gradient kernels*' 'weight gradient: random*'
  'direct lanes: any*' 'direct lanes: tensors' 'Winograd in lanes: a *' 'Winograd in lanes: the number*' '*shared input*')
export RIDE_TEST_DRAWS=1 OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive
valgrind -q --error-exitcode=1 --errors-for-leak-kinds=none "$build/tests/cpu/test-cpu" \
  --test-case="$(IFS=,; echo "${cases[*]}")"
