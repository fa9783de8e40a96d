#!/usr/bin/env bash
# From a fresh checkout to a trained network: installs what is missing, builds, prepares Fashion-MNIST and trains
# configs/fashion_cnn_quick.toml on two ranks. Every step that is done already is passed over, so running it
# again costs nothing. Needs root (or sudo) only where packages are missing.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

if (($#)); then
  echo "Usage: scripts/quickstart.sh    (no options)"
  sed -n '2,4s/^# //p' scripts/quickstart.sh
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 64
fi

config=configs/fashion_cnn_quick.toml
run=runs/fashion_cnn_quick
ranks=2
bin=build/release/bin
done_here=()

step() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
[[ -t 1 ]] || step() { printf '\n==> %s\n' "$*"; }

step "1/4 Packages"
before=$(missing_packages "${TRIREME_PACKAGES_BUILD[@]}" "${TRIREME_PACKAGES_DATA[@]}")
require_packages "${TRIREME_PACKAGES_BUILD[@]}" "${TRIREME_PACKAGES_DATA[@]}"
if [[ -n $before ]]; then
  # shellcheck disable=SC2086  # one name a line, wanted as words
  done_here+=("installed $(wc -w <<<"$before") packages")
else
  echo "Everything is installed."
fi

step "2/4 Build (executables go to $bin)"
built_before=$(stat -c %Y $bin/trireme-train $bin/trireme-prepare 2>/dev/null || true)
if [[ ! -e build/release/build.ninja ]]; then
  # Only the executables: scripts/test.sh turns the rest on.
  cmake --preset release -DTRIREME_BUILD_TESTS=OFF -DTRIREME_BUILD_PERF=OFF --log-level=WARNING
fi
targets=()
for main in jobs/*.cpp; do targets+=("trireme-$(basename "$main" .cpp)"); done
cmake --build --preset release --target "${targets[@]}"
if [[ $(stat -c %Y $bin/trireme-train $bin/trireme-prepare) != "$built_before" ]]; then
  done_here+=("built ${targets[*]}")
fi

step "3/4 Data: Fashion-MNIST, 60,000 + 10,000 images, to HDF5"
prepare=configs/prepare_fashion_mnist.toml
if [[ data/fashion_mnist/train.h5 -nt $prepare && data/fashion_mnist/test.h5 -nt $prepare ]]; then
  echo "Prepared already."
else
  $bin/trireme-prepare $prepare
  done_here+=("prepared the data set")
fi

step "4/4 Train: $config on $ranks ranks"
if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
# On a machine with fewer cores than ranks, ranks that wait must let the others run.
if (($(nproc) < ranks)); then export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1; fi
finished() { grep -qs '"state": *"finished"' $run/summary.json; }
if ! finished; then done_here+=("trained the network"); fi
mpirun -n $ranks --bind-to none $bin/trireme-train $config || {
  code=$?
  ((code == 75)) && echo "Stopped with its state saved. Run scripts/quickstart.sh again to go on."
  exit $code
}

# figure KEY: the last number of that name in the summary.
figure() { grep -o "\"$1\": *[0-9.eE+-]*" $run/summary.json | tail -n 1 | sed 's/.*: *//'; }

step "Done"
if ((${#done_here[@]})); then
  printf 'This time it %s.\n' "$(printf '%s, ' "${done_here[@]}" | sed 's/, $//')"
else
  echo "Nothing was left to do: all of it had been done before."
fi
cat <<END

  test accuracy   $(figure accuracy)
  training took   $(printf '%.0f s at %.0f samples/s' "$(figure train_seconds)" "$(figure samples_per_second)")
  results         $run/ (summary.json, metrics.jsonl, log.txt, config.toml, checkpoints/)
  data            data/fashion_mnist/

Next:
  what the network is made of          $bin/trireme-train $config --plan
  a better one, with augmentation      mpirun -n 2 --bind-to none $bin/trireme-train configs/fashion_cnn.toml
  a SLURM cluster on this machine      sudo scripts/devcluster up 2
END
