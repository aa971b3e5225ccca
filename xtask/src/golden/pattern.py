"""Pixels that are the same in every language: 32-bit mixing of a seed and an index.

    x = index * 0x9E3779B1 + seed
    x = (x ^ x >> 16) * 0x85EBCA6B
    x = (x ^ x >> 13) * 0xC2B2AE35
    byte = (x ^ x >> 16) >> 24

All of it modulo 2**32. The constants of the mixing are those of MurmurHash3's finaliser.
"""

import numpy

MASK = numpy.uint64(0xFFFFFFFF)


def words(seed, first, count):
    """The 32-bit numbers with indices from `first` on."""
    index = numpy.arange(first, first + count, dtype=numpy.uint64)
    x = (index * numpy.uint64(0x9E3779B1) + numpy.uint64(seed)) & MASK
    x = ((x ^ (x >> numpy.uint64(16))) * numpy.uint64(0x85EBCA6B)) & MASK
    x = ((x ^ (x >> numpy.uint64(13))) * numpy.uint64(0xC2B2AE35)) & MASK
    return x ^ (x >> numpy.uint64(16))


def frame(seed, width, height, channels):
    """A frame of tight rows."""
    pixels = (words(seed, 0, width * height * channels) >> numpy.uint64(24)).astype(numpy.uint8)
    return pixels.reshape(height, width, channels)


class Choices:
    """Numbers for choosing cases; the same on every run and machine."""

    def __init__(self, seed):
        self.seed = seed
        self.used = 0

    def below(self, limit):
        """A number from 0 to `limit` - 1."""
        word = int(words(self.seed, self.used, 1)[0])
        self.used += 1
        return word * limit >> 32

    def between(self, first, last):
        """A number from `first` to `last`, both included."""
        return first + self.below(last - first + 1)

    def one_of(self, items):
        """An element of a sequence."""
        return items[self.below(len(items))]
