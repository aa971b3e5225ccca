"""Records what tflite-support feeds to a model: crop, resize and conversion of RGB and RGBA.

Usage: task_library.py MODELS OUTPUT

MODELS is a folder with pass-through models. Sizes are chosen so that every way in which the
original resizes RGB and RGBA is taken; which way a case takes follows from its sizes.
"""

import sys

import numpy
from tflite_support.task import core, processor, vision

import pattern
import record

REPEATS = 12


def below(size, choices):
    """A source size that shrinks to `size` by no whole factor."""
    while True:
        source = choices.between(size + 1, 6 * size + 3)
        if source % size:
            return source
        if size == 1:
            return source


# How one axis may change, each with the source size for a target size; None if there is none.
AXES = {
    "same": lambda size, choices: size,
    "third": lambda size, choices: 3 * size,
    "odd": lambda size, choices: size * choices.one_of([5, 7]),
    "even": lambda size, choices: size * choices.one_of([2, 4, 6]),
    "down": below,
    "up": lambda size, choices: choices.between(2, size - 1) if size > 2 else None,
    "single": lambda size, choices: 1,
}


def sizes(targets, choices):
    """Region and target sizes: each pair of axis changes several times."""
    for across in AXES.values():
        for down in AXES.values():
            for _ in range(REPEATS):
                while True:
                    target = choices.one_of(targets)
                    width, height = across(target[0], choices), down(target[1], choices)
                    if width is not None and height is not None:
                        break
                yield (width, height), target
    # Of the longest axis that the original takes, a single pixel would overflow its fixed-point
    # numbers; it makes an exception for it.
    for size in [(32768, 3), (3, 32768), (32767, 3), (3, 32767)]:
        yield size, (1, 1)
        yield size, (1 if size[0] > size[1] else 4, 4 if size[0] > size[1] else 1)


def place(region_size, target, index, choices):
    """A case: a frame around a region, or one that is the region."""
    width, height = region_size
    case_format = choices.one_of(list(record.CHANNELS))
    # The package takes a frame with an axis of one pixel for a gray one.
    is_whole = min(region_size) > 1 and choices.below(3) == 0
    left, right, above, under = [0 if is_whole else choices.below(6) for _ in range(4)]
    if not is_whole and width + left + right < 2:
        right = 1
    if not is_whole and height + above + under < 2:
        under = 1
    return {
        "format": case_format,
        "frame": [width + left + right, height + above + under],
        "region": None if is_whole else [left, above, width, height],
        "target": list(target),
        "seed": index,
    }


def embed(embedder, case):
    """The pixels that the package feeds to the model."""
    width, height = case["frame"]
    pixels = pattern.frame(case["seed"], width, height, record.CHANNELS[case["format"]])
    image = vision.TensorImage.create_from_array(numpy.ascontiguousarray(pixels))
    box = case["region"] and processor.BoundingBox(*case["region"])
    result = embedder.embed(image, box)
    # The image does not keep its pixels alive.
    del pixels
    return result.embeddings[0].feature_vector.value


def main():
    models, output = sys.argv[1:]
    models = record.models(models)
    choices = pattern.Choices(1)
    embedders = {}
    cases = []
    for index, (region_size, target) in enumerate(sizes(list(models), choices)):
        case = place(region_size, target, index, choices)
        if target not in embedders:
            options = vision.ImageEmbedderOptions(
                base_options=core.BaseOptions(file_name=str(models[target])),
                embedding_options=processor.EmbeddingOptions(l2_normalize=False, quantize=False),
            )
            embedders[target] = vision.ImageEmbedder.create_from_options(options)
        case["sha256"] = record.digest(embed(embedders[target], case), *target)
        cases.append(case)
    record.write(output, "tflite-support 0.4.4, x86-64 wheel", cases)


main()
