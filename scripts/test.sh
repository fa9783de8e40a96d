#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests by ctest. Running it again rebuilds only what
# changed. Needs root (or sudo) only where packages are missing; without root the cluster test is skipped.
#
#   scripts/test.sh [--soak] [--preset release|debug|asan|tsan] [-- ctest options]
#
#   --soak       also the long tests (label soak)
#   --preset P   which build to test; default release. tsan builds and runs the tests of thread ranks alone
#                (label thread_ranks); tests/CMakeLists.txt says why
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

usage() { sed -n '2,9s/^#\( \|$\)//p' scripts/test.sh; }

preset=release
select=(-LE '^soak$')
while (($#)); do
  case $1 in
    --soak) select=() ;;
    --preset)
      preset=${2:-}
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    --)
      shift
      break
      ;;
    *)
      echo "scripts/test.sh: unknown option '$1'" >&2
      usage >&2
      exit 64
      ;;
  esac
  shift || true
done
case $preset in
  release | debug | asan | tsan) ;;
  *)
    echo "scripts/test.sh: no such preset: '$preset'" >&2
    exit 64
    ;;
esac

echo "==> 1/3 Packages"
packages=("${TRIREME_PACKAGES_BUILD[@]}" "${TRIREME_PACKAGES_DATA[@]}" "${TRIREME_PACKAGES_TEST[@]}")
# Only root can start a cluster, so only root needs one.
if ((EUID == 0)); then packages+=("${TRIREME_PACKAGES_CLUSTER[@]}"); fi
require_packages "${packages[@]}"

echo "==> 2/3 Build (preset $preset)"
cmake --preset "$preset" -DTRIREME_BUILD_TESTS=ON -DTRIREME_BUILD_PERF=ON --log-level=WARNING
cmake --build --preset "$preset"

echo "==> 3/3 Tests"
# Two at a time. A test that runs more than one rank or thread says so (PROCESSORS, RUN_SERIAL in its room's
# CMakeLists.txt), and ctest gives it the room.
exec ctest --preset "$preset" -j2 "${select[@]}" "$@"
