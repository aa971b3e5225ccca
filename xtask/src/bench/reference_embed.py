"""Times one call of `embed` of tflite-support or MediaPipe on a generated RGB frame.

Usage: reference_embed.py task_library|media_pipe PASS_THROUGH MODEL WIDTH HEIGHT [CALLS]

Run this in the environments that `cargo xtask golden` makes in .cache/golden. PASS_THROUGH is a
model of 224x224 pixels that `cargo run -p image-embedder-preprocess --example pass_through_models
-- FOLDER 224x224` writes: it shows which pixels a model is fed. MODEL takes uint8 of 224x224 pixels
too and is timed; it should be a quick one, such as mobilenet_v1_0.25_224_quant.tflite, because the
packages need hundreds of milliseconds to hand over an embedding as long as that of PASS_THROUGH.

Prints JSON: the median and least time of a call with a frame of WIDTH x HEIGHT, the same with one
of 224x224, which the Task Library gives to the model as it is, and the SHA-256 of the pixels. The
difference of the two medians is what the preprocessing takes; the rest is the call and the model.
"""

import hashlib
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))

import pattern

SIDE = 224


def task_library(model):
    """An embedder of tflite-support and its image type."""
    from tflite_support.task import core, processor, vision

    options = vision.ImageEmbedderOptions(
        base_options=core.BaseOptions(file_name=model, num_threads=1),
        embedding_options=processor.EmbeddingOptions(l2_normalize=False, quantize=False),
    )
    embedder = vision.ImageEmbedder.create_from_options(options)
    image = vision.TensorImage.create_from_array
    return image, lambda image: embedder.embed(image).embeddings[0].feature_vector.value


def media_pipe(model):
    """An embedder of MediaPipe and its image type."""
    import mediapipe
    from mediapipe.tasks import python as tasks

    options = tasks.vision.ImageEmbedderOptions(
        base_options=tasks.BaseOptions(model_asset_path=model), l2_normalize=False, quantize=False
    )
    embedder = tasks.vision.ImageEmbedder.create_from_options(options)
    image = lambda pixels: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    return image, lambda image: embedder.embed(image).embeddings[0].embedding


def timed(embed, image, calls):
    """Milliseconds of each call."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        embed(image)
        times.append((time.perf_counter() - start) * 1000)
    return {"median_ms": round(statistics.median(times), 3), "least_ms": round(min(times), 3)}


def main():
    package, pass_through, model, width, height, *rest = sys.argv[1:]
    calls = int(rest[0]) if rest else 50
    open_model = {"task_library": task_library, "media_pipe": media_pipe}[package]
    pixels = pattern.frame(0, int(width), int(height), 3)
    small_pixels = pattern.frame(0, SIDE, SIDE, 3)
    image_of, embed = open_model(pass_through)
    fed = bytes(int(value) for value in embed(image_of(pixels)))

    image_of, embed = open_model(model)
    image, small = image_of(pixels), image_of(small_pixels)
    for warm_up in (image, small):
        embed(warm_up)
    result = {
        "package": package,
        "calls": calls,
        "frame": timed(embed, image, calls),
        "model_sized_frame": timed(embed, small, calls),
        "sha256": hashlib.sha256(fed).hexdigest(),
    }
    difference = result["frame"]["median_ms"] - result["model_sized_frame"]["median_ms"]
    result["preprocessing_ms"] = round(difference, 3)
    print(json.dumps(result))


main()
