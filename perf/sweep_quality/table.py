#!/usr/bin/env python3
"""The table of perf/sweep_quality/compare, from the lines of bench_sweep_quality and peer.py.

  table.py SAMPLER TRIALS SEEDS PROBLEM,... OURS.csv VARIANT=THEIRS.csv...

A regret is given as mean (standard error) and median, after TRIALS trials. Of several variants of the peer the one of the
lowest mean counts, problem by problem.
"""

import statistics
import sys


def read(path, trials, seeds):
    """problem -> seed -> (regret after so many trials, median milliseconds of a suggestion)"""
    regrets = {}
    with open(path) as file:
        for line in file:
            name, _, seed, median, _, *curve = line.strip().split(",")
            if int(seed) in seeds and len(curve) >= trials:
                regrets.setdefault(name, {})[int(seed)] = (float(curve[trials - 1]), float(median))
    return regrets


def figures(found):
    values = [regret for regret, _ in found.values()]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return (statistics.mean(values), error, statistics.median(values),
            statistics.mean(milliseconds for _, milliseconds in found.values()))


def cell(mean, error, median):
    return f"{mean:.3g} ({error:.2g}), {median:.3g}"


def main():
    sampler, trials, seeds, problems, ours, *theirs = sys.argv[1:]
    first, _, last = seeds.partition("..")
    wanted = set(range(int(first), int(last or first) + 1))
    ours = read(ours, int(trials), wanted)
    theirs = {name: read(path, int(trials), wanted) for name, path in (one.split("=") for one in theirs)}
    print(f"| {sampler}, {trials} trials, seeds {seeds} | ours: mean (error), median | Optuna's | its variant | ratio of means |"
          " ours, ms | Optuna's, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    wins = 0
    for problem in problems.split(","):
        mean, error, median, time = figures(ours[problem])
        candidates = [(figures(found[problem]), name) for name, found in theirs.items()
                      if set(found.get(problem, {})) == wanted]
        if not candidates:
            sys.exit(f"table.py: not all seeds of {problem} on Optuna's side")
        (their_mean, their_error, their_median, their_time), variant = min(candidates)
        wins += mean <= their_mean
        ratio = f"{mean / their_mean:.2f}" if their_mean > 0 else "-"
        print(f"| {problem} | {cell(mean, error, median)} | {cell(their_mean, their_error, their_median)} | {variant} | {ratio} |"
              f" {time:.3g} | {their_time:.3g} |")
    print(f"\n{sampler}: no worse on {wins} of {len(problems.split(','))}")


if __name__ == "__main__":
    main()
