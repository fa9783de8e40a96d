"""The data sets of perf/compare in memory, for PyTorch's side: tensors x and y, and batches from them.

Normalised float32 images and int64 characters, which is fastest; or, `lean`, as the bytes that they are, turned into
float32 or int64 a batch at a time, which needs least memory.
"""
import gzip

import numpy
import torch

from language import read_text, windows

IMAGES = "/usr/share/datasets/fashion-mnist/{}-{}-idx{}-ubyte.gz"
TEXT = "data/bible_kjv/bible.txt"


class Images:
    """Fashion-MNIST, normalised by the training images' mean and deviation; x is [batch, 1, 28, 28]."""

    def __init__(self, part, lean):
        with gzip.open(IMAGES.format(part, "labels", 1)) as stream:
            self.y = torch.from_numpy(numpy.frombuffer(stream.read(), numpy.uint8, offset=8).astype(numpy.int64))
        self.x = torch.empty(len(self.y), 1, 28, 28, dtype=torch.uint8)
        with gzip.open(IMAGES.format(part, "images", 3)) as stream:
            stream.read(16)
            stream.readinto(memoryview(self.x.numpy()).cast("B"))
        counts = sum(numpy.bincount(image, minlength=256) for image in self.x.view(-1, 784 * 100).numpy())
        values = numpy.arange(256.0)
        self.mean = float(counts @ values / counts.sum())
        self.deviation = float((counts @ (values - self.mean) ** 2 / counts.sum()) ** 0.5)
        self.vocabulary = 0
        if not lean:
            self.x = self.x.float().sub_(self.mean).div_(self.deviation)

    def batch(self, chosen):
        x = self.x.index_select(0, chosen)
        if x.dtype == torch.uint8:
            x = x.float().sub_(self.mean).div_(self.deviation)
        return x, self.y.index_select(0, chosen)


class Characters:
    """The Bible in windows of `length` characters; x and y are [batch, length], y the next characters."""

    def __init__(self, part, lean, length):
        training, validation, self.vocabulary = read_text(TEXT, 0.1)
        tokens = training if part == "train" else validation
        self.x, self.y = windows(tokens.to(torch.uint8) if lean else tokens, length)

    def batch(self, chosen):
        return self.x.index_select(0, chosen).long(), self.y.index_select(0, chosen).long()


def load(config, part="train", lean=False):
    """The data set that a resolved config trains on; `part` is "train", "t10k" (images) or "validation" (text)."""
    if config["data"]["train"].startswith("data/fashion_mnist"):
        return Images(part, lean)
    return Characters(part, lean, config["data"]["sequence_length"])


def peak_bytes():
    """The largest resident memory that this process has had."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
