# shellcheck shell=bash
# shellcheck disable=SC2154  # run.sh, which sources this, has the options, the counts and program
# The measurements of tests/gpu/run.sh: ride-bench beside PyTorch, where there is one.
#
# A job is `who model mode precision batch`. who: ride; recorded, its step as a CUDA graph; work, one that the profiler
# counts; and of PyTorch eager, compiled, and graph (compiled, with its own CUDA graphs), all in channels_last.

# By falling worth.
jobs_by_worth() {
  local who model mode precision
  if [[ $device == cpu ]]; then
    for who in work ride recorded eager; do echo "$who resnet32 train f32 4"; done
    return
  fi
  for precision in bf16 f32; do
    for who in work ride recorded eager compiled; do echo "$who ride-3 train $precision 128"; done
  done
  for who in work ride recorded eager compiled; do echo "$who resnet50 train bf16 128"; done
  for who in work ride eager compiled; do echo "$who ride-3 infer bf16 256"; done
  [[ $quick == yes ]] && return
  echo 'graph ride-3 train bf16 128'
  for who in work ride eager; do
    echo "$who resnet50 infer bf16 256"
    echo "$who resnet50 train f32 128"
    echo "$who resnet32 train bf16 128"
    echo "$who resnet32 train f32 128"
    for precision in bf16 f32; do
      for mode in train infer; do
        for model in ride-3 resnet32 resnet50; do
          case "$model $mode $precision" in
            'resnet50 train bf16' | 'resnet50 train f32' | 'resnet50 infer bf16' | 'ride-3 infer bf16') ;;
            *) echo "$who $model $mode $precision 256" ;;
          esac
        done
      done
    done
  done
  for who in compiled graph; do
    echo "$who resnet50 train bf16 128"
    echo "$who ride-3 train f32 128"
    echo "$who ride-3 infer bf16 256"
    echo "$who resnet32 train bf16 128"
  done
}

# run_job WHO MODEL MODE PRECISION BATCH: prints the program's JSON line.
run_job() {
  local who=$1 model=$2 mode=$3 precision=$4 batch=$5 steps=20 warmup=5 more=()
  [[ $device == cpu ]] && steps=2 warmup=1
  case $who in
    work) steps=2 more=(--profile) ;;
    recorded) more=(--graph) ;;
    eager) more=(--channels-last) ;;
    compiled) more=(--channels-last --compile) ;;
    graph) more=(--channels-last --compile --cuda-graph) ;;
  esac
  more+=(--model "$model" --precision "$precision" --batch "$batch" --device "$device" --steps "$steps"
    --warmup "$warmup")
  case $who in
    work | ride | recorded) program bench --mode "$mode" --json "${more[@]}" ;;
    *)
      [[ $mode == infer ]] && more+=(--infer)
      timeout -k 10 "$limit" python3 "$peer" "${more[@]}"
      ;;
  esac
}

declare -A gflop megabytes  # of a step, by `model mode precision batch`
declare -A peak_gflop       # of the device, by precision
measured=() peak_gigabytes=''

# One job, to measurements.jsonl and the table.
measure_job() {
  local who=$1 what="${*:2}" log line status=0
  log=$out/measure-${*// /-}.log
  line=$(run_job "$@" 2>"$log") || status=$?
  line=$(grep '^{' <<<"$line" | tail -n 1)
  if [[ $status -ne 0 || -z $line ]]; then
    echo "$* failed (exit status $status): $(tail -n 1 "$log")"
    case $who in work | ride | recorded) fail "measure $* (exit status $status; $log)" ;; esac
    return
  fi
  echo "{\"who\": \"$who\", ${line#\{}" >>"$out/measurements.jsonl"
  if [[ $who == work ]]; then
    gflop[$what]=$(field "$line" gflop) megabytes[$what]=$(field "$line" megabytes)
    peak_gflop[$4]=$(field "$line" peak_gflop_per_second)
    peak_gigabytes=$(field "$line" peak_gigabytes_per_second)
    return
  fi
  measured+=("$* $(field "$line" ms) $(field "$line" images_per_second)")
  echo "$* $(field "$line" ms) ms, $(field "$line" images_per_second) images/s"
}

# What a step does is counted once, by ride's profiler: PyTorch's rates are of the same work. Below stands what the device
# was measured to reach in the same precision (engine/kernels/peak.h).
measurements_table() {
  local line what precision
  printf '\n%-9s %-9s %-6s %-9s %6s %9s %10s %9s %8s\n' who model mode precision batch 'ms a step' images/s TFLOP/s GB/s
  printf '%s\n' "${measured[@]}" | sort -s -k 2,5 | while read -ra line; do
    [[ ${#line[@]} -gt 0 ]] || continue
    what="${line[*]:1:4}"
    awk -v who="${line[0]}" -v what="$what" -v ms="${line[5]}" -v rate="${line[6]}" -v gflop="${gflop[$what]:-}" \
      -v mb="${megabytes[$what]:-}" 'BEGIN {
        split(what, w, " ")
        flops = gflop == "" || ms == 0 ? "-" : sprintf("%.2f", gflop / ms)
        bytes = mb == "" || ms == 0 ? "-" : sprintf("%.0f", mb / ms)
        printf "%-9s %-9s %-6s %-9s %6s %9.2f %10.1f %9s %8s\n", who, w[1], w[2], w[3], w[4], ms, rate, flops, bytes }'
  done
  [[ -n $peak_gigabytes ]] || return 0
  printf 'measured peaks: '
  for precision in "${!peak_gflop[@]}"; do
    awk -v p="$precision" -v f="${peak_gflop[$precision]}" 'BEGIN { printf "%.2f TFLOP/s in %s, ", f / 1e3, p }'
  done
  awk -v b="$peak_gigabytes" 'BEGIN { printf "%.0f GB/s of memory\n", b }'
}

measure() {
  local job left=0 has_peer=no who
  : >"$out/measurements.jsonl"
  printf '\n---- measure\n'
  if [[ -z $peer ]]; then
    echo 'PyTorch is left out: no --peer'
  elif limit=$(seconds_left 120) && timeout -k 10 "$limit" python3 "$peer" --help >/dev/null 2>"$out/peer.log"; then
    has_peer=yes
  else
    echo "PyTorch is left out: $(tail -n 1 "$out/peer.log")"
  fi
  while read -ra job; do
    who=${job[0]}
    [[ $has_peer == yes || $who == work || $who == ride || $who == recorded ]] || continue
    limit=$(seconds_left 90)
    if [[ $limit -lt 5 ]]; then
      left=$((left + 1))
      continue
    fi
    measure_job "${job[@]}" </dev/null
  done < <(jobs_by_worth | awk '!seen[$0]++')
  [[ $left -eq 0 ]] || echo "not measured, as $budget s are over: $left (--budget)"
  measurements_table | tee "$out/measurements.txt"
}
