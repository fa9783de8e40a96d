#!/usr/bin/env python3
"""Trains a character language model in PyTorch as one of our resolved configs says, and prints one JSON line.

The peer of perf/language. It reads the config.toml that trireme-train left in a run directory, so that net, steps,
batch, sequence length, rate, schedule, clipping and weight decay are ours to the digit; the text is split and cut into windows as
our data set is (characters in code-point order, the last part for validation; windows of sequence_length, a new
offset and order each epoch; our cut between training and validation falls at the nearest line's start). Starting values come from the same distributions by another generator;
with --start they are ours, and so are text, offsets and order, which leaves nothing but the arithmetic to differ.
"""
import argparse
import itertools
import json
import math
import time
import tomllib

import numpy
import torch
from torch import nn
from torch.nn import functional

import nets
import order as ours


def read_text(path, fraction):
    with open(path, encoding="utf-8", newline="") as stream:
        points = numpy.frombuffer(stream.read().encode("utf-32-le"), numpy.uint32)
    characters, numbers = numpy.unique(points, return_inverse=True)
    tokens = numbers.astype(numpy.int64, copy=False)
    kept = len(tokens) - int(len(tokens) * fraction)
    return torch.from_numpy(tokens[:kept]), torch.from_numpy(tokens[kept:]), len(characters)


def windows(tokens, length, offset=0):
    count = (len(tokens) - 1 - offset) // length
    return (tokens[offset:offset + count * length].view(count, length),
            tokens[offset + 1:offset + 1 + count * length].view(count, length))


def batches(tokens, length, batch):
    """Batches without end, of (x, y): windows in an order of this generator's."""
    while True:
        x, y = windows(tokens, length, int(torch.randint(length, ())))
        for chosen in torch.randperm(len(x)).split(batch):
            yield x.index_select(0, chosen), y.index_select(0, chosen)


def our_batches(tokens, length, batch, seed):
    """The same as a run of ours with that seed visits them."""
    for epoch in itertools.count():
        starts = torch.from_numpy(ours.starts_of_epoch(len(tokens), length, seed, epoch))
        for chosen in starts.split(batch):
            window = tokens[chosen[:, None] + torch.arange(length + 1)]
            yield window[:, :-1], window[:, 1:]


def our_tokens(path):
    import h5py
    with h5py.File(path) as file:
        return torch.from_numpy(file["tokens"][:].astype(numpy.int64))


def rate_at(step, steps, base, schedule):
    """runtime/optim/schedule.h: constant or cosine, with a linear warm-up."""
    warmup = schedule["warmup_steps"]
    if step < warmup:
        return base * (step + 1) / (warmup + 1)
    if schedule["kind"] == "constant":
        return base
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    final = schedule["final_fraction"]
    return base * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def optimizer_of(model, config):
    learned = [p for p in model.parameters() if p.requires_grad]
    decays = [p for p in learned if p.dim() > 1]
    others = [p for p in learned if p.dim() <= 1]
    groups = [{"params": decays, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[config["kind"]]
    return kind(groups, lr=config["learning_rate"], betas=(config["beta1"], config["beta2"]), eps=config["epsilon"],
                fused=True)


def train(options):
    with open(options.config, "rb") as stream:
        config = tomllib.load(stream)
    mirrored = {"train.label_smoothing": 0.0, "train.micro_batches": 1, "optimizer.ema_decay": 0.0}
    for key, value in mirrored.items():
        table, name = key.split(".")
        if config[table].get(name, value) != value:
            raise SystemExit(f"language.py does not mirror {key} = {config[table][name]}")
    if config["schedule"]["kind"] not in ("constant", "cosine"):
        raise SystemExit(f"language.py does not mirror schedule.kind = {config['schedule']['kind']}")
    if config["model"]["kind"] not in ("gpt", "lstm"):
        raise SystemExit(f"language.py does not mirror model.kind = {config['model']['kind']}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    training, validation, vocabulary = read_text(options.text, options.validation_fraction)
    length, batch = config["data"]["sequence_length"], config["data"]["batch"]
    model = nets.build(config, vocabulary)
    if options.start:
        nets.take_values(model, config, numpy.load(options.start))
        training, validation = our_tokens(config["data"]["train"]), our_tokens(config["data"]["validation"])
        source = our_batches(training, length, batch, options.seed)
    else:
        source = batches(training, length, batch)
    optimizer = optimizer_of(model, config["optimizer"])
    clip = config["train"]["gradient_clip_norm"]

    begin, loss = time.perf_counter(), None
    for step, (x, y) in enumerate(itertools.islice(source, options.steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, options.steps, config["optimizer"]["learning_rate"], config["schedule"])
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=config["train"]["precision"] == "bfloat16"):
            logits = model(x)
            loss = functional.cross_entropy(logits.view(-1, vocabulary), y.reshape(-1))
        loss.backward()
        if clip > 0:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    seconds = time.perf_counter() - begin
    print(json.dumps({"train_loss": float(loss.detach()), "train_seconds": seconds,
                      "samples_per_second": options.steps * batch / seconds,
                      "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                      "validation_loss": validate(model, validation, vocabulary, length)}), flush=True)


def validate(model, validation, vocabulary, length):
    model.eval()
    total = 0.0
    x, y = windows(validation, length)
    with torch.no_grad():
        for first in range(0, len(x), 256):
            logits = model(x[first:first + 256])
            total += float(functional.cross_entropy(logits.view(-1, vocabulary), y[first:first + 256].reshape(-1),
                                                    reduction="sum"))
    return total / x.numel()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="config.toml of a run directory of ours")
    parser.add_argument("--text", required=True)
    parser.add_argument("--validation-fraction", type=float, default=0.1)
    parser.add_argument("--steps", type=int, required=True, help="as our summary.json counts them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", help="our starting values, as `trireme-checkpoint export` writes them to an .npz")
    parser.add_argument("--threads", type=int, default=2, help="of the process")
    options = parser.parse_args()
    train(options)


if __name__ == "__main__":
    main()
