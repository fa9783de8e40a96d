#!/usr/bin/env bash
# The King James Bible as one plain text, data/bible_kjv/bible.txt (4.4 MB, a verse a line), from Debian's package
# bible-kjv, which is installed where it is missing. Then: trireme-prepare configs/prepare_bible.toml
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

if (($#)); then
  echo "Usage: scripts/fetch_bible.sh    (no options)"
  sed -n '2,3s/^# //p' scripts/fetch_bible.sh
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 64
fi

require_packages "${TRIREME_PACKAGES_TEXT[@]}"
folder=data/bible_kjv
mkdir -p "$folder"
bible -f 'gen1:1-rev22:21' >"$folder/bible.txt.new"
lines=$(wc -l <"$folder/bible.txt.new")
if ((lines != 31102)); then
  echo "bible -f 'gen1:1-rev22:21' gave $lines verses, not 31102; see $folder/bible.txt.new" >&2
  exit 65
fi
mv "$folder/bible.txt.new" "$folder/bible.txt"
echo "$folder/bible.txt: $lines verses; next: build/release/bin/trireme-prepare configs/prepare_bible.toml"
