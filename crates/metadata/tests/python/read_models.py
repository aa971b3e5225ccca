"""Prints as JSON what tflite-support and MediaPipe make of the models in a folder.

Usage: read_models.py FOLDER

Each `*.tflite` is read with tflite-support's metadata reader. A model with a file of the same name
and the suffix `.rgb` beside it, rows of 8-bit red, green and blue without padding, is also run on
that picture by the ImageEmbedder of both packages. The picture's size is in `.size`, as JSON
`[width, height]`.
"""

import json
import pathlib
import sys

import mediapipe
import numpy
from mediapipe.tasks import python as tasks
from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version
from tflite_support import metadata
from tflite_support.task import core, processor, vision


def described(path):
    displayer = metadata.MetadataDisplayer.with_model_file(str(path))
    names = displayer.get_packed_associated_file_list()
    buffer = displayer.get_metadata_buffer()
    return {
        "metadata": json.loads(displayer.get_metadata_json()),
        "files": {
            name: bytes(displayer.get_associated_file_buffer(name)).decode() for name in names
        },
        "parser_version": _pywrap_metadata_version.GetMinimumMetadataParserVersion(buffer),
    }


def with_task_library(path, picture):
    options = vision.ImageEmbedderOptions(
        base_options=core.BaseOptions(file_name=str(path)),
        embedding_options=processor.EmbeddingOptions(l2_normalize=False, quantize=False),
    )
    embedder = vision.ImageEmbedder.create_from_options(options)
    result = embedder.embed(vision.TensorImage.create_from_array(picture))
    return [float(value) for value in result.embeddings[0].feature_vector.value]


def with_mediapipe(path, picture):
    options = tasks.vision.ImageEmbedderOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(path)), l2_normalize=False, quantize=False
    )
    with tasks.vision.ImageEmbedder.create_from_options(options) as embedder:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
        embedding = embedder.embed(image).embeddings[0]
    return {
        "head_name": embedding.head_name,
        "values": [float(value) for value in embedding.embedding],
    }


def main():
    results = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
        result = described(path)
        pixels = path.with_suffix(".rgb")
        if pixels.exists():
            width, height = json.loads(path.with_suffix(".size").read_text())
            picture = numpy.frombuffer(pixels.read_bytes(), numpy.uint8)
            picture = picture.reshape(height, width, 3).copy()
            result["task_library"] = with_task_library(path, picture)
            try:
                result["mediapipe"] = with_mediapipe(path, picture)
            except NotImplementedError as error:
                result["mediapipe"] = {"not_implemented": str(error)}
        results[path.stem] = result
    json.dump(results, sys.stdout)


main()
