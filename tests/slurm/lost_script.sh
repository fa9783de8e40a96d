#!/usr/bin/env bash
# A job that loses the node on which its script runs is requeued by its guard on another node, and ends with the same
# bits. Mostly waiting: SLURM takes half a minute to find the node down.
#   lost_script.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
cd "$WORK_DIR"
need_data
start_cluster 3 >/dev/null

export TRIREME_BIN=$BIN_DIR
config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.steps=2000 --set checkpoint.every_steps=200
  --set parallel.virtual_ranks=2)
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set run.name=alone || fail "one rank alone"
log=$WORK_DIR/headless.log
job=$(devcluster run sbatch --parsable --nodes=2 --ntasks-per-node=1 --time=30 --output="$log" --open-mode=append \
  "$SOURCE_DIR/scripts/train.sbatch" "$config" "${keys[@]}" --set run.name=headless) || fail "sbatch failed"
has_checkpoint() { (($(newest_of headless) > 0)); }
wait_until "a checkpoint" has_checkpoint
node=$(devcluster run scontrol show job -o "$job" | sed 's/.* BatchHost=\([^ ]*\).*/\1/')
since=$(milliseconds)
devcluster power "$node" off
wait_until "start 2" log_says 1 ", start 2, nodes"
echo "   started again $(seconds "$since" "$(milliseconds)") s after the loss"
expect_end COMPLETED 0:0
expect_log "resuming from"
[[ $(summary headless parameters_sha256) == "$(summary alone parameters_sha256)" ]] ||
  fail "the requeued run ended with other bits"
echo "all as it should be"
