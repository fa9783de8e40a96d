#!/usr/bin/env bash
# The dev cluster itself: that it refuses plainly, survives faults, and leaves nothing behind.
#   devcluster_cleans_up.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# expect_code CODE COMMAND...: runs it, its words go to $WORK_DIR/said.
expect_code() {
  local wanted=$1 code=0
  shift
  "$@" >"$WORK_DIR/said" 2>&1 || code=$?
  [[ $code == "$wanted" ]] || fail "'$*' ended with $code, not $wanted: $(<"$WORK_DIR/said")"
}

# nothing_left: no process, link, mount or file of this test's cluster.
nothing_left() {
  local place=/var/lib/trireme-devcluster/$cluster left
  [[ ! -e $place ]] || fail "$place is left"
  ! grep -q "$place" /proc/mounts || fail "mounts are left: $(grep "$place" /proc/mounts)"
  left=$(grep -lF "$place/" /proc/[0-9]*/cmdline 2>/dev/null || true)
  [[ -z $left ]] || fail "processes are left: $left"
  [[ $(ls /sys/class/net) == "$links" ]] || fail "links are left: $(ls /sys/class/net)"
}

rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
expect_code 64 devcluster frobnicate
if ((EUID != 0)); then
  expect_code 77 devcluster up 2
  grep -q root "$WORK_DIR/said" || fail "it does not say that it needs root"
fi
need_cluster
links=$(ls /sys/class/net)
echo "== as a user without rights"
# The checkout may lie where only root can read: nobody gets a copy.
copy=$(mktemp -d)
trap 'devcluster down >/dev/null; rm -rf "$copy"' EXIT
cp -r "$SOURCE_DIR/scripts/devcluster" "$SOURCE_DIR/scripts/lib" "$copy"
chmod -R a+rX "$copy"
expect_code 77 setpriv --reuid 65534 --regid 65534 --clear-groups bash "$copy/devcluster" up 2
grep -q "needs root" "$WORK_DIR/said" || fail "it does not say that it needs root"
rm -rf "$copy"
expect_code 64 devcluster up
expect_code 3 devcluster status
expect_code 3 devcluster run sinfo
expect_code 0 devcluster down

echo "== a node that does not start takes all of it down, and its reason is shown"
mkdir "$WORK_DIR/broken"
printf '#!/bin/sh\necho no luck today; exit 1\n' >"$WORK_DIR/broken/slurmd"
chmod +x "$WORK_DIR/broken/slurmd"
PATH=$WORK_DIR/broken:$PATH expect_code 1 devcluster up 2 --share "$WORK_DIR"
grep -q "no luck today" "$WORK_DIR/said" || fail "it does not show the reason: $(<"$WORK_DIR/said")"
nothing_left

echo "== up, up again, a node without power, and down"
start_cluster 2
expect_code 0 devcluster up 2 --share "$WORK_DIR"
expect_code 1 devcluster up 3
[[ $(devcluster run srun --nodes=2 hostname | sort | xargs) == "n1 n2" ]] || fail "srun does not reach n1 and n2"
expect_code 1 devcluster power n1 on
expect_code 0 devcluster power n1 off
expect_code 1 devcluster on n1 hostname
expect_code 0 devcluster power n1 on
[[ $(devcluster on n1 hostname) == n1 ]] || fail "n1 did not come back"
expect_code 0 devcluster down
nothing_left

echo "== the head killed from outside takes everything along"
start_cluster 1
read -r head _ <"/var/lib/trireme-devcluster/$cluster/head"
kill -KILL "$head"
expect_code 0 devcluster down
nothing_left
echo "all as it should be"
