#!/usr/bin/env bash
# mpirun reads its ranks' output through pipes: the status line must be drawn where mpirun itself is on a terminal, and
# kept out of files.
#   status_under_mpirun.sh DRAW_STATUS_PROGRAM
set -euo pipefail
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run="mpirun -n 1 $1"

# script(1) runs a command on a pseudo terminal.
on_terminal=$(script -qec "$run" /dev/null </dev/null)
into_file=$($run 2>&1)
[[ $on_terminal == *"THE STATUS LINE"*"a line of log"* ]] || { echo "no status line on a terminal: $on_terminal" >&2 && exit 1; }
[[ $into_file == "a line of log" ]] || { echo "a status line in a file: $into_file" >&2 && exit 1; }
