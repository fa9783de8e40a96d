# What train.sbatch needs for parallel.mode = "parameter_server": a launch whose processes do not die of each other, and
# whose outcome is what its coordinator says. To be sourced after job.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # train.sbatch and these functions share their variables

# find_served CONFIG ARGUMENTS...: sets `served` to the run directory where the config is of this mode, else to nothing.
# The program is asked only where the mode is named at all. What is wrong with a config the launch will say.
find_served() {
  served=''
  if grep -qs parameter_server "$1" || [[ $* == *parameter_server* ]]; then
    served=$("$program" "$@" --plan 2>/dev/null | sed -nE 's/^run +in (.*), parallel\.mode parameter_server$/\1/p')
  fi
}

# serve_with PROGRAM ARGUMENTS...: sets `launch`. -K0: a task that dies takes none along. MPI, and PMIx with it, is not
# asked for. In a heterogeneous job each component has cores of its own.
serve_with() {
  local group cpus part=(srun --mpi=none --no-kill -K0 --wait=0 --overlap)
  if [[ -z ${SLURM_HET_SIZE:-} ]]; then
    launch=("${part[@]}" "$@")
    return
  fi
  unset SRUN_CPUS_PER_TASK
  launch=()
  for ((group = 0; group < SLURM_HET_SIZE; group++)); do
    if ((group)); then launch+=(:); else launch+=("${part[0]}"); fi
    launch+=("${part[@]:1}" --het-group="$group")
    cpus=SLURM_CPUS_PER_TASK_HET_GROUP_$group
    if [[ -n ${!cpus:-} ]]; then launch+=(--cpus-per-task="${!cpus}"); fi
    launch+=("$@")
  done
}

# coordinator_said: prints the exit code that the coordinator has left for this start of the job; fails where it has
# not. Notices lie in files of their own beside the meeting.
coordinator_said() {
  local file this="SLURM_JOB_ID=$SLURM_JOB_ID .*SLURM_RESTART_COUNT=${SLURM_RESTART_COUNT:-} "
  if [[ -z ${SLURM_RESTART_COUNT:-} ]]; then this="SLURM_JOB_ID=$SLURM_JOB_ID "; fi
  for file in "$served"/parameter_server.json "$served"/parameter_server-*.json; do
    if grep -qs "^ *\"job\": \"$this" "$file" && grep -qs '^ *"over": true' "$file"; then
      if [[ -z ${SLURM_RESTART_COUNT:-} ]] && grep -q '^ *"job": ".*SLURM_RESTART_COUNT=' "$file"; then continue; fi
      sed -nE 's/^ *"code": ([0-9]+),?$/\1/p' "$file"
      return
    fi
  done
  return 1
}

# watch_served PID: once the run is over, srun may still wait for tasks that are cut off or lost with their node: it
# gets a while, then it goes.
watch_served() {
  local since=''
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    if [[ -z $since ]] && coordinator_said >/dev/null; then since=$SECONDS; fi
    if [[ -n $since ]] && ((SECONDS - since >= 10)); then
      touch "$messages.lost"
      kill -KILL "$1" 2>/dev/null
      return
    fi
  done
}

# run_served PROGRAM ARGUMENTS...: one launch; sets `code` to how the run has ended, whatever became of single tasks.
run_served() {
  local said codes
  serve_with "$@"
  launch_and_wait watch_served "${launch[@]}"
  if [[ -e $messages.lost ]]; then end_steps; fi
  if said=$(coordinator_said); then
    code=$said
    return
  fi
  # Nobody was left to coordinate, or it did not come so far: what tasks ended with that were not killed.
  codes=$(sed -nE "s/$own_code/\1/p" "$messages")
  if grep -qx 75 <<<"$codes"; then
    code=75
  elif [[ -n $codes ]]; then
    code=$(head -n 1 <<<"$codes")
  elif ((code != 0)) && compgen -G "$served/checkpoints/step-*/manifest.json" >/dev/null; then
    echo "No process was left to say how the run ended; it has a checkpoint to go on from."
    code=75 # starts that make no progress are counted by the program
  fi
}
