# What the cluster tests of sweeps share: a small sweep of trials of about a second, what its journals tell, and the proof
# that no trial was lost or doubled. To be sourced after cluster.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the tests and these functions share their variables

# make_sweep TRIALS: an empty folder, a table to learn from, and toy.toml, sobol's points on it: trial N is the same
# whoever tries it, when and after what interruptions. alone.csv is what comes of it when nobody disturbs it.
make_sweep() {
  need_cluster
  rm -rf "$WORK_DIR"
  mkdir -p "$WORK_DIR"
  cd "$WORK_DIR" || fail "there is no $WORK_DIR"
  awk 'function draw() { state = (state * 16807) % 2147483647; return state / 2147483647 }
    BEGIN {
      state = 1
      print "x,y,z"
      for (i = 0; i < 1200; ++i) { x = draw(); y = draw(); printf "%.4f,%.4f,%.4f\n", x, y, sin(6 * x) * y }
    }' >table.csv
  cat >prepare.toml <<'END_OF_FILE'
[[prepare.dataset]]
kind = "csv"
files = ["table.csv"]
target = ["z"]
output = "train.h5"
validation_output = "validation.h5"
validation_fraction = 0.1
END_OF_FILE
  cat >base.toml <<'END_OF_FILE'
[data]
train = "train.h5"
validation = "validation.h5"
batch = 8
[model]
kind = "mlp"
hidden = [64, 64]
[train]
epochs = 8
threads = 1
[optimizer]
kind = "adam"
[checkpoint]
every_steps = 100
END_OF_FILE
  cat >toy.toml <<END_OF_FILE
[sweep]
name = "toy"
base = "base.toml"
sampler = "sobol"
[objective]
metric = "validation.loss"
[budget]
trials = $1
[space]
optimizer.learning_rate = { log_uniform = [1e-4, 1e-2] }
model.activation = { choice = ["relu", "tanh"] }
END_OF_FILE
  "$BIN_DIR/trireme-prepare" prepare.toml >/dev/null || fail "the table was not prepared"
  OMP_NUM_THREADS=1 "$BIN_DIR/trireme-sweep" toy.toml --run-dir runs/alone --quiet || fail "the undisturbed sweep"
  results alone >alone.csv
  (($(wc -l <alone.csv) == $1)) || fail "the undisturbed sweep has $(wc -l <alone.csv) finished trials, not $1"
}

# results FOLDER: of each finished trial its number, steps, loss (to the last bit) and values.
results() {
  "$BIN_DIR/trireme-sweep" export --csv "runs/$1" | grep -E '^[0-9]+,finished,' | cut -d, -f1,8,10,14-
}

# events EVENT [WORKER]: the trials of such records in the journals (in that of one worker), one a line.
events() { lines "${2:-}" "\"event\":\"$1\"" | grep -oE '"trial":[0-9]+' | cut -d: -f2; }
# lines WORKER TEXT: of its journal, of all of them where it is empty.
lines() {
  local journals=("runs/toy/journal/$1.trj")
  if [[ -z $1 ]]; then journals=(runs/toy/journal/*.trj); fi
  grep -hF -- "$2" "${journals[@]}" 2>/dev/null || true
}
count_of() { events "$@" | wc -l; }
# has_ended COUNT [WORKER]: whether so many trials are over.
has_ended() { (($(count_of end "${2:-}") - $(interrupted "${2:-}") >= $1)); }
interrupted() { lines "${1:-}" '"state":"interrupted"' | wc -l; }

# expect_whole TRIALS: each trial was suggested once and is over once, with the bits of the undisturbed sweep.
expect_whole() {
  local all
  all=$(seq 0 $(($1 - 1)))
  [[ $(events suggest | sort -n) == "$all" ]] || fail "suggested: $(events suggest | sort -n | tr '\n' ' ')"
  [[ $(lines "" '"event":"end"' | sed -nE 's/.*"trial":([0-9]+),"state":"finished".*/\1/p' | sort -n) == "$all" ]] ||
    fail "ended: $(events end | sort -n | tr '\n' ' ')"
  results toy >toy.csv
  diff alone.csv toy.csv >toy.diff || fail "other results than undisturbed: $(<toy.diff)"
  [[ -s runs/toy/best.toml ]] || fail "there is no best.toml"
  "$BIN_DIR/trireme-train" runs/toy/best.toml --plan >/dev/null || fail "best.toml does not go"
  local best
  best=$(sort -t, -k3,3g alone.csv | head -n 1 | cut -d, -f4)
  grep -qxF "learning_rate = $best" runs/toy/best.toml || fail "best.toml is not that of learning rate $best"
}

# submit_sweep SCRIPT "SBATCH OPTIONS" [trireme-sweep options]: sets `job` and `log`; that of an array's task N is
# $job-N.log.
submit_sweep() {
  local script=$1 options=$2
  shift 2
  # shellcheck disable=SC2086
  job=$(devcluster run sbatch --parsable --time=30 --signal=CONT@1 --output="$WORK_DIR/%A-%a.log" $options \
    "$SOURCE_DIR/scripts/$script" toy.toml "$@") || fail "sbatch failed"
}
