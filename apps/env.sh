# shellcheck shell=bash
# Shared by the shell scripts: where things are, how they speak, how the project is built. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
deps=$root/.deps
venv=$deps/venv
build=$root/build

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# The architectures of this machine's NVIDIA GPUs, as 80,90; without any the one that most servers have, so that the
# CUDA part compiles in a minute. Meson's own default is all that the toolkit knows.
gpu_arch() {
  local found
  found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d '. ' | sort -u | paste -sd,)
  echo "${found:-90}"
}

# Configures build/ where it is not, or belongs to a checkout at another place. Warnings are errors where CI=true.
ride_configure() {
  # Meson gives programs in build/ the way to libdnnl.so by itself; the link argument gives it to installed ones too.
  local options=("--cmake-prefix-path=$venv" "-Dcpp_link_args=-Wl,-rpath,$venv/lib"
    "-Dgpu_arch=$(gpu_arch)")
  local belongs="$build/.ride-source"
  [[ ${CI:-} == true ]] && options+=(-Dwerror=true)
  if [[ -f $build/build.ninja && -f $belongs && "$(<"$belongs")" == "$root" ]]; then
    if [[ ${CI:-} == true ]] && ! grep -q -- '-Werror' "$build/build.ninja"; then
      PATH="$venv/bin:$PATH" meson configure "$build" -Dwerror=true || return
    fi
  else
    [[ -d $build/meson-private ]] && options+=(--wipe)
    PATH="$venv/bin:$PATH" meson setup "$build" "$root" "${options[@]}" || return
    printf '%s\n' "$root" >"$belongs"
  fi
}

# ride_build TARGET...: configures and builds.
ride_build() { ride_configure && PATH="$venv/bin:$PATH" ninja -C "$build" "$@"; }

# Configures and builds the programs of apps/, without the tests.
ride_build_programs() {
  ride_configure || return
  local programs
  mapfile -t programs < <("$venv/bin/ninja" -C "$build" --quiet -t targets all |
    sed -n 's/^\(apps\/ride-[a-z]*\): .*/\1/p')
  ride_build "${programs[@]}"
}
