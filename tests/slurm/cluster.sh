# What the cluster tests share: a dev cluster of their own that always goes down again, and jobs that end or fail
# the test within a bound. To be sourced with SOURCE_DIR, BIN_DIR and WORK_DIR set.
# shellcheck shell=bash
# shellcheck disable=SC2154

cluster=test-$$
devcluster() { "$SOURCE_DIR/scripts/devcluster" --name "$cluster" "$@"; }

skip() {
  echo "SKIPPED: $*"
  exit 77 # SKIP_RETURN_CODE
}

fail() {
  echo "FAILED: $*" >&2
  if [[ -e ${log:-} ]]; then
    echo "--- $log:" >&2
    tail -n 40 "$log" >&2
  fi
  echo "--- slurmctld:" >&2
  tail -n 20 "/var/lib/trireme-devcluster/$cluster/log/slurmctld.log" >&2 2>/dev/null || true
  exit 1
}

# need_cluster: skips the test, saying why, where no cluster can be had.
need_cluster() {
  ((EUID == 0)) || skip "a dev cluster needs root"
  local tool
  for tool in slurmctld slurmd sinfo munged ip; do
    command -v $tool >/dev/null || skip "$tool is not installed (scripts/test.sh installs it)"
  done
  unshare --net --mount --uts --ipc --pid --fork true 2>/dev/null || skip "this machine allows no namespaces"
}

# start_cluster NODES [OPTIONS of devcluster up]...: with a trap that takes it down however the test ends.
start_cluster() {
  local nodes=$1
  shift
  trap 'devcluster down >/dev/null' EXIT
  trap 'exit 130' INT TERM HUP
  devcluster up "$nodes" "$@" --share "$WORK_DIR" --share "$BIN_DIR" || fail "the dev cluster did not come up"
}

# submit NAME ARGUMENTS...: submits train.sbatch on two nodes; sets `job` and `log`.
submit() {
  log=$WORK_DIR/$1.log
  shift
  job=$(devcluster run sbatch --parsable --nodes=2 --time=30 --output="$log" \
    "$SOURCE_DIR/scripts/train.sbatch" "$@") || fail "sbatch failed"
}

# job_state: the job (of a heterogeneous one, its first component), state and exit code, as in "COMPLETED 0:0".
job_state() {
  devcluster run scontrol show job -o "$job" | sed -n '1s/.*JobState=\([A-Z_]*\).* ExitCode=\([0-9:]*\).*/\1 \2/p'
}

# expect_end STATE CODE: waits for the job to end, and fails when it ends otherwise or not at all.
expect_end() {
  local deadline=$((SECONDS + 400)) state
  while true; do
    state=$(job_state)
    case $state in PENDING* | CONFIGURING* | RUNNING* | COMPLETING*) ;; *) break ;; esac
    ((SECONDS < deadline)) || fail "job $job has not ended after 400 s: $state"
    sleep 0.2
  done
  [[ $state == "$1 $2" ]] || fail "job $job ended as '$state', not as '$1 $2'"
}

# expect_log TEXT: the job's log must hold it.
expect_log() { grep -qF -- "$1" "$log" || fail "the job's log does not say '$1'"; }

# summary RUN KEY: a value out of a run's summary.json (the last of that name), without quotes.
summary() {
  [[ -e $WORK_DIR/runs/$1/summary.json ]] || fail "runs/$1/summary.json is missing"
  grep -o "\"$2\": *[^,}]*" "$WORK_DIR/runs/$1/summary.json" | tail -n 1 | sed 's/^[^:]*: *//; s/"//g'
}

# ---- runs that are stopped, killed and started again ---------------------------------------------------------------

# need_data: a prepared Fashion-MNIST below the current folder.
need_data() {
  [[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]] ||
    skip "the package dataset-fashion-mnist is not installed (scripts/test.sh installs it)"
  "$BIN_DIR/trireme-prepare" "$SOURCE_DIR/configs/prepare_fashion_mnist.toml" >/dev/null
}

# steps_lasting SECONDS FEWEST CONFIG KEYS...: how many steps one rank here does in that time, but at least FEWEST: what
# is to be stopped on the way must not be over before, however fast the machine.
steps_lasting() {
  local wanted=$1 fewest=$2 steps=300 seconds
  shift 2
  "$BIN_DIR/trireme-train" "$@" --quiet --fresh --set train.steps=$steps --set run.name=speed || fail "the speed cannot be measured"
  seconds=$(summary speed train_seconds)
  awk -v w="$wanted" -v f="$fewest" -v n=$steps -v s="$seconds" 'BEGIN { k = int(w * n / s); print (k > f ? k : f) }'
}

milliseconds() { date +%s%3N; }

# seconds FROM TO: of two milliseconds, as 1.2
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", (b - a) / 1000 }'; }

# wait_until WHAT COMMAND...: waits for the command to succeed, at most `patience` seconds.
patience=240 # that of a busy machine
wait_until() {
  local what=$1 deadline=$((SECONDS + patience))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || fail "after $patience s still not: $what"
    sleep 0.02
  done
}

# log_says COUNT TEXT: whether the job's log says it so often.
log_says() { [[ -e $log ]] && (($(grep -cF -- "$2" "$log") >= $1)); }

# step_of RUN: the last step in its metrics, 0 for none.
step_of() {
  local step
  step=$(tail -n 1 "$WORK_DIR/runs/$1/metrics.jsonl" 2>/dev/null | grep -o '"step": *[0-9]*' | grep -o '[0-9]*$') || true
  echo "${step:-0}"
}
is_beyond() { (($(step_of "$1") > $2)); }

# newest_of RUN: the step of its newest checkpoint, 0 for none.
newest_of() {
  local found
  found=$(cd "$WORK_DIR/runs/$1/checkpoints" 2>/dev/null && compgen -G 'step-*/manifest.json' | sort | tail -n 1) || true
  found=${found#step-}
  echo "$((10#0${found%%/*}))"
}
