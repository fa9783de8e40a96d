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
start_cluster 4 --cpus 2 >/dev/null

export TRIREME_BIN=$BIN_DIR
export OMPI_MCA_mpi_yield_when_idle=1 # more ranks than cores
config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.epochs=20 --set train.log_every_steps=1
  --set checkpoint.every_steps=200 --set parallel.virtual_ranks=4 --set comm.timeout_seconds=3)
# submit_job NAME NODES STEPS
submit_job() {
  log=$WORK_DIR/$1.log
  job=$(devcluster run sbatch --parsable --nodes="$2" --ntasks-per-node=1 --time=30 --output="$log" --open-mode=append \
    "$SOURCE_DIR/scripts/train.sbatch" "$config" "${keys[@]}" --set train.steps="$3" --set run.name="$1") ||
    fail "sbatch failed"
}
is_new() { (($(newest_of "$1") > $2)); }

# lose RUN NODES COMMAND...: once the run has a checkpoint of its present launch, takes something from it by the command,
# and tells how long it took until a launch on NODES nodes made its first step.
lose() {
  local run=$1 nodes=$2 over launched resumed before since times=()
  shift 2
  wait_until "a checkpoint after $(newest_of "$run")" is_new "$run" "$(newest_of "$run")"
  over=$(grep -c '^launch .* is over' "$log" || true)
  launched=$(grep -c '^Launch ' "$log" || true)
  resumed=$(grep -cF "resuming from" "$log" || true)
  since=$(milliseconds)
  "$@"
  wait_until "the launch is over" log_says $((over + 1)) " is over"
  times+=("$(milliseconds)")
  wait_until "another launch" log_says $((launched + 1)) "Launch "
  times+=("$(milliseconds)")
  wait_until "it resumes" log_says $((resumed + 1)) "resuming from"
  times+=("$(milliseconds)")
  before=$(grep -F "resuming from" "$log" | tail -n 1 | grep -o 'at step [0-9]*' | grep -o '[0-9]*$')
  wait_until "a step beyond $before" is_beyond "$run" "$before"
  times+=("$(milliseconds)")
  echo "   $(seconds "$since" "${times[3]}") s from the loss to the first new step ($((before + 1))):" \
    "noticed and over $(seconds "$since" "${times[0]}"), launched $(seconds "${times[0]}" "${times[1]}")," \
    "loaded $(seconds "${times[1]}" "${times[2]}"), first step $(seconds "${times[2]}" "${times[3]}")"
  grep '^Launch ' "$log" | tail -n 1 | sed 's/^/   /; s/: srun.*//'
  [[ $(grep '^Launch ' "$log" | tail -n 1) == *" on $nodes of 4 node(s)"* ]] || fail "that is not on $nodes nodes"
}

echo "== undisturbed, one rank"
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set train.steps=2500 --set run.name=alone || fail "one rank alone"
hash=$(summary alone parameters_sha256)

submit_job lost 4 2500
echo "== a rank is killed: on all four nodes again"
lose lost 4 devcluster on n2 pkill -KILL -x trireme-train

echo "== a rank is killed together with its slurmstepd"
lose lost 4 devcluster on n3 pkill -KILL -x 'slurmstepd|trireme-train'

cut_and_switch_off() {
  devcluster link "$1" off
  devcluster power "$1" off
}
echo "== a node falls silent (its link, then its power): three cannot share four virtual ranks, two can"
lose lost 2 cut_and_switch_off n4
used=$(grep -oE '^Launch .* on [^,]*, [n0-9,]*' "$log" | tail -n 1 | grep -oE 'n[23]') || fail "that is not on two of the nodes left"

echo "== a node loses its power: the one left over takes its place"
lose lost 2 devcluster power "$used" off
expect_end COMPLETED 0:0
[[ $(summary lost parameters_sha256) == "$hash" ]] || fail "the run with losses ended with other bits"
echo "   the same bits as undisturbed"

echo "all as it should be"
