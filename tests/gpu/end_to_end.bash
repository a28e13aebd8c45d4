# shellcheck shell=bash
# shellcheck disable=SC2154  # run.sh, which sources this, has the options, the counts, program, row and check
# The tests of tests/gpu/run.sh: the test programs, and the programs of apps/ as a user runs them.

# field JSON KEY: the key's first value in a line of JSON.
field() { grep -o "\"$2\": *\"\?[^,\"}]*" <<<"$1" | head -n 1 | sed 's/^"[^"]*": *"\?//'; }

# last_value FILE KEY: the latest in a file of JSON lines.
last_value() { field "$(grep "\"$2\"" "$1" | tail -n 1)" "$2"; }

# near A B SHARE: two numbers that are no further apart than that share of the larger one. Says both.
near() {
  echo "$1 beside $2, allowed $3 of it"
  awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN {
    if (a !~ /^-?[0-9]/ || b !~ /^-?[0-9]/) exit 1
    larger = a < 0 ? -a : a; if ((b < 0 ? -b : b) > larger) larger = b < 0 ? -b : b
    away = a - b < 0 ? b - a : a - b
    exit !(away <= most * larger) }'
}

# train RUN ARGUMENTS...: from the beginning.
train() {
  local run=$out/$1
  shift
  rm -rf "$run"
  program train "${settings[@]}" "${epochs[@]}" --out "$run" "$@"
}

checkpoint() { echo "$out/$1/checkpoints/last.safetensors"; }
loss_of() { last_value "$out/$1/metrics.jsonl" train/loss; }

# evaluated RUN ARGUMENTS...: one JSON line.
evaluated() {
  local run=$1
  shift
  program evaluate --checkpoint "$(checkpoint "$run")" "${settings[@]}" --json "$@"
}

needs() {
  local run
  for run in "$@"; do
    [[ -f $(checkpoint "$run") ]] || { echo "needs the run '$run', which failed"; return 77; }
  done
}

# same_loss_as_plain RUN SHARE: both saw the same images, so that only roundings, which grow with every step, tell the
# mean losses of their last epochs apart.
same_loss_as_plain() { near "$(loss_of "$1")" "$(loss_of plain)" "$2"; }

train_plain() { train plain --device "$device"; }

train_recorded() {
  needs plain || return
  train recorded --device "$device" --graph && same_loss_as_plain recorded 0.05
}

# Two runs end with the same file, bit for bit: weights, optimizer, losses.
train_deterministic() {
  needs plain || return
  train same --device "$device" --deterministic && train same-again --device "$device" --deterministic &&
    cmp "$(checkpoint same)" "$(checkpoint same-again)" && same_loss_as_plain same 0.05
}

train_autotuned() {
  needs plain || return
  train autotuned --device "$device" --autotune && same_loss_as_plain autotuned 0.05
}

# With roundings of 1/256 at every layer.
train_bf16() {
  needs plain || return
  train bf16 --device "$device" --precision bf16 && same_loss_as_plain bf16 0.15
}

# Some images lie between two classes: their answer may differ.
evaluate_both() {
  local here there
  needs plain || return
  there=$(evaluated plain --device "$device") && here=$(evaluated plain --device cpu) || return
  near "$(field "$there" accuracy)" "$(field "$here" accuracy)" 0.02 &&
    near "$(field "$there" loss)" "$(field "$here" loss)" 0.01
}

evaluate_bf16() {
  needs bf16 || return
  near "$(field "$(evaluated bf16 --device "$device" --precision bf16)" loss)" \
    "$(field "$(evaluated bf16 --device "$device" --precision f32)" loss)" 0.05
}

route() {
  needs plain || return
  rm -rf "$out/routed"
  program route --checkpoint "$(checkpoint plain)" "${settings[@]}" --set route.epochs=1 --device "$device" \
    --out "$out/routed"
}

# The cascade calls as many experts on either device, which its mean cost shows.
evaluate_cascade() {
  local here there
  needs routed || return
  there=$(evaluated routed --device "$device") && here=$(evaluated routed --device cpu) || return
  grep -q '"experts_used"' <<<"$there" && near "$(field "$there" macs)" "$(field "$here" macs)" 0.02
}

predict() {
  needs plain || return
  program predict --checkpoint "$(checkpoint plain)" "${settings[@]}" --device "$device" \
    "$root/tests/data/files/images/small.png" | tee /dev/stderr | grep -q .
}

# stopped RUN ARGUMENTS...: a training that is stopped once its first epoch is over.
stopped() {
  local pid status=0 file
  rm -rf "${out:?}/$1"
  file=$(checkpoint "$1")
  LD_LIBRARY_PATH=$library_path "$build/apps/ride-train" "${settings[@]}" "${epochs[@]}" --out "$out/$1" "${@:2}" &
  pid=$!
  within "$limit" stopped_or_saved "$pid" "$file"
  kill -TERM "$pid" 2>/dev/null
  within 20 gone "$pid" || kill -KILL "$pid"
  wait "$pid" || status=$?
  [[ -f $file && ($status -eq 0 || $status -eq 143) ]]
}

gone() { ! kill -0 "$1" 2>/dev/null; }
stopped_or_saved() { gone "$1" || [[ -f $2 ]]; }

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
  local tick
  for ((tick = 0; tick < 10 * $1; ++tick)); do
    if "${@:2}"; then return 0; fi
    sleep 0.1
  done
  return 1
}

resume_on_cpu() {
  needs plain || return
  stopped moved --device "$device" || return
  program train "${settings[@]}" "${epochs[@]}" --out "$out/moved" --resume auto --device cpu &&
    same_loss_as_plain moved 0.05
}

resume_on_device() {
  needs plain || return
  stopped back --device cpu || return
  program train "${settings[@]}" "${epochs[@]}" --out "$out/back" --resume auto --device "$device" &&
    same_loss_as_plain back 0.05
}

# The error names the device and says how many there are.
bad_index() {
  local said status=0 expected='error: '
  [[ $device == cpu ]] || expected='error: .*no cuda:99'
  said=$(program bench --model resnet32 --batch 1 --steps 1 --warmup 0 --device cuda:99 2>&1) || status=$?
  echo "$said"
  [[ $status -eq 1 ]] && grep -q "$expected" <<<"$said"
}

run_tests() {
  row "test-gpu: the parity suite" test_program gpu 240
  # Whether cuDNN has a plan for every layer of every network, which only its library can say.
  [[ $device == cpu ]] || row "test-cuda: plans of cuDNN" test_program cuda 120
  check "a device that is not there" bad_index
  settings=(-r "$recipe" "${overrides[@]}")
  if [[ -z $data ]]; then
    skip 'the programs from end to end: no data (--data DIR)'
    rows+=("$(printf '%-46s %7d %7d %8d %8d' 'the programs from end to end' 0 0 1 0)")
    return
  fi
  settings+=(--data "$data")
  check "train" train_plain
  check "train, recorded step: the same loss" train_recorded
  check "train twice, deterministic: the same bits" train_deterministic
  check "train, autotuned: the same loss" train_autotuned
  check "evaluate: as on the CPU" evaluate_both
  check "route" route
  check "evaluate the cascade: as on the CPU" evaluate_cascade
  check "predict" predict
  check "train in bf16" train_bf16
  check "evaluate in bf16: as in f32" evaluate_bf16
  check "resume on the CPU what the device began" resume_on_cpu
  check "resume on the device what the CPU began" resume_on_device
}
