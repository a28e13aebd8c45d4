#!/usr/bin/env bash
# Brings what the build and the tests need on Debian 12, and only what is missing:
#   Debian packages                     through apt-get, as root or with sudo
#   Meson, Ninja, oneDNN, vl-convert,   from PyPI into .deps/venv inside the checkout (apps/requirements.txt)
#   cudnn-frontend (headers)
# Nothing else on the machine is touched. Where something can't be installed it is named, and the exit status is 1.
set -euo pipefail
# shellcheck source=apps/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

readonly packages=(g++ cmake pkg-config clang-format ca-certificates python3 python3-venv zlib1g-dev libfmt-dev
  nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libstb-dev doctest-dev dataset-fashion-mnist)

missing_packages() {
  if ! command -v dpkg-query >/dev/null; then
    printf '%s\n' "${packages[@]}"
    return
  fi
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
    sed -n 's/^installed //p') || true
  printf '%s\n' "${packages[@]}" | grep -vxF -f <(printf '%s\n' "$installed" | sed '/^$/d') || true
}

# Sets as_root to the words that run a command as root; empty for root itself.
find_root() {
  as_root=()
  [[ $EUID -eq 0 ]] && return
  command -v sudo >/dev/null || return 1
  # Without a terminal nobody can type a password: then only a sudo that needs none is of use.
  if [[ -t 0 ]]; then as_root=(sudo); else as_root=(sudo -n); fi
  "${as_root[@]}" true
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -eq 0 ]] && return
  local wanted="these Debian packages are missing: ${missing[*]}"
  command -v apt-get >/dev/null || die "$wanted; there is no apt-get here (the project is built on Debian 12)"
  find_root || die "$wanted; run this script as root or as a user with sudo, or have them installed:
  apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  local log="$deps/apt.log"
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    mapfile -t missing < <(missing_packages)
    die "apt-get could not install: ${missing[*]} (its last words are above, all of them in $log)"
  }
}

# Names a Python that can make virtual environments: Debian's own before whatever stands first on PATH.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
    if [[ -x $candidate ]] && "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

install_prefix() {
  local requirements stamp
  requirements="$root/apps/requirements.txt"
  # Scripts in a virtual environment hold its absolute path, so a moved checkout needs a new one.
  stamp="$venv"$'\n'"$(<"$requirements")"
  [[ -x $venv/bin/python && -f $venv/.ride-stamp && "$(<"$venv/.ride-stamp")" == "$stamp" ]] && return
  local python names
  names=$(sed -n 's/^\([A-Za-z].*\)$/\1/p' "$requirements" | tr '\n' ' ')
  python=$(find_python) || die "no Python with the venv and ensurepip modules (Debian: python3-venv); needed for $names"
  say "installing ${names}into ${venv#"$root/"}"
  local log="$deps/pip.log"
  rm -rf "$venv"
  # pip brings its own list of authorities; the system's also has those that this machine's owner added.
  local authorities=/etc/ssl/certs/ca-certificates.crt
  { "$python" -m venv "$venv" &&
    if [[ -z ${PIP_CERT:-} && -r $authorities ]] &&
      ! "$venv/bin/python" -m pip config get global.cert >/dev/null 2>&1; then
      local -x PIP_CERT=$authorities
    fi &&
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps -q -r "$requirements"
  } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "could not install from PyPI: $names(what pip said is above and in $log)"
  }
  printf '%s\n' "$stamp" >"$venv/.ride-stamp"
}

mkdir -p "$deps" 2>/dev/null || true
[[ -w $deps && -w $root ]] || die "can't write to $deps: give $root to $(id -un), or work in a clone of your own"
# Two commands started at the same time must not both install.
exec 9>"$deps/lock"
flock 9
install_packages
install_prefix
