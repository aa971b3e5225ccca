"""Prints as JSON what tflite-support or MediaPipe make of the models in a folder.

Usage: read_models.py task_library|media_pipe FOLDER

tflite-support reads each `*.tflite` with its metadata reader. A model with a file of the same name
and the suffix `.rgb` beside it, rows of 8-bit red, green and blue without padding, is also run on
that picture by the package's ImageEmbedder. The picture's size is in `.size`, as JSON
`[width, height]`.
"""

import json
import pathlib
import sys

import numpy


def task_library(path, picture):
    from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version
    from tflite_support import metadata
    from tflite_support.task import core, processor, vision

    displayer = metadata.MetadataDisplayer.with_model_file(str(path))
    names = displayer.get_packed_associated_file_list()
    buffer = displayer.get_metadata_buffer()
    result = {
        "metadata": json.loads(displayer.get_metadata_json()),
        "files": {
            name: bytes(displayer.get_associated_file_buffer(name)).decode() for name in names
        },
        "parser_version": _pywrap_metadata_version.GetMinimumMetadataParserVersion(buffer),
    }
    if picture is not None:
        options = vision.ImageEmbedderOptions(
            base_options=core.BaseOptions(file_name=str(path)),
            embedding_options=processor.EmbeddingOptions(l2_normalize=False, quantize=False),
        )
        embedder = vision.ImageEmbedder.create_from_options(options)
        embedded = embedder.embed(vision.TensorImage.create_from_array(picture))
        values = embedded.embeddings[0].feature_vector.value
        result["task_library"] = [float(value) for value in values]
    return result


def media_pipe(path, picture):
    import mediapipe
    from mediapipe.tasks import python as tasks

    if picture is None:
        return {}
    options = tasks.vision.ImageEmbedderOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(path)), l2_normalize=False, quantize=False
    )
    try:
        with tasks.vision.ImageEmbedder.create_from_options(options) as embedder:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            embedding = embedder.embed(image).embeddings[0]
    except NotImplementedError as error:
        return {"mediapipe": {"not_implemented": str(error)}}
    return {
        "mediapipe": {
            "head_name": embedding.head_name,
            "values": [float(value) for value in embedding.embedding],
        }
    }


def main():
    package, folder = sys.argv[1:]
    read = {"task_library": task_library, "media_pipe": media_pipe}[package]
    results = {}
    for path in sorted(pathlib.Path(folder).glob("*.tflite")):
        pixels = path.with_suffix(".rgb")
        picture = None
        if pixels.exists():
            width, height = json.loads(path.with_suffix(".size").read_text())
            picture = numpy.frombuffer(pixels.read_bytes(), numpy.uint8)
            picture = picture.reshape(height, width, 3).copy()
        results[path.stem] = read(path, picture)
    json.dump(results, sys.stdout)


main()
