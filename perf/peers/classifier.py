#!/usr/bin/env python3
"""Trains one of our nets on Fashion-MNIST in PyTorch and prints one JSON line: samples per second and the loss.

The peer of perf/compare. It gets its best settings: the whole data set normalised in memory beforehand, batches by
index_select, channels-last or not, torch.compile or not, the fused optimizer, set_num_threads. Several ranks train
by DistributedDataParallel over gloo with static_graph and gradient_as_bucket_view.
"""
import argparse
import gzip
import json
import os
import statistics
import time

import numpy
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn

SOURCE = "/usr/share/datasets/fashion-mnist/train-{}-idx{}-ubyte.gz"


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def cnn():
    """The preset `cnn` with channels [32, 64], dense 128 and no dropout: convolution, batch norm, relu, pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def load():
    with gzip.open(SOURCE.format("images", 3)) as stream:
        images = numpy.frombuffer(stream.read(), numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(SOURCE.format("labels", 1)) as stream:
        labels = numpy.frombuffer(stream.read(), numpy.uint8, offset=8)
    x = torch.from_numpy(images.astype(numpy.float32) / 255)
    return (x - x.mean()) / x.std(), torch.from_numpy(labels.astype(numpy.int64))


def train(rank, options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = {"lenet": lenet, "cnn": cnn}[options.net]()
    if options.ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(options.port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=options.ranks)
    x, y = load()
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    if options.ranks > 1:
        model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, static_graph=True)
    step_model = torch.compile(model) if options.compile else model
    optimizer = torch.optim.SGD(model.parameters(), lr=options.learning_rate, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()
    local = options.batch // options.ranks
    order = torch.randperm(len(x))
    losses, begin = [], 0.0
    for step in range(options.warmup + options.steps):
        if step == options.warmup:
            begin = time.perf_counter()
        first = step * options.batch % (len(x) - options.batch) + rank * local
        chosen = order[first:first + local]
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(step_model(x.index_select(0, chosen)), y.index_select(0, chosen))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    seconds = time.perf_counter() - begin
    if rank == 0:
        losses = [float(value) for value in losses]
        print(json.dumps({"samples_per_second": options.steps * options.batch / seconds, "first_loss": losses[0],
                          "last_loss": statistics.mean(losses[-50:])}), flush=True)
    if options.ranks > 1:
        torch.distributed.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=["lenet", "cnn"], required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64, help="over all ranks")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=29511)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    if options.ranks == 1:
        train(0, options)
    else:
        torch.multiprocessing.spawn(train, (options,), nprocs=options.ranks)


if __name__ == "__main__":
    main()
