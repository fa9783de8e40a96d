#!/usr/bin/env bash
# Trainings with parallel.mode = "parameter_server" under SLURM, of which workers, nodes, servers and links are taken
# away: those that can go on end well, those that cannot requeue themselves.
#   parameter_server.sh SOURCE_DIR BIN_DIR WORK_DIR
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
config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.epochs=50 --set train.log_every_steps=1
  --set checkpoint.every_steps=20 --set data.batch=512 --set parallel.parameter_server.lease_seconds=2
  --set parallel.parameter_server.mode=async)
# submit_served RUN SBATCH-OPTIONS... -- SCRIPT ARGUMENTS...: sets `job` and `log`.
submit_served() {
  local run=$1 options=() script
  shift
  while [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  script=$2
  shift 2
  log=$WORK_DIR/$run.log
  job=$(devcluster run sbatch --parsable --time=30 --output="$log" --open-mode=append "${options[@]}" \
    "$SOURCE_DIR/scripts/$script" "$config" "${keys[@]}" --set run.name="$run" "$@") || fail "sbatch failed"
}
# goes_on RUN STEPS: it takes so many more steps.
goes_on() { wait_until "$2 more steps" is_beyond "$1" $(($(step_of "$1") + $2)); }
# expect_finished RUN STEPS: the job ends well, and so has the run, after exactly so many steps.
expect_finished() {
  expect_end COMPLETED 0:0
  [[ $(summary "$1" state) == finished ]] || fail "the summary's state is '$(summary "$1" state)'"
  [[ $(summary "$1" steps) == "$2" ]] || fail "the run took $(summary "$1" steps) steps, not $2"
  echo "   finished: $2 steps in $(summary "$1" train_seconds | cut -c1-5) s of training"
}
# expect_whole RUN STEPS: each step has a record, which it has when workers have told of all its pieces.
expect_whole() {
  local told
  told=$(grep '"event":"train"' "runs/$1/metrics.jsonl" | grep -o '"step":[0-9]*' | sort -u | wc -l)
  ((told == $2)) || fail "$told of $2 steps were done with all their pieces"
}
# workers_are RUN COUNT: that many were there at its last step but one or so.
workers_are() {
  local now
  now=$(tail -n 3 "runs/$1/metrics.jsonl" 2>/dev/null | grep -o '"workers":[0-9]*' | tail -n 1) || true
  [[ $now == "\"workers\":$2" ]]
}
has_checkpoint() { (($(newest_of "$1") > 0)); }
kill_on() { devcluster on "$1" pkill -KILL -x trireme-train; }
began=$SECONDS
took() { echo "   $((SECONDS - began)) s so far"; }
servers=parallel.parameter_server.servers
replicas=parallel.parameter_server.replicas

echo "== one server, three workers; one is killed, one loses its node, one comes"
submit_served workers --nodes=4 -- train.sbatch --set parallel.mode=parameter_server --set train.steps=1000
wait_until "three workers" workers_are workers 3
kill_on n2
wait_until "two workers" workers_are workers 2
devcluster power n4 off
goes_on workers 50
join=$(sed -n 's/^One more worker: //p' "$log")
devcluster run bash -c "${join/srun/srun --nodelist=n2}" >"$WORK_DIR/joined.log" 2>&1 &
joined=$!
wait_until "one worker of the first and one more" workers_are workers 2
expect_finished workers 1000
expect_whole workers 1000
wait $joined || fail "the worker that joined ended with $?: $(cat "$WORK_DIR/joined.log")"
devcluster power n4 on
took

echo "== two servers that hold each other's shards: the coordinator is killed"
submit_served servers --nodes=4 -- train.sbatch --set parallel.mode=parameter_server --set $servers=2 \
  --set $replicas=2 --set train.steps=500
wait_until "two workers" workers_are servers 2
kill_on n1
goes_on servers 50
expect_finished servers 500
expect_log "goes on with the run in place of the one that is gone"
took

echo "== no second copy: the server is killed, the job requeues itself and goes on from its checkpoint"
submit_served lost --nodes=2 -- train.sbatch --set parallel.mode=parameter_server --set train.steps=800
wait_until "a checkpoint" has_checkpoint lost
array=$(devcluster run sbatch --parsable --time=30 --array=0 --nodelist=n4 --output="$WORK_DIR/array.log" \
  "$SOURCE_DIR/scripts/join.sbatch" runs/lost) || fail "sbatch failed"
wait_until "a worker of another job" workers_are lost 2
kill_on n1
wait_until "it requeues" log_says 1 "Requeued: job $job"
wait_until "it resumes" log_says 1 "resuming from"
expect_finished lost 800
log=$WORK_DIR/array.log
job=${array}_0
expect_end COMPLETED 0:0
[[ $(devcluster run scontrol show job -o "$job") == *" Restarts=1 "* ]] || fail "the worker of another job was not requeued"
took

echo "== a worker is cut off for longer than its lease, and comes back"
submit_served cut --nodes=3 -- train.sbatch --set parallel.mode=parameter_server --set train.steps=1000
wait_until "two workers" workers_are cut 2
devcluster link n3 off
wait_until "one worker" workers_are cut 1
goes_on cut 50
devcluster link n3 on
wait_until "it is back" workers_are cut 2
expect_finished cut 1000
expect_whole cut 1000
took

echo "== a heterogeneous job"
submit_served het --nodes=1 : --nodes=2 -- train-ps.sbatch --set train.steps=100
expect_finished het 100
expect_log "1 server(s) and 2 worker(s)"
took

echo "all as it should be"
