#!/usr/bin/env python3
"""Trains a character language model in PyTorch as one of our resolved configs says, and prints one JSON line.

The peer of perf/language. It reads the config.toml that trireme-train left in a run directory, so that net, steps,
batch, sequence length, rate, schedule, clipping and weight decay are ours to the digit; the text is split and cut into windows as
our data set is (characters in code-point order, the last part for validation; windows of sequence_length, a new
offset and order each epoch; our cut between training and validation falls at the nearest line's start). Starting values come from the same distributions by another generator.
"""
import argparse
import json
import math
import os
import time
import tomllib

import numpy
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x))."""

    plain_attention = False  # products and a softmax instead of the fused kernel, whose backward pass is slow on CPUs

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, length, width = x.shape
        q, k, v = (part.view(samples, length, self.heads, -1).transpose(1, 2)
                   for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        rate = self.dropout if self.training else 0.0
        if Block.plain_attention:
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            y = functional.dropout(scores.masked_fill(future, -math.inf).softmax(-1), rate) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate)
        y = self.project(y.transpose(1, 2).reshape(samples, length, width))
        x = x + functional.dropout(y, self.dropout, self.training)
        y = self.down(functional.gelu(self.up(self.norm2(x))))
        return x + functional.dropout(y, self.dropout, self.training)


class Gpt(nn.Module):
    def __init__(self, model, vocabulary, length):
        super().__init__()
        width, depth = model["width"] or 128, model["depth"] or 4
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.dropout = nn.Dropout(model["dropout"])
        self.blocks = nn.ModuleList(Block(width, model["heads"], model["dropout"]) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = name.endswith(("project.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * depth) if residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if model["tied"]:
            self.head.weight = self.tokens.weight

    def forward(self, tokens):
        x = self.dropout(self.tokens(tokens) + self.positions.weight[:tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Lstm(nn.Module):
    def __init__(self, model, vocabulary, _):
        super().__init__()
        units, depth = model["units"], model["depth"] or 2
        embedding = model["embedding"] or units
        self.tokens = nn.Embedding(vocabulary, embedding)
        self.recurrence = nn.LSTM(embedding, units, depth, batch_first=True, dropout=model["dropout"])
        self.dropout, self.head = nn.Dropout(model["dropout"]), nn.Linear(units, vocabulary)
        for name, parameter in self.recurrence.named_parameters():
            if name.startswith("bias_hh"):  # we have one bias a layer, as the papers do
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

    def forward(self, tokens):
        return self.head(self.dropout(self.recurrence(self.tokens(tokens))[0]))


def read_text(path, fraction):
    text = open(path, encoding="utf-8", newline="").read()
    characters = sorted(set(text))
    number = {character: i for i, character in enumerate(characters)}
    tokens = numpy.array([number[character] for character in text], numpy.int64)
    kept = len(tokens) - int(len(tokens) * fraction)
    return torch.from_numpy(tokens[:kept]), torch.from_numpy(tokens[kept:]), len(characters)


def windows(tokens, length, offset=0):
    count = (len(tokens) - 1 - offset) // length
    return (tokens[offset:offset + count * length].view(count, length),
            tokens[offset + 1:offset + 1 + count * length].view(count, length))


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


def train(rank, options):
    with open(options.config, "rb") as stream:
        config = tomllib.load(stream)
    mirrored = {"train.label_smoothing": 0.0, "train.micro_batches": 1, "optimizer.ema_decay": 0.0}
    for key, value in mirrored.items():
        table, name = key.split(".")
        if config[table].get(name, value) != value:
            raise SystemExit(f"language.py does not mirror {key} = {config[table][name]}")
    if config["schedule"]["kind"] not in ("constant", "cosine"):
        raise SystemExit(f"language.py does not mirror schedule.kind = {config['schedule']['kind']}")
    Block.plain_attention = options.plain_attention
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)  # the same on all ranks: one order of samples
    if options.ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(options.port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=options.ranks)
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})  # a core a rank, as ours have

    training, validation, vocabulary = read_text(options.text, options.validation_fraction)
    length, batch = config["data"]["sequence_length"], config["data"]["batch"]
    model = {"gpt": Gpt, "lstm": Lstm}[config["model"]["kind"]](config["model"], vocabulary, length)
    trained = model
    if options.ranks > 1:
        trained = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, static_graph=True)
    step_model = torch.compile(trained) if options.compile else trained
    optimizer = optimizer_of(model, config["optimizer"])
    clip = config["train"]["gradient_clip_norm"]

    step, begin, loss = -options.warmup, time.perf_counter(), None
    while step < options.steps:
        x, y = windows(training, length, int(torch.randint(length, ())))
        order = torch.randperm(len(x))
        for first in range(0, len(x), batch):
            if step == options.steps:
                break
            if step == 0:
                begin = time.perf_counter()
            chosen = order[first:first + batch].chunk(options.ranks)[rank]
            for group in optimizer.param_groups:
                group["lr"] = rate_at(max(step, 0), options.steps, config["optimizer"]["learning_rate"],
                                      config["schedule"])
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=config["train"]["precision"] == "bfloat16"):
                logits = step_model(x.index_select(0, chosen))
                loss = functional.cross_entropy(logits.view(-1, vocabulary), y.index_select(0, chosen).view(-1))
            loss.backward()
            if clip > 0:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            step += 1
    seconds = time.perf_counter() - begin
    if rank == 0:
        result = {"train_loss": float(loss.detach()), "train_seconds": seconds,
                  "samples_per_second": options.steps * batch / seconds,
                  "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}
        if not options.no_validation:
            result["validation_loss"] = validate(model, validation, vocabulary, length)
        print(json.dumps(result), flush=True)
    if options.ranks > 1:
        torch.distributed.destroy_process_group()


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
    parser.add_argument("--warmup", type=int, default=0, help="steps before these, not timed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=1, help="by DistributedDataParallel over gloo")
    parser.add_argument("--threads", type=int, default=2, help="of each rank")
    parser.add_argument("--port", type=int, default=29512)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--plain-attention", action="store_true")
    parser.add_argument("--no-validation", action="store_true")
    options = parser.parse_args()
    if options.ranks == 1:
        train(0, options)
    else:
        torch.multiprocessing.spawn(train, (options,), nprocs=options.ranks)


if __name__ == "__main__":
    main()
