#!/usr/bin/env bash
# A small table to learn from, data/pendulum/pendulum.csv: 4000 pendulums of random length and amplitude on Earth, Moon
# and Mars, and the time that each takes to swing. The same table every time. Then:
# trireme-prepare configs/prepare_pendulum.toml
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

if (($#)); then
  echo "Usage: scripts/make_pendulum.sh    (no options)"
  sed -n '2,4s/^# //p' scripts/make_pendulum.sh
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 64
fi

mkdir -p data/pendulum
# The period is exact to 1e-6 s: 2 pi sqrt(l / g) / agm(1, cos(angle / 2)). The random numbers are a linear congruence of
# our own (Park and Miller), since awk's differ from one awk to the next.
LC_ALL=C awk '
  function draw() { state = (state * 16807) % 2147483647; return state / 2147483647 }
  BEGIN {
    state = 1; pi = atan2(0, -1)
    split("Earth Moon Mars", places, " "); split("9.80665 1.625 3.728", gravity, " ")
    print "length_m,angle_degrees,place,period_s"
    for (i = 0; i < 4000; ++i) {
      length_m = 0.2 + 1.8 * draw(); angle = 5 + 165 * draw(); place = int(3 * draw()) + 1
      a = 1; b = cos(angle * pi / 360)
      for (k = 0; k < 6; ++k) { mean = (a + b) / 2; b = sqrt(a * b); a = mean }
      printf "%.3f,%.2f,%s,%.6f\n", length_m, angle, places[place], 2 * pi * sqrt(length_m / gravity[place]) / a
    }
  }' >data/pendulum/pendulum.csv.new
mv data/pendulum/pendulum.csv.new data/pendulum/pendulum.csv
echo "data/pendulum/pendulum.csv: next: build/release/bin/trireme-prepare configs/prepare_pendulum.toml"
