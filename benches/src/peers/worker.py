"""Runs models in a Python package, as lines on standard input say.

Usage: worker.py ai-edge-litert|mediapipe|tflite-support

The first line on standard output is `ready` with the package's version. After that each request
gets one reply. Words of a line are separated by tabs:

    load THREADS MODEL           loaded
    input WIDTH HEIGHT FILE      given         elements of the input, RGB in the case of frames
    time UNTIMED TIMED           times NANOSECONDS...
    results FOLDER               results NAME:TYPE:SHAPE...
                                               files in FOLDER; TYPE as float32, SHAPE as 1x1280

Any of them may be answered by `error` with a message. Standard output belongs to the protocol: what
libraries print goes to standard error.
"""

import importlib.metadata
import os
import pathlib
import sys
import time

import numpy


class Litert:
    """The interpreter of ai-edge-litert: tensors in, tensors out."""

    def load(self, threads, model):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=model, num_threads=threads)
        self.interpreter.allocate_tensors()

    def give(self, width, height, path):
        (detail,) = self.interpreter.get_input_details()
        elements = numpy.fromfile(path, dtype=detail["dtype"])
        shape = (1, height, width, elements.size // (height * width))
        if tuple(detail["shape"]) != shape:
            self.interpreter.resize_tensor_input(detail["index"], shape, strict=True)
            self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(detail["index"], elements.reshape(shape))

    def run(self):
        self.interpreter.invoke()

    def results(self):
        self.run()
        details = self.interpreter.get_output_details()
        return [self.interpreter.get_tensor(detail["index"]) for detail in details]


class Embedder:
    """An image embedder: a frame in, a list of floats out."""

    def give(self, width, height, path):
        # An image may borrow the array, so the array has to stay.
        self.pixels = numpy.fromfile(path, dtype=numpy.uint8).reshape(height, width, 3)
        self.image = self.image_of(self.pixels)

    def run(self):
        return self.embedder.embed(self.image)


class TaskLibrary(Embedder):
    def load(self, threads, model):
        from tflite_support.task import core, processor, vision

        options = vision.ImageEmbedderOptions(
            base_options=core.BaseOptions(file_name=model, num_threads=threads),
            embedding_options=processor.EmbeddingOptions(l2_normalize=False, quantize=False),
        )
        self.embedder = vision.ImageEmbedder.create_from_options(options)
        self.image_of = vision.TensorImage.create_from_array

    def results(self):
        embeddings = self.run().embeddings
        return [numpy.array(one.feature_vector.value, numpy.float32) for one in embeddings]


class MediaPipe(Embedder):
    def load(self, threads, model):
        import mediapipe
        from mediapipe.tasks import python as tasks

        if threads != 1:
            raise ValueError("MediaPipe has no option for the number of threads")
        options = tasks.vision.ImageEmbedderOptions(
            base_options=tasks.BaseOptions(model_asset_path=model),
            l2_normalize=False,
            quantize=False,
        )
        self.embedder = tasks.vision.ImageEmbedder.create_from_options(options)
        self.image_of = lambda pixels: mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=pixels
        )

    def results(self):
        return [numpy.array(one.embedding, numpy.float32) for one in self.run().embeddings]


PACKAGES = {"ai-edge-litert": Litert, "mediapipe": MediaPipe, "tflite-support": TaskLibrary}


def answer(runner, request):
    """The reply to a request, as words."""
    name, *words = request
    if name == "load":
        threads, model = words
        runner.load(int(threads), model)
        return ["loaded"]
    if name == "input":
        width, height, path = words
        runner.give(int(width), int(height), path)
        return ["given"]
    if name == "time":
        untimed, timed = map(int, words)
        for _ in range(untimed):
            runner.run()
        times = []
        for _ in range(timed):
            start = time.perf_counter_ns()
            runner.run()
            times.append(time.perf_counter_ns() - start)
        return ["times", *map(str, times)]
    if name == "results":
        (folder,) = words
        reply = ["results"]
        for index, result in enumerate(runner.results()):
            result.tofile(pathlib.Path(folder, str(index)))
            shape = "x".join(map(str, result.shape))
            reply.append(f"{index}:{result.dtype}:{shape}")
        return reply
    raise ValueError(f"no such request: {name}")


def main():
    (package,) = sys.argv[1:]
    # Libraries print to the file descriptor, so it is theirs, and the protocol gets another one.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runner = PACKAGES[package]()

    def reply(words):
        print("\t".join(" ".join(word.split()) for word in words), file=replies, flush=True)

    reply(["ready", importlib.metadata.version(package)])
    for line in sys.stdin:
        try:
            words = answer(runner, line.rstrip("\n").split("\t"))
        except Exception as error:
            words = ["error", f"{type(error).__name__}: {error}"]
        reply(words)


main()
