"""Records what MediaPipe feeds to a model: regions and rotations of RGB and RGBA.

Usage: media_pipe.py MODELS OUTPUT

MODELS is a folder with pass-through models. Targets whose size 64 divides are those where a sample
may lie half-way between two 32nds of a pixel.
"""

import sys

import mediapipe
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python.components.containers.rect import RectF
from mediapipe.tasks.python.vision.core.image_processing_options import ImageProcessingOptions

import pattern
import record

FORMATS = {"RGB": mediapipe.ImageFormat.SRGB, "RGBA": mediapipe.ImageFormat.SRGBA}
ROTATIONS = [0, 90, 180, 270]
WHOLE_FRAMES = 6
REGIONS = 12


def chosen(targets, choices):
    """Whole frames in all rotations, then regions, for each target."""
    for target in targets:
        for _ in range(WHOLE_FRAMES):
            frame = [choices.between(1, 90), choices.between(1, 90)]
            for rotation in ROTATIONS:
                yield frame, None, target, rotation
        # Nothing is resized, and halves.
        for scale in (1, 2):
            frame = [target[0] * scale, target[1] * scale]
            for rotation in ROTATIONS:
                yield frame, None, target, rotation
        for index in range(REGIONS):
            width, height = choices.between(1, 90), choices.between(1, 90)
            region_width, region_height = choices.between(1, width), choices.between(1, height)
            region = [
                choices.between(0, width - region_width),
                choices.between(0, height - region_height),
                region_width,
                region_height,
            ]
            yield [width, height], region, target, ROTATIONS[index % 4]


def embed(embedder, case):
    """The pixels that the package feeds to the model."""
    width, height = case["frame"]
    pixels = pattern.frame(case["seed"], width, height, record.CHANNELS[case["format"]])
    region = None
    if case["region"]:
        left, top, region_width, region_height = case["region"]
        region = RectF(
            left=left / width,
            top=top / height,
            right=(left + region_width) / width,
            bottom=(top + region_height) / height,
        )
    image = mediapipe.Image(image_format=FORMATS[case["format"]], data=pixels)
    options = ImageProcessingOptions(region_of_interest=region, rotation_degrees=case["rotation"])
    return embedder.embed(image, options).embeddings[0].embedding


def main():
    models, output = sys.argv[1:]
    models = record.models(models)
    choices = pattern.Choices(2)
    embedders = {}
    cases = []
    for index, (frame, region, target, rotation) in enumerate(chosen(list(models), choices)):
        case = {
            "format": choices.one_of(list(FORMATS)),
            "frame": frame,
            "region": region,
            "target": list(target),
            "rotation": rotation,
            "seed": index,
        }
        if target not in embedders:
            options = tasks.vision.ImageEmbedderOptions(
                base_options=tasks.BaseOptions(model_asset_path=str(models[target])),
                l2_normalize=False,
                quantize=False,
            )
            embedders[target] = tasks.vision.ImageEmbedder.create_from_options(options)
        case["sha256"] = record.digest(embed(embedders[target], case), *target)
        cases.append(case)
    for embedder in embedders.values():
        embedder.close()
    record.write(output, "mediapipe 1.2.2, x86-64 wheel", cases)


main()
