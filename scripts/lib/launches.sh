# Launches of a job's ranks, what their last words mean, and how each ended. To be sourced by job.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the scripts and these functions share their variables

# ---- what the ranks said ---------------------------------------------------------------------------------------
# The watchdog's word that a rank died, is cut off or hangs; SLURM's and mpirun's of the same; a rank's own end.
watchdog_words="^$tool: error: .*; (submit again to go on from the newest checkpoint|there is no checkpoint yet to go on from)\$"
loss_words='^srun: error: (Node failure on|Task launch for [^ ]+ failed on node)'
loss_words+='|^srun: error: [^ ]+: tasks? [0-9,-]+: (Killed|Segmentation fault|Aborted|Bus error|Out Of Memory)'
loss_words+='|^mpirun noticed that process rank|^ORTE has lost communication with a remote daemon'
# Ranks that waited in MPI_Init for one that died there.
start_words="^$tool: error: .*: starting MPI .* has not returned within"
own_code='^srun: error: .*: Exited with exit code ([0-9]+)$'

# rank_was_lost CODE: whether a launch ended so because a rank or node was lost; sets `lost_on` to the nodes
# named, and `lost_at` to when that was first said (in ms).
rank_was_lost() {
  local said="$watchdog_words|$loss_words"
  if ((starts_steps && $1 <= 128)); then return 1; fi
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
  mapfile -t lost_on < <(sed -nE -e "/^$tool: error: .* on /"'s/ (gone without|for [0-9]+ s \(|not arrived).*//p' \
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
  if ((starts_steps)); then
    launch_and_wait true "$@" # what its steps say is no word about itself
    return
  fi
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
    if grep -q "^$tool: error: .*; submit again" "$messages"; then code=75; fi
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
