#!/usr/bin/env bash
# Trains a plain classifier and RIDE with three experts on the same long-tailed data, and compares them class by class.
set -euo pipefail
# shellcheck source=apps/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

usage() {
  cat <<'TEXT'
quickstart.sh [--data DIR] [--epochs N] [--out DIR] [--fresh]

Sets up, builds, trains cross-entropy and then RIDE-3 on long-tailed Fashion-MNIST (a few minutes on two cores), prints
a table and draws the accuracy of every class. An interrupted run goes on where it stopped.

  --data DIR   use CIFAR-100 from DIR (train.bin and test.bin, or the python version): long-tailed, 30 epochs
  --epochs N   train so long instead; the recipe's schedule is scaled in proportion
  --out DIR    where results go (default: runs/quickstart, with --data runs/quickstart-cifar100)
  --fresh      forget an earlier run in that folder
TEXT
}

data='' epochs='' out='' fresh=no
while [[ $# -gt 0 ]]; do
  case $1 in
    --data | --epochs | --out)
      [[ -n ${2:-} ]] || die "$1 needs a value (see --help)"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    --fresh) fresh=yes && shift ;;
    -h | --help) usage && exit ;;
    *) die "unknown option '$1' (see --help)" ;;
  esac
done

if [[ -n $data ]]; then
  [[ -d $data ]] || die "--data: no folder $data"
  recipes=$root/apps/recipes/cifar100-lt title='Long-tailed CIFAR-100'
  epochs=${epochs:-30} out=${out:-$root/runs/quickstart-cifar100}
else
  data=/usr/share/datasets/fashion-mnist  # of the Debian package dataset-fashion-mnist, which setup.sh brings
  recipes=$root/apps/recipes/fashion-mnist-lt title='Long-tailed Fashion-MNIST'
  out=${out:-$root/runs/quickstart}
fi

"$root/apps/setup.sh"
ride_build_programs

[[ $fresh == no ]] || rm -rf "$out/ce" "$out/ride-3"
for name in ce ride-3; do
  say "training $name: $recipes/$name.toml"
  "$build/apps/ride-train" -r "$recipes/$name.toml" --data "$data" ${epochs:+--epochs "$epochs"} \
    --resume auto --out "$out/$name"
done
for name in ce ride-3; do
  "$build/apps/ride-evaluate" --checkpoint "$out/$name/checkpoints/last.safetensors" -r "$out/$name/recipe.toml" \
    --data "$data" --json >"$out/$name/evaluation.json"
done

echo
"$venv/bin/python" "$root/apps/figure.py" --title "$title: accuracy of every class" --out "$out/classes" \
  "cross-entropy=$out/ce/evaluation.json" "RIDE, 3 experts=$out/ride-3/evaluation.json"
echo "runs: $out/ce and $out/ride-3 (recipe, log, metrics, checkpoints)"
