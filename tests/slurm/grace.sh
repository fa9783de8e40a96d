#!/usr/bin/env bash
# TERM, and KILL after 30, 5, 1 and 0 s of grace: what is saved is whole, and the run goes on from it to the same bits.
#   grace.sh SOURCE_DIR BIN_DIR WORK_DIR
set -euo pipefail
SOURCE_DIR=$1 BIN_DIR=$2 WORK_DIR=$3
# shellcheck source=tests/slurm/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need_cluster
rm -rf "$WORK_DIR"
mkdir -p "$WORK_DIR"
cd "$WORK_DIR"
need_data
start_cluster 2 >/dev/null

export TRIREME_BIN=$BIN_DIR TRIREME_REQUEUE=0 TRIREME_RESTART=0
config=$SOURCE_DIR/configs/fashion_mlp.toml
keys=(--set data.validation= --set train.threads=1 --set train.steps=2500 --set train.log_every_steps=10
  --set checkpoint.every_steps=100 --set parallel.virtual_ranks=2)
"$BIN_DIR/trireme-train" "$config" "${keys[@]}" --quiet --set run.name=alone || fail "one rank alone"
hash=$(summary alone parameters_sha256)

job_is_over() { [[ $(job_state) != RUNNING* && $(job_state) != COMPLETING* ]]; }
has_steps() { (($(newest_of "$1") > 0 && $(step_of "$1") > $(newest_of "$1") + 20)); }

for grace in 30 5 1 0; do
  run=grace$grace
  submit $run "$config" "${keys[@]}" --set run.name=$run
  wait_until "steps after a checkpoint" has_steps $run
  step=$(step_of $run)
  since=$(milliseconds)
  if ((grace == 0)); then
    devcluster run bash -c "scancel --signal=TERM $job & scancel --signal=KILL $job & wait"
  else
    devcluster run scancel --signal=TERM "$job"
  fi
  while (($(milliseconds) - since < grace * 1000)) && ! job_is_over; do sleep 0.05; done
  devcluster run scancel --signal=KILL "$job" 2>/dev/null || true # it may be over
  wait_until "the job is over" job_is_over
  took=$(seconds "$since" "$(milliseconds)")
  saved=$(newest_of $run)
  lost=$((step > saved ? step - saved : 0))
  echo "== TERM at step $step, $grace s of grace: over after $took s, saved step $saved, $lost steps lost"
  if ((grace >= 5)); then
    expect_end FAILED 75:0
    [[ $(summary $run state) == stopped && $(summary $run steps) == "$saved" && $lost == 0 ]] ||
      fail "with $grace s of grace not all was saved"
  fi
  ((lost <= 100)) || fail "more than an interval between checkpoints was lost"
  "$BIN_DIR/trireme-train" "$config" "${keys[@]}" --set run.name=$run >$run.again 2>&1 || fail "it does not go on: $(<$run.again)"
  grep -q "resuming from .* at step $saved " $run.again || fail "it did not resume from step $saved: $(<$run.again)"
  ! grep -q "^warning" $run.again || fail "what was saved is not whole: $(grep "^warning" $run.again)"
  [[ $(summary $run parameters_sha256) == "$hash" ]] || fail "the resumed run ended with other bits"
done
echo "all as it should be"
