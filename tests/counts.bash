# shellcheck shell=bash disable=SC2154
# Shared by tests/run.sh and tests/gpu/run.sh: what passed, failed and was skipped. Sourced, never run; `scratch` is a
# folder of the caller's.

passed=0 failed=0 skipped=0 failures=() skips=()
limit=900  # seconds for one program: a hang is a failure with a name

fail() { failed=$((failed + 1)) failures+=("$1"); }
skip() { skipped=$((skipped + 1)) skips+=("$1"); }

# `N passed, N failed`, with `, N skipped` where there are any.
counts_line() {
  local line="$passed passed, $failed failed"
  [[ $skipped -gt 0 ]] && line+=", $skipped skipped"
  echo "$line"
}

# Names what was skipped and what failed, counts, and ends the script: with status 1 if something failed.
finish() {
  local name
  for name in "${skips[@]}"; do echo "skipped: $name"; done
  for name in "${failures[@]}"; do echo "failed: $name"; done
  counts_line
  exit $((failed > 0))
}

# run_one NAME COMMAND...: one command that counts as one test. Exit status 77 means skipped, as in Meson.
run_one() {
  local name=$1 status=0
  shift
  printf -- '---- %s\n' "$name"
  timeout "$limit" "$@" || status=$?
  case $status in
    0) passed=$((passed + 1)) ;;
    77) skip "$name" ;;
    124) fail "$name (still running after $limit s)" ;;
    *) fail "$name (exit status $status)" ;;
  esac
}

# run_program NAME PROGRAM [OPTION...]: a doctest program; each of its test cases counts. One that says "skipped" in a message and
# returns (its data or its device is not on this machine) is no pass.
run_program() {
  local name=$1 log="$scratch/${1// /-}.log" status=0 counts cases_passed cases_failed case_name absent
  printf -- '---- %s\n' "$name"
  timeout -k 10 "$limit" "${@:2}" --no-colors 2>&1 | tee "$log" || status=$?
  counts=$(sed -En 's/^\[doctest\] test cases: +[0-9]+ \| +([0-9]+) passed \| +([0-9]+) failed.*/\1 \2/p' "$log")
  if [[ -z $counts ]]; then
    fail "$name (exit status $status, no summary)"
    return
  fi
  read -r cases_passed cases_failed <<<"$counts"
  mapfile -t absent < <(awk '
    /^TEST CASE: / { name = $0; sub(/^TEST CASE: */, "", name) }
    / ERROR: / { failed[name] = 1 }
    /MESSAGE: .*[Ss][Kk][Ii][Pp]/ { skip[name] = 1 }
    END { for (name in skip) if (!(name in failed)) print name }' "$log")
  passed=$((passed + cases_passed - ${#absent[@]}))
  skipped=$((skipped + ${#absent[@]}))
  for case_name in "${absent[@]}"; do skips+=("$name: $case_name"); done
  failed=$((failed + cases_failed))
  if [[ $cases_failed -gt 0 ]]; then
    failures+=("$name: $cases_failed test cases")
  elif [[ $status -ne 0 ]]; then
    fail "$name (exit status $status)"
  fi
}
