#!/usr/bin/env python3
"""Optuna's side of perf/sweep_quality/compare: the same problems, budget, and order of ends as bench_sweep_quality's.

  peer.py --sampler tpe|tpe-default|gp|random [--problems a,b] [--seeds 1..20] [--trials 100] [--parallel 4]
          [--tables FOLDER]
  peer.py --check FILE     reads `bench_sweep_quality --points` and complains of values that differ here

tpe: TPESampler(multivariate=True, group=True, constant_liar=True). tpe-default: TPESampler(). gp: GPSampler().
gp-deterministic: GPSampler(deterministic_objective=True). Lines are as bench_sweep_quality's.
"""

import argparse
import csv
import heapq
import math
import os
import statistics
import sys
import time
import warnings


def branin(x):
    parabola = x["x1"] - 5.1 / (4 * math.pi**2) * x["x0"] ** 2 + 5 / math.pi * x["x0"] - 6
    return parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x["x0"]) + 10


ALPHA = [1, 1.2, 3, 3.2]
A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]


def hartmann6(x):
    return -sum(alpha * math.exp(-sum(a[j] * (x[f"x{j}"] - 1e-4 * p[j]) ** 2 for j in range(6)))
                for alpha, a, p in zip(ALPHA, A, P))


def rosenbrock4(x):
    v = [x[f"x{i}"] for i in range(4)]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(v, v[1:]))


def ackley10(x):
    v = [x[f"x{i}"] for i in range(10)]
    return (20 + math.e - 20 * math.exp(-0.2 * math.sqrt(sum(a * a for a in v) / 10))
            - math.exp(sum(math.cos(2 * math.pi * a) for a in v) / 10))


def conditional(x):
    if x["method"] == "sgd":
        return 0.1 + (x["momentum"] - 0.7) ** 2
    if x["method"] == "none":
        return 0.3
    return ((math.log10(x["rate"]) + 2) / 2) ** 2 + 0.05 * abs(x["depth"] - 3)


class Table:
    """Trainings that were done once, looked up by the nearest value of each column; see problems.h."""

    def __init__(self, path, logarithmic):
        self.logarithmic = logarithmic
        self.rows = {}
        with open(path) as file:
            lines = csv.reader(file)
            next(lines)
            for *key, loss, _ in lines:
                loss = float(loss)
                key = tuple(k if k.isalpha() else float(k or 0) for k in key)
                self.rows[key] = min(loss, math.log(10)) if math.isfinite(loss) else math.log(10)
        self.best = min(self.rows.values())
        self.next = {}
        for row in self.rows:
            for j in range(len(row)):
                self.next.setdefault(row[:j], set()).add(row[j])

    def value(self, at):
        key = ()
        for j, v in enumerate(at):
            if isinstance(v, str):
                key += (v,)
                continue
            scaled = math.log if self.logarithmic[j] else float
            key += (min(sorted(self.next[key]), key=lambda one: abs(scaled(one) - scaled(v))),)
        return self.rows[key]


def box(trial, dimensions, low, high):
    return {f"x{i}": trial.suggest_float(f"x{i}", low, high) for i in range(dimensions)}


def conditional_space(trial):
    x = {"method": trial.suggest_categorical("method", ["sgd", "adam", "none"])}
    if x["method"] == "sgd":
        x["momentum"] = trial.suggest_float("momentum", 0, 1)
    if x["method"] == "adam":
        x["rate"] = trial.suggest_float("rate", 1e-4, 1, log=True)
        x["depth"] = trial.suggest_int("depth", 1, 6)
    return x


def optimizer_space(trial):
    x = {
        "kind": trial.suggest_categorical("kind", ["sgd", "adam", "rmsprop", "adagrad"]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-2, log=True),
    }
    if x["kind"] == "sgd":
        x["momentum"] = trial.suggest_float("momentum", 0, 0.97)
    if x["kind"] == "adam":
        x["beta1"] = trial.suggest_float("beta1", 0, 0.97)
    if x["kind"] == "rmsprop":
        x["smoothing"] = trial.suggest_float("smoothing", 0.9, 0.99)
    return x


def make_problem(name, tables):
    """(space: trial -> values, value: values -> float, the lowest value)"""
    if name == "branin":
        return (lambda t: {"x0": t.suggest_float("x0", -5, 10), "x1": t.suggest_float("x1", 0, 15)},
                branin, 0.39788735772973816)
    if name == "hartmann6":
        return lambda t: box(t, 6, 0, 1), hartmann6, -3.3223680114155147
    if name == "rosenbrock4":
        return (lambda t: box(t, 2, -5, 10) | {n: t.suggest_int(n, -5, 10) for n in ("x2", "x3")}, rosenbrock4, 0)
    if name == "ackley10":
        return lambda t: box(t, 10, -15, 30), ackley10, 0
    if name == "conditional":
        return conditional_space, conditional, 0
    if name == "sgd":
        table = Table(f"{tables}/sgd.csv", [True, False, True])
        space = lambda t: {"learning_rate": t.suggest_float("learning_rate", 1e-3, 1, log=True),
                           "momentum": t.suggest_float("momentum", 0, 0.98),
                           "batch": t.suggest_int("batch", 16, 256, log=True)}
        return space, lambda x: table.value([x["learning_rate"], x["momentum"], x["batch"]]), table.best
    if name == "optimizer":
        table = Table(f"{tables}/optimizer.csv", [False, True, True, False])
        detail = lambda x: x.get("momentum", x.get("beta1", x.get("smoothing", 0.0)))
        return (optimizer_space,
                lambda x: table.value([x["kind"], x["learning_rate"], x["weight_decay"], detail(x)]), table.best)
    if name == "sizes":
        table = Table(f"{tables}/sizes.csv", [True, True, True, False, True])
        space = lambda t: {"channels1": t.suggest_int("channels1", 3, 6, log=True),
                           "channels2": t.suggest_int("channels2", 8, 32, log=True),
                           "units": t.suggest_int("units", 30, 240, log=True),
                           "dropout": t.suggest_float("dropout", 0.05, 0.5),
                           "learning_rate": t.suggest_float("learning_rate", 3e-4, 1e-2, log=True)}
        return (space, lambda x: table.value([x["channels1"], x["channels2"], x["units"], x["dropout"],
                                              x["learning_rate"]]), table.best)
    sys.exit(f"peer.py: no such problem: {name}")


NAMES = ["branin", "hartmann6", "rosenbrock4", "ackley10", "conditional", "sgd", "optimizer", "sizes"]


def duration(seed, trial):
    """Seconds that a trial takes: splitmix64, as bench_sweep_quality.cpp."""
    mask = 2**64 - 1
    z = (seed * 1000003 + trial + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return 1 + (z >> 11) * 2.0**-53


def make_sampler(name, seed):
    import optuna

    samplers = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True),
        "tpe-default": lambda: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "gp-deterministic": lambda: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return samplers[name]()


def run(name, sampler, seed, trials, parallel, tables):
    import optuna

    space, value, lowest = make_problem(name, tables)
    study = optuna.create_study(sampler=make_sampler(sampler, seed))
    running, regrets, milliseconds = [], [], []
    now, best, asked = 0.0, math.inf, 0
    while len(regrets) < trials:
        while len(running) < parallel and asked < trials:
            begin = time.perf_counter()
            trial = study.ask()
            x = space(trial)
            milliseconds.append(1e3 * (time.perf_counter() - begin))
            heapq.heappush(running, (now + duration(seed, asked), asked, trial, x))
            asked += 1
        now, _, trial, x = heapq.heappop(running)
        y = value(x)
        study.tell(trial, y)
        best = min(best, y)
        regrets.append(best - lowest)
    print(f"{name},optuna-{sampler},{seed},{statistics.median(milliseconds):.3f},{max(milliseconds):.3f},"
          + ",".join(f"{r:.6g}" for r in regrets), flush=True)


class Replay:
    """A trial whose values are given."""

    def __init__(self, values):
        self.values = iter(values)

    def take(self, *_, **__):
        text = next(self.values)
        while text == "":
            text = next(self.values)
        return text.strip('"') if text.startswith('"') else float(text)

    suggest_float = suggest_int = suggest_categorical = take


def check(path, tables):
    count, worst = 0, 0.0
    with open(path) as file:
        for line in file:
            kind, name, *cells = line.strip().split(",")
            if kind != "point":
                continue
            space, value, _ = make_problem(name, tables)
            theirs, ours = float(cells[-1]), value(space(Replay(cells[:-1])))
            difference = abs(ours - theirs) / max(1.0, abs(theirs))
            count, worst = count + 1, max(worst, difference)
            if difference > 1e-9:
                sys.exit(f"peer.py: {name} at {cells[:-1]} is {ours} here and {theirs} there")
    if count == 0:
        sys.exit(f"peer.py: no points in {path}")
    print(f"{count} points have the same values on both sides (to {worst:.1e})", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--problems", default=",".join(NAMES))
    parser.add_argument("--seeds", default="1..20")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--tables", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "tables"))
    parser.add_argument("--check", metavar="FILE")
    options = parser.parse_args()
    if options.check:
        return check(options.check, options.tables)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore")
    first, _, last = options.seeds.partition("..")
    for name in options.problems.split(","):
        for seed in range(int(first), int(last or first) + 1):
            run(name, options.sampler, seed, options.trials, options.parallel, options.tables)


if __name__ == "__main__":
    main()
