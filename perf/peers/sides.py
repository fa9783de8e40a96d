"""The two sides of perf/compare: runs of our executables, and of PyTorch by trainer.py and predictor.py."""
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SLOWEST_SECONDS = 1200  # a run that takes longer hangs
FEWEST_STEPS = 24       # of a timed run, however slow: learning must show
IMPORT_STEPS = 8        # of a run that measures memory only
PREDICT_STEPS = 100     # trained before a prediction


# A variant's flag that is not the script's but the process's: memory in huge pages, and none given back between steps.
HUGE_PAGES = "--huge-pages"
HUGE_PAGES_ENVIRONMENT = {
    "THP_MEM_ALLOC_ENABLE": "1",  # PyTorch's own
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=17179869184:"
                      "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.top_pad=268435456"}


class RunError(Exception):
    """A run of ours, or of PyTorch's best variant, failed."""


def name_of(variant):
    return " ".join(flag.removeprefix("--") for flag in variant) or "plain"


def cores(options, count):
    """The first `count` cores that this process may use, of which the first is options.core."""
    allowed = sorted(os.sched_getaffinity(0))
    if options.core not in allowed or len(allowed) < count:
        raise SystemExit(f"perf/compare: core {options.core} is not ours to use, or {count} cores are too many")
    return [options.core, *(core for core in allowed if core != options.core)][:count]


def environment(threads):
    return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def run(command, threads):
    words = [str(word) for word in command if word != HUGE_PAGES]
    extra = HUGE_PAGES_ENVIRONMENT if HUGE_PAGES in command else {}
    done = subprocess.run(words, env=environment(threads) | extra, timeout=SLOWEST_SECONDS,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RunError(f"{' '.join(words)}\nexit code {done.returncode}\n{(done.stdout + done.stderr)[-1500:]}")
    return done.stdout


class Ours:
    """Runs of trireme-train and trireme-predict with one of perf/configs/compare_*.toml."""

    def __init__(self, net, work, options, *, bf16=False, ranks=1, threads=1):
        self.config = HERE.parent / "configs" / f"compare_{net.replace('-', '_')}.toml"
        self.ranks, self.threads, self.options = ranks, threads, options
        self.bin = pathlib.Path(options.bin)
        self.directory = work / f"{net}-{ranks}-{threads}{'-bf16' if bf16 else ''}"
        self.settings = {"train.threads": threads, "train.device": '"cpu"',
                         "train.precision": '"bfloat16"' if bf16 else '"float32"'}
        self.settings.update(setting.split("=", 1) for setting in options.set)
        self.first_losses, self.short, self.warmup = [], 8, 5

    def launch(self):
        if self.ranks > 1:
            return ["mpirun", "-n", self.ranks, "--bind-to", "core"]
        return ["taskset", "-c", ",".join(map(str, cores(self.options, self.threads)))]

    def execute(self, program, *arguments):
        """Standard output and the largest rank's peak memory in bytes."""
        for old in self.directory.parent.glob("peak.*"):
            old.unlink()
        peak = self.directory.parent / "peak"
        settings = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        output = run([*self.launch(), sys.executable, HERE / "peak_memory.py", peak, self.bin / program, self.config,
                      "--run-dir", self.directory, *settings, *arguments], self.threads)
        return output, max(int(file.read_text()) for file in peak.parent.glob("peak.*"))

    def train(self, steps, log_every=0):
        self.settings.update({"train.steps": steps, "train.log_every_steps": log_every or max(1, steps // 60)})
        shutil.rmtree(self.directory, ignore_errors=True)
        _, memory = self.execute("trireme-train", "--quiet", "--fresh")
        summary = json.loads((self.directory / "summary.json").read_text())
        lines = map(json.loads, (self.directory / "metrics.jsonl").read_text().splitlines())
        losses = [(line["step"], line["loss"]) for line in lines if line["event"] == "train"]
        if self.first_losses and losses[0][0] > 1:
            losses = [self.first_losses[0], *losses]
        return {"rate": summary["samples_per_second"], "memory": memory, "losses": losses}

    def calibrate(self, seconds):
        """The steps that take so many seconds, from two short runs, which also tell the first losses."""
        self.first_losses = self.train(FEWEST_STEPS, log_every=1)["losses"]
        resolved = (self.directory / "config.toml").read_text()
        self.resolved = self.directory.with_suffix(".toml")
        self.resolved.write_text(resolved)
        self.batch = int(re.search(r"^batch *= *(\d+)", resolved, re.MULTILINE)[1])
        summary = json.loads((self.directory / "summary.json").read_text())
        steps = max(FEWEST_STEPS, int(summary["samples_per_second"] * min(1.5, seconds / 2) / self.batch))
        rate = self.train(steps)["rate"] / self.batch
        self.short = max(8, round(rate))                 # steps that take about a second
        self.warmup = min(200, max(5, round(rate / 2)))  # the peer's steps before its clock starts
        return max(FEWEST_STEPS, round(rate * seconds))

    def train_for_prediction(self):
        self.settings["data.validation_batch"] = re.search(r"^batch *= *(\d+)", self.config.read_text(), re.MULTILINE)[1]
        self.train(PREDICT_STEPS, log_every=1)
        self.resolved = self.directory.with_suffix(".toml")
        shutil.copy(self.directory / "config.toml", self.resolved)

    def predict(self, part):
        folder = re.search(r'^train *= *"(.*)/train.h5"', self.config.read_text(), re.MULTILINE)[1]
        output, memory = self.execute("trireme-predict", "--data", f"{folder}/{part}.h5", "--output",
                                      self.directory.with_suffix(".h5"))
        loss = re.search(r"loss ([\d.]+)", output)
        rate = re.search(r"forward passes: ([\d.]+) samples/s", output)
        if not loss or not rate:
            raise RunError(f"trireme-predict printed no loss or rate: {output}")
        return {"rate": float(rate[1]), "memory": memory, "loss": float(loss[1])}


class Peer:
    """Runs of PyTorch with the config that a run of ours resolved to."""

    def __init__(self, ours, options):
        self.ours, self.options = ours, options

    def execute(self, script, *arguments):
        count = max(self.ours.ranks, self.ours.threads)
        output = run(["taskset", "-c", ",".join(map(str, cores(self.options, count))), self.options.python, HERE / script,
                      "--config", self.ours.resolved, "--threads", self.ours.threads, *arguments], self.ours.threads)
        result = json.loads(output.splitlines()[-1])
        found = {"rate": result["samples_per_second"], "memory": result["memory"], "import": result["memory_of_import"]}
        if "losses" in result:
            found["losses"] = list(enumerate(result["losses"], 1))
        else:
            found["loss"] = result["loss"]
        return found

    def train_or_stop(self, variant, steps):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return self.execute("trainer.py", "--ranks", self.ours.ranks, "--port", port, "--steps", steps,
                            "--warmup", self.ours.warmup, *variant)

    def predict_or_stop(self, variant, part, batches=0):
        """The whole part, after as many training steps as ours; or some batches, by an untrained net."""
        return self.execute("predictor.py", "--steps", 0 if batches else PREDICT_STEPS, "--part", part, "--batches", batches, *variant)

    def train(self, variant, steps):
        """None, and the reason on stderr, where the variant fails."""
        return self.or_none(variant, lambda: self.train_or_stop(variant, steps))

    def predict(self, variant, part, batches):
        return self.or_none(variant, lambda: self.predict_or_stop(variant, part, batches))

    def or_none(self, variant, attempt):
        try:
            return attempt()
        except (RunError, subprocess.TimeoutExpired) as error:
            print(f"    PyTorch {name_of(variant)} FAILED: {error}", file=sys.stderr, flush=True)
            return None

    def steps_for(self, variant, seconds):
        return max(FEWEST_STEPS, round(self.train_or_stop(variant, IMPORT_STEPS)["rate"] * seconds / self.ours.batch))

    def lean(self):
        """A run of the plain variant with its data kept as bytes: PyTorch's least memory."""
        return self.train_or_stop(["--lean"], IMPORT_STEPS)

    def lean_prediction(self, part):
        return self.predict_or_stop(["--lean"], part, batches=40)


def check_surroundings(options):
    for program in ("trireme-train", "trireme-predict"):
        if not os.access(pathlib.Path(options.bin) / program, os.X_OK):
            raise SystemExit(f"perf/compare: no {options.bin}/{program}: run scripts/quickstart.sh first")
    for file in ("data/fashion_mnist/train.h5", "data/bible_kjv/train.h5", "data/bible_kjv/bible.txt"):
        if not os.path.exists(file):
            raise SystemExit(f"perf/compare: no {file}: run scripts/quickstart.sh, scripts/fetch_bible.sh and "
                             "trireme-prepare configs/prepare_bible.toml first, in the repository's root")
    run([options.python, "-c", "import torch, numpy"], 1)


def machine(options):
    version = run([options.python, "-c", "import torch; print(torch.__version__)"], 1).strip()
    model = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, {model[1] if model else platform.machine()}; PyTorch {version}"
