# What train.sbatch needs to outlive stops and losses: the job's state, its nodes, launches on some of them, what the
# ranks' last words mean. To be sourced inside a SLURM job, with `set -u`.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # train.sbatch and these functions share their variables

# Each array task by a name of its own: the number of its first task stands for the whole array.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}
job=${job:-$SLURM_JOB_ID}

# find_program: prints the path of trireme-train, or says what is missing. `here` is the submitted script's folder.
find_program() {
  local folder
  for folder in "${TRIREME_BIN:-}" build/release/bin "$here/../build/release/bin"; do
    if [[ -n $folder && -x $folder/trireme-train ]]; then
      echo "$folder/trireme-train"
      return
    fi
  done
  if command -v trireme-train; then return; fi
  echo "No trireme-train in \$TRIREME_BIN, in build/release/bin or on PATH. Build it, or set TRIREME_BIN:" >&2
  echo "  cmake --preset release && cmake --build --preset release" >&2
  return 1
}

# ---- the job -------------------------------------------------------------------------------------------------
# job_value KEY: out of what SLURM says of this job; empty where it does not answer.
job_value() {
  timeout 20 scontrol show job -o "$job" 2>/dev/null | sed -n "1s/.* $1=\([^ ]*\).*/\1/p"
}

# requeue: starts this job again by and by, unless somebody has ended it.
requeue() {
  if [[ ${TRIREME_REQUEUE:-1} == 0 ]]; then
    echo "Not requeued (TRIREME_REQUEUE=0): to go on, submit the same line again."
    return
  fi
  local state words
  state=$(job_value JobState)
  if [[ $state != RUNNING ]]; then
    echo "The job is ${state:-unknown to SLURM}: it does not requeue itself. To go on, submit the same line again."
  # The requeued job's processes are told to end, scontrol with them, which may not have heard the answer yet.
  elif words=$(trap '' TERM && exec scontrol requeue "$job" 2>&1); then
    echo "Requeued: job $job goes on when it is its turn."
  else
    echo "SLURM does not requeue the job ($words): to go on, submit the same line again."
  fi
}

# guard_job NODE: when SLURM takes the node that runs this script out of the job, the script is gone, and a job of
# --no-kill would hold the other nodes until its time is up. So one of them looks, and requeues the job (or ends it).
guard_job() {
  # shellcheck disable=SC2016 # the other shell's variables
  srun --mpi=none --overlap --no-kill --nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist="$1" bash -c '
    while sleep "$4"; do
      words=$(scontrol show job -o "$1") || continue
      # Of a job that ends nodes disappear one by one, and the next start has others: none of its business.
      if [[ $words != *" JobState=RUNNING "*" Restarts=$5 "* ]]; then exit; fi
      nodes=$(sed -n "1s/.* NodeList=\([^ ]*\).*/\1/p" <<<"$words")
      if [[ -z $nodes ]] || scontrol show hostnames "$nodes" | grep -qxF "$2"; then continue; fi
      if [[ $3 == 0 ]] || ! scontrol requeue "$1"; then scancel "$1"; fi
      exit
    done' guard "$job" "$SLURMD_NODENAME" "${TRIREME_REQUEUE:-1}" 15 \
    "${SLURM_RESTART_COUNT:-0}" >/dev/null 2>&1 &
  guard=$!
}

# guard_used: has one of the nodes of this launch, else of the job, guard it.
guard_used() {
  local node
  if [[ -n $guard ]]; then kill "$guard" 2>/dev/null; fi
  guard=''
  for node in "${used[@]}" "${nodes[@]}"; do
    if [[ $node != "$SLURMD_NODENAME" && " ${silent[*]:-} " != *" $node "* ]]; then
      guard_job "$node"
      return
    fi
  done
}

# ---- its nodes -----------------------------------------------------------------------------------------------
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
declare -A tasks # ranks of each node

# read_tasks: fills `tasks` out of SLURM_TASKS_PER_NODE, as in "4(x2),3".
read_tasks() {
  local part times i=0
  for part in ${SLURM_TASKS_PER_NODE//,/ }; do
    times=1
    if [[ $part == *'(x'* ]]; then times=${part#*x} times=${times%)} part=${part%(*}; fi
    for (( ; times > 0; times--)); do tasks[${nodes[i++]}]=$part; done
  done
}
read_tasks

# ranks_on NODE...: how many these have together.
ranks_on() {
  local node sum=0
  for node in "$@"; do sum=$((sum + tasks[$node])); done
  echo "$sum"
}

# launch_on NODE...: sets `launch`, the command that starts as many ranks on each as it had from the beginning.
# -K1: when one rank fails, SLURM ends the others, too. --overlap: a step of which a node is lost counts as there
# for a while, and must not keep the next from its cores.
launch_on() {
  local node places=()
  for node in "$@"; do places+=("$node:${tasks[$node]}"); done
  if [[ $launcher == mpirun ]]; then
    launch=(mpirun -n "$(ranks_on "$@")" --host "$(IFS=, && echo "${places[*]}")")
    return
  fi
  launch=(srun --mpi=pmix --no-kill -K1 --overlap)
  if (($# < ${#nodes[@]})); then
    launch+=(--nodes=$# --ntasks="$(ranks_on "$@")" --nodelist="$(IFS=, && echo "$*")")
    # Where nodes have different numbers, SLURM hands the ranks out by the cores it has given.
    if (($# * tasks[$1] == $(ranks_on "$@"))); then launch+=(--ntasks-per-node="${tasks[$1]}"); fi
  fi
}

# answering_nodes WANTED: sets `answering` to those of the job's nodes on which SLURM can start something: what answers
# within 5 s, and of nodes that have just been lost (`lost_on`, `silent`) what answers within 1.5 s; these come last,
# since they may be lost again, and once WANTED others have answered nobody waits for them. `silent` becomes the rest.
answering_nodes() {
  local node folder since awaited sure
  local -A suspect=()
  for node in "${lost_on[@]:-}" "${silent[@]:-}"; do suspect[x$node]=1; done
  folder=$(mktemp -d)
  since=$(date +%s%3N)
  for node in "${nodes[@]}"; do
    (
      said=no
      timeout 5 srun --mpi=none --overlap --nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist="$node" true \
        2>/dev/null && said=yes
      touch "$folder/$said-$node" 2>/dev/null # the folder is gone where nobody waits any more
    ) &
  done
  while (($(date +%s%3N) - since < 6000)); do
    sleep 0.05
    awaited=0 sure=0
    for node in "${nodes[@]}"; do
      if [[ -e $folder/yes-$node ]]; then
        sure=$((sure + 1 - ${suspect[x$node]:-0}))
      elif [[ ! -e $folder/no-$node ]] && ((!${suspect[x$node]:-0} || $(date +%s%3N) - since < 1500)); then
        awaited=1
      fi
    done
    if ((!awaited || sure >= $1)); then break; fi
  done
  local -a sound=() doubtful=()
  silent=()
  for node in "${nodes[@]}"; do
    if [[ ! -e $folder/yes-$node ]]; then
      silent+=("$node")
    elif ((${suspect[x$node]:-0})); then
      doubtful+=("$node")
    else
      sound+=("$node")
    fi
  done
  answering=("${sound[@]}" "${doubtful[@]}")
  rm -rf "$folder"
}

# fewer_nodes: takes nodes from `used` until their ranks are a power of two, which virtual ranks ask
# for; from then on no more are wanted.
fewer_nodes() {
  local count
  while ((${#used[@]} > 1)); do
    used=("${used[@]:0:${#used[@]}-1}")
    count=$(ranks_on "${used[@]}")
    wanted=${#used[@]}
    if (((count & (count - 1)) == 0)); then return 0; fi
  done
  return 1
}

# end_steps: whatever is left of earlier launches on nodes that can be reached.
end_steps() {
  timeout 5 squeue --noheader --steps --jobs="$SLURM_JOB_ID" --format=%i | grep -E '\.[0-9]+$' |
    timeout 5 xargs -r scancel 2>/dev/null # with --signal=KILL it would wait for lost nodes
}

# may_start_again: whether a launch may follow one that was lost; says why not.
may_start_again() {
  if [[ ${TRIREME_RESTART:-1} == 0 ]]; then
    echo "A rank or node was lost. Not started again (TRIREME_RESTART=0)."
    return 1
  fi
  # The program counts launches without progress, but only those that get so far as to count.
  if ((short >= 5)); then
    echo "Five launches in a row were lost within 10 s each, or in MPI_Init: the job gives up."
    code=70
    return 1
  fi
  local state
  state=$(job_value JobState)
  if ((stop_asked)) || [[ $state != RUNNING ]]; then
    echo "A rank or node was lost. Not started again: the job is ${state:-unknown to SLURM}, and to stop."
    return 1
  fi
}

# seconds_since_loss: since watch_launch saw the first word of it.
seconds_since_loss() {
  awk -v a="$lost_at" -v b="$(date +%s%3N)" 'BEGIN { printf "%.1f", (b - a) / 1000 }'
}

# ---- what the ranks said ---------------------------------------------------------------------------------------
# The watchdog's word that a rank died, is cut off or hangs; SLURM's and mpirun's of the same; a rank's own end.
watchdog_words='^trireme-train: error: .*; (submit again to go on from the newest checkpoint|there is no checkpoint yet to go on from)$'
loss_words='^srun: error: (Node failure on|Task launch for [^ ]+ failed on node)'
loss_words+='|^srun: error: [^ ]+: tasks? [0-9,-]+: (Killed|Segmentation fault|Aborted|Bus error|Out Of Memory)'
loss_words+='|^mpirun noticed that process rank|^ORTE has lost communication with a remote daemon'
# Ranks that waited in MPI_Init for one that died there.
start_words='^trireme-train: error: .*: starting MPI .* has not returned within'
own_code='^srun: error: .*: Exited with exit code ([0-9]+)$'

# rank_was_lost CODE: whether a launch ended so because a rank or node was lost; sets `lost_on` to the nodes
# named, and `lost_at` to when that was first said (in ms).
rank_was_lost() {
  local said="$watchdog_words|$loss_words"
  case $1 in
    70 | 75) grep -qE "$watchdog_words|$start_words" "$messages" || return 1 ;; # else a rank's own failure, or a stop
    0 | 64 | 65 | 66 | 74 | 78) return 1 ;;
    *)
      # A node may be lost between its answer and the launch.
      if ((launches > 1)); then said+='|^srun: error: Unable to create step'; fi
      (($1 > 128)) || grep -qE "$said" "$messages" || return 1
      ;;
  esac
  lost_at=$(cat "$messages.lost" 2>/dev/null) || lost_at=$(date +%s%3N)
  mapfile -t lost_on < <(sed -nE -e '/^trireme-train: error: .* on /s/ (gone without|for [0-9]+ s \(|not arrived).*//p' \
    -e 's/^srun: error: (Node failure|Task launch .*) on (node )?([^ :]+).*/on \3/p' \
    -e 's/^srun: error: ([^ ]+): task.*: [A-Z].*/on \1/p' \
    "$messages" | grep -oE 'on [^ ,.:]+' | sed 's/^on //' | sort -u)
}

# launch_and_wait WATCH COMMAND...: one launch, with `WATCH PID` beside it; sets `code` to what the launcher answers. What
# this shell is told (sbatch --signal=B:..., scancel --full) goes on to the ranks as USR1: TERM would make srun end its
# step by force. The launcher runs in the background because a shell takes no signal while it waits for a foreground
# command.
launch_and_wait() {
  local watch=$1 watcher i
  shift
  : >"$messages"
  rm -f "$messages.lost"
  launches=$((launches + 1))
  "$@" 2>&"$words" &
  ranks=$!
  $watch $ranks &
  watcher=$!
  while true; do
    wait $ranks 2>/dev/null
    code=$?
    kill -0 $ranks 2>/dev/null || break # else a signal has ended the wait, not the launcher
  done
  ranks=''
  kill $watcher 2>/dev/null
  # What has been said is in the file once this line is.
  echo "launch $launches is over" >&"$words"
  for ((i = 0; i < 100; i++)); do
    if grep -q "^launch $launches is over" "$messages"; then break; fi
    sleep 0.02
  done
}

# run_once COMMAND...: one launch whose ranks live and die together; sets `code`.
run_once() {
  launch_and_wait watch_launch "$@"
  # srun answers with the highest code, and a rank that -K1 killed counts 143: the code that counts is the one of the
  # rank that failed by itself. Else the watchdog has said whether the job can go on.
  local first
  if ((code > 128)); then
    first=$(sed -nE "s/$own_code/\1/p" "$messages" | head -n 1)
    code=${first:-$code}
  fi
  if ((code > 128)) && grep -qE "$watchdog_words" "$messages"; then
    code=70
    if grep -q '^trireme-train: error: .*; submit again' "$messages"; then code=75; fi
  fi
}

# watch_launch PID: notes when a loss is first spoken of. Where a slurmstepd or node has died, srun would wait for it
# long after the ranks have ended: it gets a moment, then it goes.
watch_launch() {
  local line limit=''
  tail --follow --lines=+1 --pid="$1" "$messages" 2>/dev/null |
    grep --line-buffered -E "$watchdog_words|$loss_words|$own_code" |
    while true; do
      # shellcheck disable=SC2086 # nothing where there is no limit yet
      read -r ${limit:+-t $limit} line
      case $? in
        0) ;;
        1) return ;; # the launch is over
        *)
          kill -KILL "$1" 2>/dev/null
          return
          ;;
      esac
      if [[ ! $line =~ $own_code && ! -e $messages.lost ]]; then date +%s%3N >"$messages.lost"; fi
      if [[ $line =~ $watchdog_words ]]; then
        # The ranks only wait for the launcher now. Those of srun are ended by end_steps; mpirun does it itself.
        limit=0.6 # in which srun may notice itself
        if [[ ${TRIREME_RESTART:-1} == 0 || $launcher == mpirun ]]; then limit=5; fi
      elif [[ $line =~ $own_code ]]; then
        limit=$([[ -e $messages.lost ]] && echo 0.5 || echo 2)
      else
        limit=3 # srun has noticed and ends the step itself; it is soon over, and then nothing of it is left
      fi
    done
}
