#!/usr/bin/env bash
# A training on four nodes that loses ranks and nodes one after another goes on inside its allocation, each time within
# seconds, and ends with the bits of an undisturbed one.
#   lost_node.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
cd "$WORK_DIR"
need_data
trap 'devcluster down >/dev/null' EXIT
trap 'exit 130' INT TERM HUP
devcluster up 4 --cpus 2 --share "$WORK_DIR" --share "$BIN_DIR" >/dev/null || fail "the dev cluster did not come up"

export TRIREME_BIN=$BIN_DIR
export OMPI_MCA_mpi_yield_when_idle=1 # more ranks than cores
config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.epochs=20 --set train.log_every_steps=1
  --set checkpoint.every_steps=200 --set parallel.virtual_ranks=4 --set comm.timeout_seconds=3)
# submit_job NAME NODES STEPS
submit_job() {
  log=$WORK_DIR/$1.log
  job=$(devcluster run sbatch --parsable --nodes="$2" --ntasks-per-node=1 --time=5 --output="$log" --open-mode=append \
    "$SOURCE_DIR/scripts/train.sbatch" "$config" "${keys[@]}" --set train.steps="$3" --set run.name="$1") ||
    fail "sbatch failed"
}
is_new() { (($(newest_of "$1") > $2)); }

# lose RUN LAUNCHES LAUNCH COMMAND...: once the run has a checkpoint of this launch, takes something from it by the
# command, and tells how long it took until launch LAUNCH, which is the LAUNCHES-th, made its first step.
lose() {
  local run=$1 ended=$2 next=$3 before since word launched loaded resumed
  shift 3
  wait_until "a checkpoint after $(newest_of "$run")" is_new "$run" "$(newest_of "$run")"
  resumed=$(grep -cF "resuming from" "$log" || true)
  since=$(milliseconds)
  "$@"
  wait_until "launch $ended is over" log_says 1 "launch $ended is over"
  word=$(milliseconds)
  wait_until "launch $next" log_says 1 "Launch $next on"
  launched=$(milliseconds)
  wait_until "it resumes" log_says $((resumed + 1)) "resuming from"
  loaded=$(milliseconds)
  before=$(grep -F "resuming from" "$log" | tail -n 1 | grep -o 'at step [0-9]*' | grep -o '[0-9]*$')
  wait_until "a step beyond $before" is_beyond "$run" "$before"
  echo "   $(seconds "$since" "$(milliseconds)") s from the loss to the first new step ($((before + 1))):" \
    "noticed and over $(seconds "$since" "$word"), launched $(seconds "$word" "$launched")," \
    "loaded $(seconds "$launched" "$loaded"), first step $(seconds "$loaded" "$(milliseconds)")"
  grep -F "Launch $next on" "$log" | tail -n 1 | sed 's/^/   /; s/: srun.*//'
}

echo "== undisturbed, one rank"
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set train.steps=2500 --set run.name=alone || fail "one rank alone"
hash=$(summary alone parameters_sha256)

submit_job lost 4 2500
echo "== a rank is killed: on all four nodes again"
lose lost 1 2 devcluster on n2 pkill -KILL -x trireme-train
expect_log "Launch 2 on 4 of 4 node(s)"

echo "== a rank is killed together with its slurmstepd"
lose lost 2 3 devcluster on n3 pkill -KILL -x 'slurmstepd|trireme-train'
expect_log "Launch 3 on 4 of 4 node(s)"

cut_and_switch_off() {
  devcluster link "$1" off
  devcluster power "$1" off
}
echo "== a node falls silent (its link, then its power): three cannot share four virtual ranks, two can"
lose lost 3 5 cut_and_switch_off n4
expect_log "Launch 5 on 2 of 4 node(s)"
used=$(grep -oE 'Launch 5 on [^,]*, [n0-9,]*' "$log" | grep -oE 'n[23]')
[[ -n $used ]] || fail "launch 5 is not on two of the nodes left"

echo "== a node loses its power: the one left over takes its place"
lose lost 5 6 devcluster power "$used" off
expect_log "Launch 6 on 2 of 4 node(s)"
expect_end COMPLETED 0:0
[[ $(summary lost parameters_sha256) == "$hash" ]] || fail "the run with losses ended with other bits"
echo "   the same bits as undisturbed"

echo "all as it should be"
