#!/usr/bin/env bash
# Compiles every header of ours alone (syntax only), twice over so that its include guard is tried too.
#   headers_compile_alone.sh COMPILER FLAGS_FILE SOURCE_DIR JOBS STAMP_FILE
# Passes at once when nothing has changed since it last passed, which STAMP_FILE remembers.
# Prints the compiler's words for each header that does not stand alone; exits 1 if there is one.
set -euo pipefail
compiler=$1 flags=$2 root=$3 jobs=$4 stamp=$5
rooms=("$root/runtime" "$root/comm" "$root/jobs")

check_one() {
  local header=$1
  if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
    "$compiler" "@$flags" -fsyntax-only -x c++ - 2>&1; then
    printf '%s does not compile alone: include what it uses\n' "${header#"$root"/}" >&2
    return 1
  fi
}
export -f check_one
export compiler flags root

# Folders count too: they change when a header is taken away.
if [[ -e $stamp && -z $(find "${rooms[@]}" "$flags" \( -name '*.h' -o -type d -o -path "$flags" \) -newer "$stamp") ]]; then
  echo "no header has changed since all of them compiled alone"
  exit 0
fi
started=$(mktemp)
trap 'rm -f "$started"' EXIT

mapfile -d '' headers < <(find "${rooms[@]}" -name '*.h' -print0 | sort -z)
if ((${#headers[@]} == 0)); then
  echo "no headers found under $root: nothing was checked" >&2
  exit 1
fi
# shellcheck disable=SC2016  # the inner bash expands $1
# xargs exits 123 when any one of its commands failed.
if ! printf '%s\0' "${headers[@]}" | xargs -0 -n1 -P"$jobs" bash -c 'check_one "$1"' _; then
  exit 1
fi
cp -p "$started" "$stamp" # as old as the beginning of this check
echo "${#headers[@]} headers compile alone"
