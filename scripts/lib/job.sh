# What a job script needs to outlive stops and losses: the job's state, its nodes, launches on some of them, what the
# ranks' last words mean. To be sourced inside a SLURM job, with `set -u` and `tool` set, the executable's name. Then
#   find_launcher, choose_nodes, prepare_launches, run_until_over ARGUMENTS..., end_job
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the scripts and these functions share their variables
# shellcheck source=scripts/lib/launches.sh
source "${BASH_SOURCE[0]%/*}/launches.sh"

# Each array task by a name of its own: the number of its first task stands for the whole array.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}
job=${job:-$SLURM_JOB_ID}

# find_program: prints the path of `tool`, or says what is missing. `here` is the submitted script's folder.
find_program() {
  local folder
  for folder in "${TRIREME_BIN:-}" build/release/bin "$here/../build/release/bin"; do
    if [[ -n $folder && -x $folder/$tool ]]; then
      echo "$folder/$tool"
      return
    fi
  done
  if command -v "$tool"; then return; fi
  echo "No $tool in \$TRIREME_BIN, in build/release/bin or on PATH. Build it, or set TRIREME_BIN:" >&2
  echo "  cmake --preset release && cmake --build --preset release" >&2
  return 1
}

# find_launcher: sets `launcher` to what starts the ranks, and the environment to what Open MPI needs.
find_launcher() {
  # Binding to cores is SLURM's affair; left to itself, Open MPI may put every rank of a node on its first core.
  export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
  # srun does not take over sbatch's --cpus-per-task since SLURM 22.05.
  if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi
  # Ranks that share a core must let each other run while they wait.
  if ((${SLURM_NTASKS:-1} > ${SLURM_CPUS_ON_NODE:-1} * ${SLURM_JOB_NUM_NODES:-1})); then
    export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
  fi

  # srun starts the ranks where it can hand them their addresses (PMIx); elsewhere mpirun does, which asks SLURM for
  # the nodes by itself. TRIREME_LAUNCHER=mpirun takes it in any case.
  launcher=${TRIREME_LAUNCHER:-}
  if [[ -z $launcher ]]; then
    if grep -qw pmix <<<"$(srun --mpi=list 2>&1)"; then launcher=srun; else launcher=mpirun; fi
  fi
  case $launcher in
    srun) ;;
    mpirun) if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi ;;
    *)
      echo "TRIREME_LAUNCHER is srun or mpirun, not '$launcher'" >&2
      exit 64
      ;;
  esac
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
# A program that starts steps of its own (`starts_steps`) is started once, here, and hears of their losses itself.
starts_steps=0
launch_on() {
  local node places=()
  launch=()
  if ((starts_steps)); then return; fi
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
    echo "Five launches in a row were lost within 10 s each${starts:+, before they got to work}, or in MPI_Init:" \
      "the job gives up."
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

# ---- the whole -------------------------------------------------------------------------------------------------
# choose_nodes: sets `wanted`, how many nodes work at a time, and `used`, those of the first launch.
choose_nodes() {
  spare=${TRIREME_SPARE_NODES:-0}
  if [[ ! $spare =~ ^[0-9]+$ ]] || ((spare >= ${#nodes[@]})); then
    echo "TRIREME_SPARE_NODES=$spare: the job has ${#nodes[@]} node(s); give 0 to $((${#nodes[@]} - 1))" >&2
    exit 64
  fi
  wanted=$((${#nodes[@]} - spare))
  used=("${nodes[@]:0:wanted}")
}

# prepare_launches: what stops this shell goes on to the ranks as USR1.
prepare_launches() {
  launches=0 ranks='' guard='' stop_asked=0
  messages=$(mktemp)
  trap 'rm -f "$messages" "$messages.lost"; if [[ -n $guard ]]; then kill $guard 2>/dev/null; fi' EXIT
  trap 'stop_asked=1; if [[ -n $ranks ]]; then kill -USR1 $ranks 2>/dev/null; fi' USR1 TERM
  # scancel signals whatever runs here; the ranks' words must come through all the same.
  exec {words}> >(trap '' TERM USR1 && exec tee -a "$messages" >&2)
}

# announce_launch: the log's line about this start of the job.
announce_launch() {
  echo "job $job, start $((${SLURM_RESTART_COUNT:-0} + 1)), nodes ${SLURM_JOB_NODELIST:-?}: ${launch[*]}"
  guard_used
}

# run_until_over COMMAND...: launches it, and again after losses; sets `code` to how the last launch ended.
# `starts`, where it is set, is the folder in which the program notes each start that it counts by itself.
starts=''
noted_starts() { if [[ -n $starts ]]; then ls "$starts" 2>/dev/null; fi; }
run_until_over() {
  local began noted
  short=0 # launches in a row that were over within 10 s and not noted, or got no further than MPI_Init
  waits=0 # for ranks of an earlier launch
  launch_on "${used[@]}" && launch+=("$@")
  announce_launch
  while true; do
    began=$SECONDS noted=$(noted_starts)
    run_once "${launch[@]}"
    if rank_was_lost "$code"; then
      if grep -q "$start_words" "$messages"; then
        short=$((short + 1))
      elif ((SECONDS - began < 10)) && [[ $(noted_starts) == "$noted" ]]; then
        short=$((short + 1))
      else
        short=0
      fi
      may_start_again || return
      answering_nodes "$wanted"
      used=("${answering[@]:0:wanted}")
    elif ((launches > 1 && code == 64 && waits < 10)) && grep -q "is in use by SLURM job $SLURM_JOB_ID " "$messages"; then
      waits=$((waits + 1))
      sleep 1 # an orphan of the last launch is still on its way out
    elif ((launches > 1 && code == 78 && $(ranks_on "${used[@]}") > 1)) && grep -q virtual_ranks "$messages"; then
      fewer_nodes || return
    elif ((launches > 1 && code == 78)) && grep -q 'but the sweep has ' "$messages"; then
      echo "The nodes that are left are too few for the widest trials."
      code=75
      return
    else
      return
    fi
    if ((${#used[@]} == 0)); then
      echo "No node of the job answers."
      return
    fi
    end_steps
    launch_on "${used[@]}"
    launch+=("$@")
    echo "Launch $((launches + 1)) on ${#used[@]} of ${#nodes[@]} node(s), $(IFS=, && echo "${used[*]}")," \
      "$(seconds_since_loss) s after the first word of the loss: ${launch[*]}"
    guard_used
  done
}

# end_job: ends the script with `code`, after it has requeued the job where there is something to go on with.
end_job() {
  case $code in
    0) ;;
    75)
      echo "Stopped early with its state saved (75)."
      requeue
      ;;
    *) echo "$tool failed with exit code $code; its reason stands above." ;;
  esac
  exit "$code"
}
