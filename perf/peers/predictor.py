#!/usr/bin/env python3
"""Predicts a data set with the net of one of our resolved configs in PyTorch; prints one JSON line: samples per second, loss.

The peer of perf/compare for trireme-predict: first the net trains for --steps steps, as ours did; then, in eval mode and inference
mode, it predicts every sample of the data set in batches of data.validation_batch, and leaves class probabilities or the
text's losses in memory, as ours does. Timed are the batches after some to warm up; no file is written.
"""
import json
import time
import tomllib

import torch
from torch.nn import functional

import data
import trainer


def predictor_of(model, samples, options):
    """x -> logits, made as fast as the flags say."""
    model.eval()
    if options.freeze:
        x, _ = samples
        traced = torch.jit.trace(model, x)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    if options.compile:
        import torch._inductor.config as inductor
        inductor.freezing = True
        return torch.compile(model)
    return model


def rows_of(logits, y):
    """What is kept of each sample: probabilities, or the mean loss over its characters; and the sum of the losses."""
    if logits.dim() == 2:
        return logits.softmax(-1), functional.cross_entropy(logits, y, reduction="sum")
    losses = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1), reduction="none")
    losses = losses.view(y.shape).mean(-1)
    return losses, losses.sum()


def main():
    parser = trainer.parser_of(__doc__)
    parser.add_argument("--part", default="train", help="train, t10k (images) or validation (text): what is predicted")
    parser.add_argument("--freeze", action="store_true", help="torch.jit: trace, freeze, optimize_for_inference")
    parser.add_argument("--warmup", type=int, default=8, help="batches before the timed pass")
    parser.add_argument("--batches", type=int, default=0, help="at most so many; 0 for all")
    options = parser.parse_args()
    options.ranks = 1
    with open(options.config, "rb") as stream:
        config = tomllib.load(stream)
    trainer.check(config)
    trainer.settings(options)
    training = data.load(config, lean=options.lean)
    model = trainer.make_model(config, training.vocabulary, options)
    compiled, options.compile = options.compile, False
    for _ in trainer.run_steps(model, training, config, options, 0, options.steps):
        pass
    options.compile = compiled
    del training
    samples = data.load(config, options.part, options.lean)
    batch, count = config["data"]["validation_batch"], len(samples.y)
    count -= count % batch  # whole batches: another shape would be compiled anew
    if options.batches:
        count = min(count, options.batches * batch)
    everything = torch.arange(count)
    with torch.inference_mode():
        def taken(first):
            x, y = samples.batch(everything[first:first + batch])
            return (x.contiguous(memory_format=torch.channels_last) if options.channels_last and x.dim() == 4 else x), y

        predict = predictor_of(model, taken(0), options)
        for _ in range(options.warmup):
            rows_of(predict(taken(0)[0]), taken(0)[1])
        kept, total, begin = [], torch.zeros(()), time.perf_counter()
        for first in range(0, count, batch):
            x, y = taken(first)
            rows, loss = rows_of(predict(x), y)
            kept.append(rows)
            total += loss
        seconds = time.perf_counter() - begin
    print(json.dumps({"samples_per_second": count / seconds, "loss": float(total) / count, "memory": data.peak_bytes(),
                      "memory_of_import": trainer.imported}), flush=True)


if __name__ == "__main__":
    main()
