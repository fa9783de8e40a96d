#!/usr/bin/env bash
# A sweep on two nodes that is stopped before its time is up, requeued while it runs, and loses a rank: at the end every
# trial is there once, with the bits of a sweep that nobody disturbed. One that gets nowhere ends.
#   sweep_on_cluster.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
# shellcheck source=tests/slurm/sweeps.sh
source "$(dirname "${BASH_SOURCE[0]}")/sweeps.sh"

trials=24
make_sweep $trials
start_cluster 2 --cpus 1 >/dev/null
export TRIREME_BIN=$BIN_DIR

# kill_rank: of the job, the one on n2.
kill_rank() {
  # shellcheck disable=SC2016 # the node's shell
  devcluster on n2 bash -c 'kill -KILL $(pgrep -x trireme-sweep)' || fail "there was no rank on n2 to be killed"
}

echo "== a stop, a requeue and a lost rank"
submit_sweep sweep.sbatch "--nodes=2 --output=$WORK_DIR/toy.log"
log=$WORK_DIR/toy.log
for start in 1 2 3; do
  wait_until "start $start" log_says 1 ", start $start, nodes"
  goal=$((start * 5))
  wait_until "$goal trials are over" has_ended $goal
  case $start in
    1) devcluster run scancel --signal=USR1 "$job" ;; # what SLURM sends before the time is up
    2) devcluster run scontrol requeue "$job" ;;      # as a preemption does
    3) kill_rank ;;
  esac
done
"$BIN_DIR/trireme-sweep" show runs/toy >show.txt || fail "show beside a running sweep"
grep -qF "/$trials trials" show.txt || fail "show does not say how far the sweep is: $(<show.txt)"
expect_end COMPLETED 0:0
expect_log "sweep toy in runs/toy: sobol by none on 2 ranks"
expect_log "Stopped early with its state saved (75)."
expect_log "Launch 2 on 2 of 2 node(s)"
(($(interrupted) >= 1)) || fail "no trial was interrupted: nothing was tried"
expect_whole $trials
echo "   $(count_of begin) times a trial was begun, $(interrupted) times interrupted"

echo "== the same line again: there is nothing left to do"
submit_sweep sweep.sbatch "--nodes=2 --output=$WORK_DIR/again.log"
log=$WORK_DIR/again.log
expect_end COMPLETED 0:0
expect_whole $trials

echo "== a sweep that is stopped each time before it has done a step ends with 70"
sed -i 's/^name = .*/name = "nowhere"/' toy.toml
mkdir bin
# The signal is there before the program is, and waits for it.
cat >bin/trireme-sweep <<END_OF_FILE
#!/bin/bash
exec env --block-signal=USR1 bash -c 'kill -USR1 \$\$ && exec $BIN_DIR/trireme-sweep "\$@"' stopped "\$@"
END_OF_FILE
chmod +x bin/trireme-sweep
TRIREME_BIN=$WORK_DIR/bin submit_sweep sweep.sbatch "--nodes=1 --output=$WORK_DIR/nowhere.log" \
  --set sweep.set.checkpoint.restarts=1
log=$WORK_DIR/nowhere.log
expect_end FAILED 70:0
expect_log "without a trial getting any further"
log_says 1 "start 3, nodes" || fail "it was not requeued before that"
echo "all as it should be"
