#!/usr/bin/env bash
# One sweep by the tasks of a job array, each a job of its own: one is killed with all its processes, one is cancelled,
# one requeued, one comes late. Those that go on are not disturbed, the others go on with their trials when they run
# again, and at the end every trial is there once, with the bits of a sweep that nobody disturbed.
#   sweep_array.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
# shellcheck source=tests/slurm/sweeps.sh
source "$(dirname "${BASH_SOURCE[0]}")/sweeps.sh"

trials=32
make_sweep $trials
start_cluster 4 --cpus 1 >/dev/null
export TRIREME_BIN=$BIN_DIR

# node_of TASK: where it runs.
node_of() { devcluster run squeue --noheader --job="${array}_$1" --format=%N; }
# number_of TASK: the job number of its own that SLURM has given it.
number_of() { devcluster run scontrol show job -o "${array}_$1" | sed -n '1s/^JobId=\([0-9]*\) .*/\1/p'; }
# expect_task TASK STATE CODE
expect_task() {
  job=${array}_$1 log=$WORK_DIR/$array-$1.log
  expect_end "$2" "$3"
}

submit_sweep sweep-array.sbatch "--array=0-2"
array=$job
for task in 0 1 2; do wait_until "task $task has done two trials" has_ended 2 $task; done

# At once, so that there is much left to do however fast the machine is.
echo "== task 1 is killed with all its processes, task 2 cancelled, task 0 requeued, and task 3 comes late"
node=$(node_of 1) number=$(number_of 1)
# shellcheck disable=SC2016 # the node's shell
devcluster on "$node" bash -c 'kill -KILL $(scontrol listpids "$1" | awk "NR > 1 { print \$1 }")' kill "$number" ||
  fail "nothing was killed on $node"
devcluster run scancel "${array}_2"
devcluster run scontrol requeue "${array}_0"
submit_sweep sweep-array.sbatch "--array=3"
late=$job
expect_task 1 FAILED 0:9
# What it had in hand: one trial, unless it was just between two.
lost=$(comm -23 <(events begin 1 | sort -u) <(events end 1 | sort -u))
expect_task 2 CANCELLED 75:0
wait_until "the late task has done two trials" has_ended 2 3
wait_until "task 0 goes on" grep -qF ", start 2, nodes" "$array-0.log"

echo "== the killed one is requeued, the cancelled one submitted again"
devcluster run scontrol requeue "${array}_1"
submit_sweep sweep-array.sbatch "--array=2"
again=$job
expect_task 0 COMPLETED 0:0
expect_task 1 COMPLETED 0:0
array=$again && expect_task 2 COMPLETED 0:0
array=$late && expect_task 3 COMPLETED 0:0

[[ -z $lost ]] || events end 1 | grep -qx "$lost" || fail "task 1 has not gone on with trial $lost"
expect_whole $trials
for task in 0 1 2 3; do echo "   task $task: $(count_of suggest $task) trials, begun $(count_of begin $task) times"; done
echo "all as it should be"
