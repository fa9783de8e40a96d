#!/usr/bin/env python3
"""Trains the net of one of our resolved configs in PyTorch and prints one JSON line: samples per second, losses, memory.

The peer of perf/compare. Net, optimizer, rate (constant), clipping and precision are the config's. It gets its best settings:
the whole data set normalised in memory beforehand, batches by index_select, the fused optimizer, denormals flushed,
and by flags what perf/compare tries out. Several ranks train by DistributedDataParallel over gloo with static_graph
and gradient_as_bucket_view, on a core each. Losses stay tensors until the clock has stopped.
"""
import argparse
import json
import os
import time
import tomllib

import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.nn import functional

import data
import nets
from language import optimizer_of

imported = data.peak_bytes()  # of this, PyTorch's libraries (`pip install torch` brings those for GPUs, too) are nearly all


def settings(options):
    """What holds for the whole process."""
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    nets.Block.plain_attention = options.plain_attention
    nets.Lstm.time_first = options.time_first
    torch.backends.mkldnn.enabled = not options.no_onednn
    if options.compile:
        import torch._inductor.config as inductor
        inductor.cpp_wrapper = options.cpp_wrapper


def check(config):
    mirrored = {"train.label_smoothing": 0.0, "train.micro_batches": 1, "optimizer.ema_decay": 0.0,
                "schedule.kind": "constant", "schedule.warmup_steps": 0, "optimizer.nesterov": False}
    for key, value in mirrored.items():
        table, name = key.split(".")
        if config[table].get(name, value) != value:
            raise SystemExit(f"perf/peers/trainer.py does not mirror {key} = {config[table][name]}")


def optimizer_for(model, config):
    if config["kind"] != "sgd":
        return optimizer_of(model, config)
    if config["weight_decay"]:
        raise SystemExit("perf/peers/trainer.py does not mirror sgd with optimizer.weight_decay")
    return torch.optim.SGD(model.parameters(), lr=config["learning_rate"], momentum=config["momentum"], fused=True)


def loss_function(model, vocabulary, options):
    """(x, y) -> mean loss; compiled as one graph where that can be."""
    if options.compile and options.ranks > 1:
        model = torch.compile(model)

    def loss_of(x, y):
        logits = model(x)
        if vocabulary:
            logits, y = logits.reshape(-1, vocabulary), y.reshape(-1)
        return functional.cross_entropy(logits, y)

    return torch.compile(loss_of) if options.compile and options.ranks == 1 else loss_of


def make_model(config, vocabulary, options):
    model = nets.build(config, vocabulary)
    return model.to(memory_format=torch.channels_last) if options.channels_last else model


def run_steps(model, samples, config, options, rank, steps):
    """Yields after each of `steps` steps its loss, a tensor."""
    trained = model
    if options.ranks > 1:
        trained = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, static_graph=True)
    loss_of = loss_function(trained, samples.vocabulary, options)
    optimizer = optimizer_for(model, config["optimizer"])
    parameters = [p for p in model.parameters() if p.requires_grad]
    clip, batch = config["train"]["gradient_clip_norm"], config["data"]["batch"]
    bfloat16 = config["train"]["precision"] == "bfloat16"
    local, count, order, at = batch // options.ranks, len(samples.y), None, 0
    for _ in range(steps):
        if order is None or at + batch > count:
            order, at = torch.randperm(count), 0  # the same on all ranks
        x, y = samples.batch(order[at + rank * local:at + (rank + 1) * local])
        at += batch
        if options.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of(x, y)
        loss.backward()
        if clip > 0:
            nn.utils.clip_grad_norm_(parameters, clip, foreach=True)
        optimizer.step()
        yield loss.detach()


def train(rank, options):
    with open(options.config, "rb") as stream:
        config = tomllib.load(stream)
    check(config)
    settings(options)
    if options.ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(options.port), GLOO_SOCKET_IFNAME="lo")
        torch.distributed.init_process_group("gloo", rank=rank, world_size=options.ranks)
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})  # a core a rank, as ours have
    samples = data.load(config, lean=options.lean)
    model = make_model(config, samples.vocabulary, options)
    losses, begin = [], 0.0
    for loss in run_steps(model, samples, config, options, rank, options.warmup + options.steps):
        losses.append(loss)
        if len(losses) == options.warmup:
            begin = time.perf_counter()
    seconds = time.perf_counter() - begin
    memory = torch.tensor([data.peak_bytes()])
    losses = torch.stack(losses)
    if options.ranks > 1:
        torch.distributed.all_reduce(memory, torch.distributed.ReduceOp.MAX)
        torch.distributed.all_reduce(losses)
    if rank == 0:
        print(json.dumps({"samples_per_second": options.steps * config["data"]["batch"] / seconds,
                          "memory": int(memory), "memory_of_import": imported,
                          "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                          "losses": [round(float(value) / options.ranks, 5) for value in losses]}), flush=True)
    if options.ranks > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        os._exit(0)  # taking the interpreter down, PyTorch now and then aborts: "terminate called without an active exception"


def parser_of(description):
    """The options that trainer.py and predictor.py share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="config.toml of a run directory of ours")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lean", action="store_true", help="keep the data set as bytes")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cpp-wrapper", action="store_true", help="with --compile: no Python between kernels")
    parser.add_argument("--plain-attention", action="store_true", help="products and a softmax, not the fused kernel")
    parser.add_argument("--time-first", action="store_true", help="LSTM: [length, samples, channels]")
    parser.add_argument("--no-onednn", action="store_true", help="PyTorch's own kernels and MKL only")
    return parser


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--warmup", type=int, default=5, help="steps before these, not timed")
    parser.add_argument("--ranks", type=int, default=1, help="by DistributedDataParallel over gloo")
    parser.add_argument("--port", type=int, default=29511)
    options = parser.parse_args()
    if options.ranks == 1:
        train(0, options)
    else:
        torch.multiprocessing.spawn(train, (options,), nprocs=options.ranks)


if __name__ == "__main__":
    main()
