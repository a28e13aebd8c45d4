#!/usr/bin/env bash
# Packs what tests/gpu/run.sh needs on a machine without compiler and network. See usage() below.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

usage() {
  cat <<'TEXT'
pack.sh OUT.tar.zst|OUT.tar.xz [--build DIR] [--data DIR] [--test-images N] [--peer FILE] [--most MIB]

Packs the stripped programs and test programs of a build folder, the libraries they need (all but the C library's and
NVIDIA's), the recipes and the scripts into one archive. Elsewhere, unpacked: ride-gpu/tests/gpu/run.sh

  --build DIR      the build folder (build)
  --data DIR       CIFAR-100 in its binary version: packs the long-tailed training set of the recipes and the test set
  --test-images N  only the first N of the test set (2,000; its images are in random order)
  --peer FILE      a program for run.sh --peer
  --most MIB       refuse to make a larger archive (64)
TEXT
}

say() { printf 'pack: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

archive='' build=$root/build data='' test_images=2000 peer='' most=64
while [[ $# -gt 0 ]]; do
  case $1 in
    --build | --data | --test-images | --peer | --most)
      [[ -n ${2:-} ]] || die "$1 needs a value (see --help)"
      name=${1#--}
      printf -v "${name//-/_}" '%s' "$2"
      shift 2
      ;;
    -h | --help) usage && exit ;;
    -*) die "unknown option '$1' (see --help)" ;;
    *)
      [[ -z $archive ]] || die "one archive, not '$archive' and '$1'"
      archive=$1 && shift
      ;;
  esac
done
case $archive in
  *.tar.zst) pack_with='zstd -19 --long=27 -T0 -q' ;;  # programs have much in common: a window over all of them
  *.tar.xz) pack_with='xz -9 -T0' ;;
  '') die 'which archive? (see --help)' ;;
  *) die "'$archive' is no .tar.zst and no .tar.xz" ;;
esac
[[ $test_images =~ ^[1-9][0-9]*$ ]] || die "--test-images: '$test_images' is no number above 0"
[[ $most =~ ^[0-9]+$ ]] || die "--most: '$most' is no number of MiB"
[[ -z $peer || -f $peer ]] || die "--peer: no file $peer"
[[ -z $data || -d $data ]] || die "--data: no folder $data"
for program in apps/ride-train tests/gpu/test-gpu; do
  [[ -x $build/$program ]] || die "no $program in $build: build it with the CUDA part, or name another folder (--build)"
done

scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
folder=$scratch/ride-gpu

pack_programs() {
  local program target
  for program in apps/ride-{train,route,evaluate,predict,data,bench} tests/gpu/test-gpu tests/cuda/test-cuda; do
    [[ -x $build/$program ]] || continue
    target=$folder/build/$program
    mkdir -p "$(dirname "$target")"
    strip -o "$target" "$build/$program"
  done
}

# What programs are linked with and a machine may lack: neither the C library nor the loader, which belong together.
pack_libraries() {
  local library
  mkdir -p "$folder/lib"
  ldd "$folder"/build/apps/* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -Ev '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux[^/]*)\.so' | while read -r library; do
    cp -L "$library" "$folder/lib"
  done
}

pack_sources() {
  mkdir -p "$folder"/{apps,tests/gpu,tests/data/files/images}
  cp -r "$root/apps/recipes" "$folder/apps"
  rm -rf "$folder"/apps/recipes/*/results
  cp "$root/tests/counts.bash" "$folder/tests"
  cp "$root"/tests/gpu/{run.sh,*.bash} "$folder/tests/gpu"
  cp "$root/tests/data/files/images/small.png" "$folder/tests/data/files/images"
  [[ -z $peer ]] || cp "$peer" "$folder/peer.py"
}

pack_data() {
  local files=$data target=$folder/cifar-100-binary
  [[ -f $files/train.bin ]] || files=$data/cifar-100-binary
  [[ -f $files/train.bin && -f $files/test.bin ]] ||
    die "--data: no train.bin and test.bin in $data: the binary version of CIFAR-100 is needed"
  mkdir -p "$target"
  "$build/apps/ride-data" draw --dataset cifar100 --data "$data" 2>/dev/null |
    python3 "$root/tests/gpu/cut_cifar.py" "$files/train.bin" "$target/train.bin"
  head -c $((test_images * 3074)) "$files/test.bin" >"$target/test.bin"
  [[ ! -f $files/fine_label_names.txt ]] || cp "$files/fine_label_names.txt" "$target"
}

mkdir -p "$folder"
pack_programs
pack_libraries
pack_sources
[[ -z $data ]] || pack_data
revision=$(git -c safe.directory="$root" -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
echo "packed at revision $revision" >"$folder/packed"

tar -C "$scratch" -I "$pack_with" -cf "$scratch/archive" ride-gpu
bytes=$(stat -c %s "$scratch/archive")
mib=$(((bytes + 1048575) / 1048576))
if ((mib > most)); then
  (cd "$folder" && du -ah --apparent-size . | sort -rh | head -n 12 >&2)
  die "the archive has $mib MiB, at most $most: fewer --test-images, or a build for one -Dgpu_arch"
fi
mv "$scratch/archive" "$archive"
say "$archive: $mib MiB"
