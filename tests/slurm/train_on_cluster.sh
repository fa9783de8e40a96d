#!/usr/bin/env bash
# Submits scripts/train.sbatch with sbatch to a real two-node SLURM cluster and looks at what comes of it.
#   train_on_cluster.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
[[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]] ||
  skip "the package dataset-fashion-mnist is not installed (scripts/test.sh installs it)"

rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
cd "$WORK_DIR" # where sbatch is called: data/ and runs/ are taken from here
"$BIN_DIR/trireme-prepare" "$SOURCE_DIR/configs/prepare_fashion_mnist.toml"
export TRIREME_BIN=$BIN_DIR
export TRIREME_REQUEUE=0 # a stop ends the job here; requeue.sh looks at what follows
start_cluster 2

config=$SOURCE_DIR/configs/fashion_mlp.toml
steps=(--set train.steps=400)

echo "== a run from start to end"
submit whole "$config" "${steps[@]}" --set run.name=whole
expect_end COMPLETED 0:0
[[ $(summary whole state) == finished ]] || fail "the summary's state is '$(summary whole state)'"
[[ $(summary whole steps) == 400 ]] || fail "the run took $(summary whole steps) steps, not 400"
expect_log "2 rank(s) on 2 host(s)"
[[ -e /sys/class/infiniband ]] || # which the nodes would see, too
  expect_log "MPI messages: ob1 over tcp"
accuracy=$(summary whole accuracy)
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.80 && a <= 1) }' || fail "accuracy $accuracy is not in [0.80, 1]"
echo "   accuracy $accuracy"
hash=$(summary whole parameters_sha256)
[[ $hash =~ ^[0-9a-f]{64}$ ]] || fail "parameters_sha256 is '$hash'"

echo "== without PMIx: mpirun starts the ranks, and they learn the same to the bit"
TRIREME_LAUNCHER=mpirun submit mpirun "$config" "${steps[@]}" --set run.name=mpirun
expect_end COMPLETED 0:0
expect_log "2 rank(s) on 2 host(s)"
[[ $(summary mpirun parameters_sha256) == "$hash" ]] || fail "srun and mpirun ended with different parameters"

echo "== USR1 (what SLURM sends before the time is up) stops it, and submitting again goes on, to the bit"
submit stopped "$config" "${steps[@]}" --set run.name=stopped
deadline=$((SECONDS + 60))
until grep -qs '"event":"train"' runs/stopped/metrics.jsonl; do
  ((SECONDS < deadline)) || fail "the run has not logged a step after 60 s"
  sleep 0.05
done
devcluster run scancel --signal=USR1 "$job"
expect_end FAILED 75:0
[[ $(summary stopped state) == stopped ]] || fail "the summary's state is '$(summary stopped state)'"
(($(summary stopped steps) < 400)) || fail "the run was over before it was stopped: nothing was tried"
submit stopped "$config" "${steps[@]}" --set run.name=stopped
expect_end COMPLETED 0:0
[[ $(summary stopped parameters_sha256) == "$hash" ]] || fail "a resumed run ended with different parameters"

echo "== a bad config fails with its exit code, and says what is wrong"
submit bad "$config" --set optimizer.learning_rat=1
expect_end FAILED 78:0
expect_log "optimizer.learning_rate"

if [[ ! -e /sys/class/infiniband ]]; then
  echo "== a network that no node has is refused, by name"
  submit no-rdma "$config" --set comm.require_rdma=true
  expect_end FAILED 78:0
  expect_log "comm.require_rdma = true"
  expect_log "no RDMA device"
fi

echo "all as it should be"
