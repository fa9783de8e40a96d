"""The order in which a run of ours visits a text, drawn as runtime/base/rng.h and runtime/data/text_dataset.cpp draw it."""
import numpy

SHUFFLE, TEXT_OFFSET = 2, 6  # Purpose


def philox(key, counters):
    """Philox4x32-10 (Salmon et al., SC 2011): [n, 4] words of the blocks of [n, 4] counters."""
    mask = numpy.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (counters[:, i].astype(numpy.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = numpy.uint64(0xD2511F53) * c0, numpy.uint64(0xCD9E8D57) * c2
        c0, c2 = (p1 >> numpy.uint64(32)) ^ c1 ^ numpy.uint64(k0), (p0 >> numpy.uint64(32)) ^ c3 ^ numpy.uint64(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return numpy.stack([c0, c1, c2, c3], axis=1)


class Stream:
    """RandomStream(seed, purpose, a)."""

    def __init__(self, seed, purpose, a):
        self.key, self.a = (seed & 0xFFFFFFFF, (seed >> 32) ^ (purpose << 24)), a
        self.words, self.blocks, self.at = [], 0, 0

    def next(self):
        if self.at == len(self.words):
            counters = numpy.zeros((4096, 4), numpy.uint64)
            counters[:, 0] = numpy.arange(self.blocks, self.blocks + 4096)
            counters[:, 1], counters[:, 2] = self.a & 0xFFFFFFFF, self.a >> 32
            self.words, self.at = philox(self.key, counters).ravel().tolist(), 0
            self.blocks += 4096
        self.at += 1
        return self.words[self.at - 1]

    def below(self, bound):
        threshold = (1 << 32) % bound
        while True:
            product = self.next() * bound
            if product & 0xFFFFFFFF >= threshold:
                return product >> 32


def starts_of_epoch(tokens, length, seed, epoch):
    """The first tokens of the windows of `length` that an epoch visits, in its order."""
    offset = Stream(seed, TEXT_OFFSET, epoch).below(length)
    samples = (tokens - 1) // length
    order, stream = list(range(samples)), Stream(seed, SHUFFLE, epoch)
    for i in range(samples, 1, -1):
        j = stream.below(i)
        order[i - 1], order[j] = order[j], order[i - 1]
    return numpy.minimum(offset + numpy.array(order) * length, tokens - 1 - length)
