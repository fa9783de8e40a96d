# The Debian packages that Trireme needs, and how they get installed. To be sourced by bash.
# This is the only list: README.md, quickstart.sh, test.sh and devcluster all go by it.
# shellcheck shell=bash

# To build the executables and to run them.
# shellcheck disable=SC2034  # used by the scripts that source this file
TRIREME_PACKAGES_BUILD=(
  cmake ninja-build g++ pkg-config ccache
  libopenmpi-dev openmpi-bin libucx-dev libhdf5-dev libssl-dev zlib1g-dev
  libboost-dev libboost-program-options-dev libtomlplusplus-dev libeigen3-dev libdnnl-dev libfmt-dev nlohmann-json3-dev
  libpng-dev libjpeg62-turbo-dev libsentencepiece-dev libxxhash-dev libzip-dev
)
# The data that the example configs train on.
# shellcheck disable=SC2034
TRIREME_PACKAGES_DATA=(dataset-fashion-mnist)
# The text that the language configs train on (scripts/fetch_bible.sh).
# shellcheck disable=SC2034
TRIREME_PACKAGES_TEXT=(bible-kjv)
# To build the tests and benches.
# shellcheck disable=SC2034
TRIREME_PACKAGES_TEST=(libgtest-dev libgmock-dev libbenchmark-dev)
# What comparisons are made with (perf/); the benches are built without it too.
# shellcheck disable=SC2034
TRIREME_PACKAGES_PEERS=(libgloo-dev)
# To run a SLURM cluster on this machine (scripts/devcluster).
# shellcheck disable=SC2034
TRIREME_PACKAGES_CLUSTER=(slurm-wlm munge iproute2 util-linux openmpi-bin)

# missing_packages NAME...: prints those that are not installed, one a line.
missing_packages() {
  local package
  for package in "$@"; do
    # "ii" is: wanted and fully installed. A package that dpkg never heard of prints nothing.
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || echo "$package"
  done
}

# require_packages NAME...: installs what is missing, as root or through sudo. Where neither is to be had, it
# names the packages and returns 69 (EX_UNAVAILABLE). Does nothing at all when everything is there.
require_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian system: taking for granted that these are installed: $*" >&2
    return 0
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0

  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
  if ((EUID != 0)); then
    # Without a terminal sudo must not ask for a password, or a batch run would wait for ever.
    local sudo=(sudo)
    [[ -t 0 ]] || sudo+=(-n)
    if ! command -v sudo >/dev/null || ! "${sudo[@]}" true; then
      echo "These packages are missing, and installing them needs root:" >&2
      echo "  apt-get install ${missing[*]}" >&2
      return 69
    fi
    apt=("${sudo[@]}" "${apt[@]}")
  fi

  echo "Installing (this takes a few minutes on a fresh machine): ${missing[*]}"
  local install=("${apt[@]}" -qq install -y --no-install-recommends "${missing[@]}")
  # A fresh machine has no package lists, an old one stale ones; one update cures both.
  if apt-cache show "${missing[@]}" >/dev/null 2>&1 && "${install[@]}" >/dev/null; then return 0; fi
  "${apt[@]}" -qq update
  if ! "${install[@]}" >/dev/null; then
    echo "apt-get could not install: ${missing[*]}" >&2
    return 69
  fi
}
