#!/usr/bin/env bash
# Ranks on several nodes: the same bits however they are spread, and what becomes of a job that loses one of them.
#   many_nodes.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
[[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]] ||
  skip "the package dataset-fashion-mnist is not installed (scripts/test.sh installs it)"

rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
cd "$WORK_DIR"
"$BIN_DIR/trireme-prepare" "$SOURCE_DIR/configs/prepare_fashion_mnist.toml" >/dev/null
export TRIREME_BIN=$BIN_DIR
export OMPI_MCA_mpi_yield_when_idle=1 # more ranks than cores
start_cluster 4 --cpus 2 >/dev/null

config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set train.steps=150 --set parallel.virtual_ranks=4 --set data.validation= --set train.threads=1)

# submit_on "SBATCH OPTIONS" NAME ARGUMENTS...
submit_on() {
  local options=$1
  log=$WORK_DIR/$2.log
  local name=$2
  shift 2
  # shellcheck disable=SC2086
  job=$(devcluster run sbatch --parsable $options --no-requeue --time=30 --output="$log" \
    "$SOURCE_DIR/scripts/train.sbatch" "$config" --set run.name="$name" "$@") || fail "sbatch failed"
}

echo "== one rank on this machine, 4 ranks on 2 nodes, 4 ranks on 4 nodes: the same bits"
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set run.name=alone || fail "one rank alone"
hash=$(summary alone parameters_sha256)
submit_on "--nodes=2 --ntasks-per-node=2" two "${keys[@]}"
expect_end COMPLETED 0:0
expect_log "exchange of gradients: shared memory inside 2 node(s), messages between 1 leader(s) of each"
[[ $(summary two parameters_sha256) == "$hash" ]] || fail "two nodes of two ranks ended with other bits"
submit_on "--nodes=2 --ntasks-per-node=2" sharded "${keys[@]}" --set parallel.allreduce.shard_optimizer=true \
  --set comm.leaders=2 --set comm.overlap=on
expect_end COMPLETED 0:0
expect_log "messages between 2 leader(s) of each"
[[ $(summary sharded parameters_sha256) == "$hash" ]] || fail "with shards, overlap and two leaders: other bits"
submit_on "--nodes=4 --ntasks-per-node=1" four "${keys[@]}"
expect_end COMPLETED 0:0
expect_log "exchange of gradients: messages"
[[ $(summary four parameters_sha256) == "$hash" ]] || fail "four nodes of one rank ended with other bits"

# ---- losses ------------------------------------------------------------------------------------------------------
longer=(--set train.steps=3000 --set train.epochs=9 --set data.validation= --set checkpoint.every_steps=100
  --set comm.timeout_seconds=4 --set train.threads=1)
wait_for_checkpoint() {
  local deadline=$((SECONDS + 60))
  until compgen -G "runs/$1/checkpoints/step-*/manifest.json" >/dev/null; do
    ((SECONDS < deadline)) || fail "no checkpoint after 60 s"
    sleep 0.05
  done
}
milliseconds() { date +%s%3N; }
# seconds_until_gone NODE SINCE: how long after SINCE (ms) the last rank on the node was gone; at most 60 s.
seconds_until_gone() {
  while devcluster on "$1" pgrep -x trireme-train >/dev/null; do
    (($(milliseconds) - $2 < 60000)) || fail "a rank on $1 was still there after 60 s"
    sleep 0.1
  done
  awk -v a="$2" -v b="$(milliseconds)" 'BEGIN { printf "%.1f", (b - a) / 1000 }'
}

# wait_for_log TEXT: the log says it within 30 s.
wait_for_log() {
  local deadline=$((SECONDS + 30))
  until grep -qF -- "$1" "$log"; do
    ((SECONDS < deadline)) || expect_log "$1"
    sleep 0.1
  done
}

echo "== an undisturbed run"
submit_on "--nodes=2 --ntasks-per-node=1" whole "${longer[@]}"
expect_end COMPLETED 0:0
hash=$(summary whole parameters_sha256)

export TRIREME_RESTART=0 # losses end the job here; lost_node.sh looks at what follows
echo "== a rank killed together with its slurmstepd"
submit_on "--nodes=2 --ntasks-per-node=1" killed "${longer[@]}"
wait_for_checkpoint killed
since=$(milliseconds)
devcluster on n2 bash -c 'kill -9 $(pgrep -x slurmstepd) $(pgrep -x trireme-train)'
seconds=$(seconds_until_gone n1 "$since")
echo "   the other rank was over $seconds s after the kill"
awk -v s="$seconds" 'BEGIN { exit !(s <= 3) }' || fail "that took $seconds s, more than 3"
expect_log "rank 1 on n2 is gone without a word"
wait_for_log "n1: task 0: Exited with exit code 75"
expect_end FAILED 75:0
echo "   the job was over, with 75, $(awk -v a="$since" -v b="$(milliseconds)" 'BEGIN { printf "%.1f", (b - a) / 1000 }') s after it"
submit_on "--nodes=2 --ntasks-per-node=1 --exclude=n2" killed "${longer[@]}"
expect_end COMPLETED 0:0
expect_log "resuming from"
[[ $(summary killed parameters_sha256) == "$hash" ]] || fail "the resumed run ended with other bits"

echo "== a link taken down"
submit_on "--nodes=2 --ntasks-per-node=1 --exclude=n1,n2" cut "${longer[@]}"
wait_for_checkpoint cut
since=$(milliseconds)
devcluster link n4 off
seconds=$(seconds_until_gone n3 "$since")
echo "   the rank on the near side was over $seconds s after the cut"
seconds_far=$(seconds_until_gone n4 "$since")
echo "   the rank on the far side was over $seconds_far s after the cut"
expect_log "nothing has been heard of rank 1 on n4"
expect_end FAILED 75:0
devcluster link n4 on
submit_on "--nodes=2 --ntasks-per-node=1" cut "${longer[@]}"
expect_end COMPLETED 0:0
expect_log "resuming from"
[[ $(summary cut parameters_sha256) == "$hash" ]] || fail "the resumed run ended with other bits"

echo "all as it should be"
