#!/usr/bin/env bash
# One training over five requeues, by five kinds of stop, ends with the bits of an uninterrupted one. What must not be
# requeued is not, and a job that gets nowhere ends.
#   requeue.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR/bin"
cd "$WORK_DIR"
need_data
start_cluster 2 --cpus 2 >/dev/null

# The third start of a job learns that it ends in 12 s, and stops halfway: SLURM counts time limits in minutes, an end in seconds.
cat >bin/trireme-train <<END
#!/bin/bash
if [[ \${SLURM_RESTART_COUNT:-0} == 2 && \$SLURM_PROCID == 0 ]]; then
  scontrol update JobId=\$SLURM_JOB_ID EndTime=\$(date -d '+12 seconds' +%Y-%m-%dT%H:%M:%S)
fi
if [[ -n \${KILL_AFTER:-} ]]; then exec timeout --signal=KILL \$KILL_AFTER $BIN_DIR/trireme-train "\$@"; fi
exec $BIN_DIR/trireme-train "\$@"
END
chmod +x bin/trireme-train
export TRIREME_BIN=$WORK_DIR/bin

config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.epochs=200 --set train.log_every_steps=20
  --set checkpoint.every_steps=500 --set parallel.virtual_ranks=2)
# Two ranks are at most twice as fast as one, and the third start alone runs for 6 s.
steps=$(steps_lasting 30 4500 "$config" "${keys[@]}")
keys+=(--set train.steps="$steps")
# submit_job NAME "SBATCH OPTIONS" ARGUMENTS...
submit_job() {
  local name=$1 options=$2
  shift 2
  log=$WORK_DIR/$name.log
  # shellcheck disable=SC2086
  job=$(devcluster run sbatch --parsable --nodes=2 --ntasks-per-node=1 --time=30 --signal=CONT@1 --output="$log" $options \
    "$SOURCE_DIR/scripts/train.sbatch" "$config" "${keys[@]}" --set run.name="$name" "$@") || fail "sbatch failed"
}
# steps_done RUN: waits until this start has done some steps.
steps_done() {
  wait_until "steps of $1 beyond $(newest_of "$1")" is_beyond "$1" $(($(newest_of "$1") + 40))
}

begin=$(milliseconds)
echo "== uninterrupted, one rank"
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set run.name=alone || fail "one rank alone"
hash=$(summary alone parameters_sha256)

echo "== five stops, five requeues"
submit_job requeued ""
for start in 1 2 3 4 5; do
  wait_until "start $start" log_says 1 ", start $start, nodes"
  if ((start > 1)); then wait_until "start $start resumes" log_says $((start - 1)) "resuming from"; fi
  # The third stops by itself, after however many steps it has time for.
  if ((start != 3)); then steps_done requeued; fi
  step=$(step_of requeued)
  stopped=$(milliseconds)
  case $start in
    1) devcluster run scancel --signal=USR1 "$job" ;;
    2) # the second and third signal come while the first is being heeded
      for _ in 1 2 3; do
        # Where the job is over already, scancel would try again and again, and hit a later start.
        devcluster run timeout 1 scancel --signal=TERM "$job" 2>/dev/null || true
        sleep 0.03
      done
      ;;
    3) ;;                                                     # the job's own end
    4) devcluster run scontrol requeue "$job" ;;              # as a preemption does
    5) devcluster run scancel --batch --signal=USR1 "$job" ;; # to the script alone, which passes it on
  esac
  wait_until "start $((start + 1))" log_says 1 ", start $((start + 1)), nodes"
  again=$(milliseconds)
  saved=$(newest_of requeued)
  echo "   stop $start at step $saved: started again $(seconds "$stopped" "$again") s after it"
  ((saved >= step)) || fail "the run was at step $step when it was stopped, and only step $saved is saved"
done
expect_end COMPLETED 0:0
expect_log " s by SLURM: saving and stopping"
[[ $(summary requeued parameters_sha256) == "$hash" ]] || fail "the requeued run ended with other bits"
echo "   the same bits as uninterrupted; $(seconds "$begin" "$(milliseconds)") s so far"

echo "== a cancelled job saves, and stays cancelled"
submit_job cancelled ""
steps_done cancelled
cancelled=$job cancelled_log=$log
devcluster run scancel "$job"
wait_until "it has saved" log_says 1 "it does not requeue itself"
[[ $(summary cancelled state) == stopped ]] || fail "its state was not saved"

echo "== a job that SLURM does not requeue, and one that must not be: 75"
submit_job refused --no-requeue
steps_done refused
devcluster run scancel --signal=USR1 "$job"
expect_end FAILED 75:0
expect_log "SLURM does not requeue the job (Requested operation is presently disabled for job $job)"
TRIREME_REQUEUE=0 submit_job forbidden ""
steps_done forbidden
devcluster run scancel --signal=USR1 "$job"
expect_end FAILED 75:0
expect_log "Not requeued (TRIREME_REQUEUE=0)"

echo "== a job that gets nowhere ends with 70"
begin=$(milliseconds)
KILL_AFTER=2 submit_job nowhere "" --set checkpoint.every_steps=0 --set data.batch=2048 --set train.steps=100000 \
  --set train.epochs=100000 --set "model.hidden=[1024, 1024, 1024]" --set checkpoint.restarts=1
expect_end FAILED 70:0
expect_log "without a newer checkpoint"
echo "   after $(grep -c 'is over$' "$log") launches and $(seconds "$begin" "$(milliseconds)") s"

job=$cancelled log=$cancelled_log
expect_end CANCELLED 75:0
echo "all as it should be"
