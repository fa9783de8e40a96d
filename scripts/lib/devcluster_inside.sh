#!/usr/bin/env bash
# The inside of scripts/devcluster, which alone starts this: the head and the nodes, each the first process
# (PID 1) of its namespaces, whose end is the end of everything in them.
#   devcluster_inside.sh head STATE NODES         (in fresh namespaces of the machine)
#   devcluster_inside.sh start_node STATE NUMBER  (in the head's namespaces)
#   devcluster_inside.sh node STATE NUMBER        (in fresh namespaces of the head)
set -euo pipefail

role=$1 state=$2 number=$3
self=$(readlink -f "${BASH_SOURCE[0]}")

# record_me FILE: writes this process's id and start time as the *outer* namespace sees them. Before /proc is
# mounted anew it still is the outer one, so the process looks itself up there.
record_me() {
  local stat pid
  stat=$(</proc/self/stat) # bash reads the file itself: no child process is in between
  pid=${stat%% *}
  read -ra stat <<<"${stat##*) }"
  echo "$pid ${stat[19]}" >"$1.new"
  mv "$1.new" "$1"
}

private_mounts() {
  mount --make-rprivate /
  mount -t proc proc /proc
}

head_main() {
  record_me "$state/head"
  private_mounts
  hostname head
  # Names of the nodes, for programs that ask; SLURM itself goes by address.
  if [[ -e /etc/hosts ]]; then mount --bind "$state/hosts" /etc/hosts; fi
  ip link set lo up
  ip link add cluster type bridge
  ip addr add 10.77.0.254/24 dev cluster
  ip link set cluster up

  munged --foreground --key-file="$state/munge/key" --socket="$state/munge/socket" \
    --pid-file="$state/munge/pid" --log-file="$state/log/munged.log" --seed-file="$state/munge/seed" &
  local munged=$!
  until [[ -S $state/munge/socket ]]; do
    kill -0 $munged # set -e: when it is gone, so is the cluster, and `up` says so
    sleep 0.02
  done
  slurmctld -D -f "$state/slurm.conf" >/dev/null &
  local i
  for ((i = 1; i <= number; i++)); do start_node "$i"; done
  # PID 1 stays to collect whatever is orphaned in here. It ends by `devcluster down` only.
  while true; do wait || true; sleep 1; done
}

start_node() { # start_node NUMBER
  local i=$1 launcher
  ip link delete "veth$i" 2>/dev/null || true # left by a node that lost its power a moment ago
  setsid unshare --net --mount --uts --ipc --pid --fork "$self" node "$state" "$i" \
    >>"$state/log/n$i.out.log" 2>&1 </dev/null &
  launcher=$!
  # The link's far end goes to the node's network, which exists once the launcher has left ours.
  while [[ $(readlink "/proc/$launcher/ns/net") == "$(readlink /proc/self/ns/net)" ]]; do sleep 0.01; done
  ip link add "veth$i" type veth peer name eth0 netns "$launcher"
  ip link set "veth$i" master cluster up
  until [[ -e $state/nodes/n$i ]]; do
    kill -0 $launcher # set -e: the node ended before it was ready
    sleep 0.01
  done
}

private_tmp() {
  # What is shared under /tmp is bound aside, then back into the new and empty /tmp.
  local folders i
  mapfile -t folders <"$state/shares"
  mount -t tmpfs tmpfs "$state/shared"
  for i in "${!folders[@]}"; do
    mkdir "$state/shared/$i"
    mount --bind "${folders[i]}" "$state/shared/$i"
  done
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  for i in "${!folders[@]}"; do
    mkdir -p "${folders[i]}"
    mount --bind "$state/shared/$i" "${folders[i]}"
  done
  umount -R "$state/shared"
}

# own_processors: the processors of this node, as a list for taskset. Nodes take turns through the machine's, so
# that jobs see as many as their node has, and two nodes share one only when there are too few.
own_processors() {
  local range first last cpus i available=() own=()
  read -r cpus <"$state/cpus"
  while read -r range; do
    first=${range%-*} last=${range#*-}
    for ((i = first; i <= last; i++)); do available+=("$i"); done
  done < <(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status | tr , '\n')
  for ((i = 0; i < cpus; i++)); do own+=("${available[((number - 1) * cpus + i) % ${#available[@]}]}"); done
  (IFS=, && echo "${own[*]}")
}

node_main() {
  local pid
  record_me "$state/spool/n$number/me"
  private_mounts
  hostname "n$number"
  private_tmp
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
  ip addr add "10.77.0.$number/24" dev eth0
  ip link set eth0 up
  read -r pid _ <"$state/spool/n$number/me"
  echo "$pid" >"$state/nodes/n$number"
  # PID 1 stays beside slurmd to collect orphaned job steps, which slurmd does not.
  taskset -c "$(own_processors)" slurmd -D -f "$state/slurm.conf" -N "n$number" &
  wait $! || echo "n$number" >"$state/failed" # `up` looks for this file
}

case $role in
  head) head_main ;;
  node) node_main ;;
  start_node) start_node "$number" ;;
esac
