"""Converts small networks of well-known architectures with random weights into model files.

Usage: networks.py FOLDER

Each architecture has the layers and wiring of its namesake and few, narrow blocks, so that a file
is small. Weights and calibration pictures are drawn from fixed seeds.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy
import tensorflow
from keras import activations, layers, ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

SEED = 4
CALIBRATION_PICTURES = 24


def normalized(x, activation=None):
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def convolution(x, channels, window=1, strides=1, activation="relu", padding="same", **options):
    x = layers.Conv2D(
        channels, window, strides, padding=padding, use_bias=False, **options
    )(x)
    return normalized(x, activation)


def depthwise(x, window=3, strides=1, activation="relu", padding="same", **options):
    x = layers.DepthwiseConv2D(window, strides, padding=padding, use_bias=False, **options)(x)
    return normalized(x, activation)


def relu6(x):
    return activations.relu(x, max_value=6)


def hard_sigmoid(x):
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def hard_swish(x):
    return layers.Multiply()([x, hard_sigmoid(x)])


def swish(x):
    return layers.Multiply()([x, activations.sigmoid(x)])


def embedding(x, size=32):
    return layers.Dense(size)(layers.GlobalAveragePooling2D()(x))


def classes(x, size=10):
    return layers.Softmax()(embedding(x, size))


def mobilenet_v1(x):
    x = convolution(x, 8, 3, 2, relu6)
    for channels, strides in [(16, 1), (24, 2), (24, 1), (32, 2), (48, 1)]:
        if strides == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = depthwise(x, 3, strides, relu6, "same" if strides == 1 else "valid")
        x = convolution(x, channels, activation=relu6)
    return classes(x)


def inverted_residual(x, channels, expansion, window=3, strides=1, activation=relu6, gate=None):
    entry, width = x, x.shape[-1]
    if expansion != 1:
        x = convolution(x, width * expansion, activation=activation)
    x = depthwise(x, window, strides, activation)
    if gate:
        x = excitation(x, max(4, width // 2), gate)
    x = convolution(x, channels, activation=None)
    return layers.Add()([entry, x]) if strides == 1 and channels == width else x


def excitation(x, squeezed, gate):
    squeeze, curve = gate
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(squeezed, 1)(weights)
    weights = layers.Conv2D(x.shape[-1], 1)(squeeze(weights))
    return layers.Multiply()([x, curve(weights)])


def mobilenet_v2(x):
    x = convolution(x, 8, 3, 2, relu6)
    for channels, expansion, strides in [(8, 1, 1), (12, 4, 2), (12, 4, 1), (16, 4, 2), (16, 4, 1)]:
        x = inverted_residual(x, channels, expansion, 3, strides)
    return embedding(convolution(x, 64, activation=relu6))


def mobilenet_v3(x):
    gate = (activations.relu, hard_sigmoid)
    x = convolution(layers.Rescaling(1 / 127.5, -1)(x), 8, 3, 2, hard_swish)
    x = inverted_residual(x, 8, 1, 3, 2, activations.relu, gate)
    x = inverted_residual(x, 12, 4, 3, 1, activations.relu)
    x = inverted_residual(x, 12, 4, 5, 2, hard_swish, gate)
    x = inverted_residual(x, 12, 4, 5, 1, hard_swish, gate)
    x = layers.GlobalAveragePooling2D(keepdims=True)(convolution(x, 48, activation=hard_swish))
    x = hard_swish(layers.Conv2D(64, 1)(x))
    return layers.Flatten()(layers.Conv2D(32, 1)(x))


def efficientnet(x):
    gate = (swish, activations.sigmoid)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])(x)
    x = convolution(x, 8, 3, 2, swish)
    x = inverted_residual(x, 8, 1, 3, 1, swish, gate)
    x = inverted_residual(x, 12, 6, 3, 2, swish, gate)
    x = inverted_residual(x, 12, 6, 5, 1, swish, gate)
    x = inverted_residual(x, 16, 6, 5, 2, swish, gate)
    return embedding(convolution(x, 64, activation=swish))


def efficientnet_lite(x):
    x = convolution(x, 8, 3, 2, relu6)
    for channels, expansion, window, strides in [
        (8, 1, 3, 1), (12, 6, 3, 2), (12, 6, 3, 1), (16, 6, 5, 2), (16, 6, 5, 1)
    ]:
        x = inverted_residual(x, channels, expansion, window, strides)
    return layers.GlobalAveragePooling2D()(convolution(x, 80, activation=relu6))


def resnet(x):
    x = convolution(layers.ZeroPadding2D(3)(x), 16, 7, 2, padding="valid")
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for channels, strides in [(8, 1), (8, 1), (12, 2), (12, 1)]:
        shortcut = x
        if strides != 1 or x.shape[-1] != 4 * channels:
            shortcut = convolution(x, 4 * channels, 1, strides, None)
        y = convolution(x, channels, 1, strides)
        y = convolution(y, channels, 3)
        y = convolution(y, 4 * channels, activation=None)
        x = layers.ReLU()(layers.Add()([shortcut, y]))
    return embedding(x)


def inception(x):
    x = convolution(x, 8, 3, 2, padding="valid")
    x = convolution(x, 12, 3)
    x = layers.MaxPooling2D(3, 2)(x)
    for channels in [8, 12]:
        one = convolution(x, channels)
        five = convolution(convolution(x, 6), channels, 5)
        double = convolution(convolution(convolution(x, 6), 8, 3), 8, 3)
        pooled = convolution(layers.AveragePooling2D(3, 1, padding="same")(x), 8)
        x = layers.Concatenate()([one, five, double, pooled])
    one = convolution(x, 12)
    crossed = convolution(convolution(convolution(x, 8), 8, (1, 7)), 12, (7, 1))
    x = layers.Concatenate()([one, crossed, layers.MaxPooling2D(3, 1, padding="same")(x)])
    return classes(x)


def squeezenet(x):
    x = layers.Conv2D(16, 3, 2, activation="relu")(x)
    x = layers.MaxPooling2D(3, 2)(x)
    for squeezed, expanded in [(4, 16), (4, 16), (8, 24)]:
        x = layers.Conv2D(squeezed, 1, activation="relu")(x)
        left = layers.Conv2D(expanded, 1, activation="relu")(x)
        right = layers.Conv2D(expanded, 3, padding="same", activation="relu")(x)
        x = layers.Concatenate()([left, right])
    x = layers.Conv2D(10, 1, activation="relu")(x)
    return layers.Softmax()(layers.GlobalAveragePooling2D()(x))


def densenet(x):
    x = convolution(x, 12, 3, 2)
    for _ in range(2):
        for _ in range(3):
            y = layers.Conv2D(24, 1, use_bias=False)(normalized(x, "relu"))
            y = layers.Conv2D(6, 3, padding="same", use_bias=False)(normalized(y, "relu"))
            x = layers.Concatenate()([x, y])
        x = layers.Conv2D(x.shape[-1] // 2, 1, use_bias=False)(normalized(x, "relu"))
        x = layers.AveragePooling2D(2)(x)
    return embedding(normalized(x, "relu"))


def shufflenet(x):
    x = convolution(x, 16, 3, 2)
    for _ in range(3):
        left, right = ops.split(x, 2, axis=-1)
        right = convolution(depthwise(convolution(right, 8), 3, 1, None), 8)
        x = layers.Concatenate()([left, right])
        height, width, channels = x.shape[1:]
        x = layers.Reshape((height, width, 2, channels // 2))(x)
        x = layers.Reshape((height, width, channels))(layers.Permute((1, 2, 4, 3))(x))
    return embedding(x)


def attention(x, heads):
    length, width = x.shape[1:]
    size = width // heads
    queries, keys, values = [
        layers.Permute((2, 1, 3))(layers.Reshape((length, heads, size))(layers.Dense(width)(x)))
        for _ in range(3)
    ]
    weights = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * size**-0.5
    mixed = ops.matmul(ops.softmax(weights, axis=-1), values)
    mixed = layers.Reshape((length, width))(layers.Permute((2, 1, 3))(mixed))
    return layers.Dense(width)(mixed)


def transformer(x, heads, hidden, curve):
    x = layers.Add()([x, attention(layers.LayerNormalization(epsilon=1e-5)(x), heads)])
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.Dense(x.shape[-1])(curve(layers.Dense(hidden)(y)))
    return layers.Add()([x, y])


def mobilevit(x):
    x = convolution(x, 8, 3, 2, swish)
    x = inverted_residual(x, 12, 4, 3, 2, swish)
    entry = x
    x = layers.Conv2D(16, 1, use_bias=False)(convolution(x, 12, 3, activation=swish))
    height, width, channels = x.shape[1:]
    rows, columns = height // 2, width // 2
    x = layers.Reshape((rows, 2, columns, 2, channels))(x)
    x = layers.Permute((2, 4, 1, 3, 5))(x)
    x = ops.reshape(x, (4, rows * columns, channels))
    x = transformer(x, 2, 32, swish)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = ops.reshape(x, (1, 2, 2, rows, columns, channels))
    x = ops.reshape(ops.transpose(x, (0, 3, 1, 4, 2, 5)), (1, height, width, channels))
    x = convolution(x, 12, activation=swish)
    x = convolution(layers.Concatenate()([entry, x]), 12, 3, activation=swish)
    return embedding(convolution(x, 48, activation=swish))


class ClassToken(layers.Layer):
    """A learnt token before the others, and a learnt place of each."""

    def build(self, shape):
        _, length, width = shape
        self.token = self.add_weight(shape=(1, 1, width), initializer="random_normal")
        self.places = self.add_weight(shape=(1, length + 1, width), initializer="random_normal")

    def call(self, x):
        return ops.concatenate([self.token, x], axis=1) + self.places


def vision_transformer(x):
    x = layers.Conv2D(24, 8, 8, padding="valid")(x)
    x = ops.reshape(x, (1, x.shape[1] * x.shape[2], 24))
    x = ClassToken()(x)
    for _ in range(2):
        x = transformer(x, 3, 48, lambda y: activations.gelu(y, approximate=False))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Dense(32)(x[:, 0])
    return ops.normalize(x, axis=-1)


def convnext(x):
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(16, 4, 4)(x))
    for _ in range(2):
        y = layers.DepthwiseConv2D(7, padding="same")(x)
        y = layers.Dense(48)(layers.LayerNormalization(epsilon=1e-6)(y))
        y = layers.Dense(16)(activations.gelu(y, approximate=True))
        x = layers.Add()([x, y])
    return embedding(x)


def face_embedding(x):
    x = convolution(x, 12, 3, 2, None)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    for channels in [16, 24]:
        y = layers.PReLU(shared_axes=[1, 2])(depthwise(x, 3, 2, None))
        y = convolution(y, channels, activation=None)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Concatenate()([x, y])
        x = layers.LeakyReLU(0.2)(x)
    x = depthwise(x, x.shape[1], 1, None, "valid")
    return ops.normalize(layers.Flatten()(convolution(x, 32, activation=None)), axis=-1)


# Builders, the side of the input, and the numbers in which they are converted.
ALL = ("f32", "f16", "dynamic", "int8", "uint8")
FEW = ("f32", "dynamic", "int8")
NETWORKS = [
    (mobilenet_v1, 32, ALL),
    (mobilenet_v2, 33, ALL),
    (mobilenet_v3, 40, ALL),
    (efficientnet, 35, ALL),
    (efficientnet_lite, 32, ALL),
    (resnet, 37, FEW),
    (inception, 41, FEW),
    (squeezenet, 36, FEW),
    (densenet, 32, FEW),
    (shufflenet, 24, FEW),
    (mobilevit, 32, ALL),
    (vision_transformer, 32, FEW),
    (convnext, 32, FEW),
    (face_embedding, 32, FEW),
]


def pictures(side, random):
    """Smooth pictures with some noise, from -1 to 1."""
    for _ in range(CALIBRATION_PICTURES):
        rows, columns = numpy.mgrid[0:side, 0:side][:, :, :, None] / side
        waves = random.uniform(1, 9, 3) * rows + random.uniform(1, 9, 3) * columns
        noise = random.normal(scale=0.2, size=(side, side, 3))
        yield numpy.clip(numpy.sin(waves) + noise, -1, 1).astype("float32")[None]


def build(architecture, side):
    keras.utils.set_random_seed(SEED)
    image = keras.Input(batch_shape=(1, side, side, 3))
    model = keras.Model(image, architecture(image))
    random = numpy.random.default_rng(SEED)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights([
                random.uniform(0.7, 1.3, size),
                random.normal(scale=0.3, size=size),
                random.normal(scale=0.2, size=size),
                random.uniform(0.3, 1.5, size),
            ])
        elif isinstance(layer, layers.PReLU):
            layer.set_weights([random.uniform(0.05, 0.4, layer.alpha.shape)])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(scale=0.2, size=layer.bias.shape))
    return model


def scaled(architecture):
    """Whether the network brings bytes into its own range."""
    return architecture in (mobilenet_v3, efficientnet)


def convert(architecture, side, numbers):
    model = build(architecture, side)
    signature = tensorflow.TensorSpec((1, side, side, 3), tensorflow.float32)
    function = tensorflow.function(model).get_concrete_function(signature)
    function = convert_variables_to_constants_v2(function)
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([function])
    if numbers != "f32":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    if numbers == "f16":
        converter.target_spec.supported_types = [tensorflow.float16]
    if numbers in ("int8", "uint8"):
        random = numpy.random.default_rng(SEED + 1)
        factor = 127.5 if scaled(architecture) else 1.0
        samples = [picture * factor + (factor if factor > 1 else 0)
                   for picture in pictures(side, random)]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        element = tensorflow.int8 if numbers == "int8" else tensorflow.uint8
        converter.inference_input_type = element
        converter.inference_output_type = element
    return converter.convert()


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for architecture, side, kinds in NETWORKS:
        for numbers in kinds:
            file = folder / f"{architecture.__name__}_{numbers}.tflite"
            file.write_bytes(convert(architecture, side, numbers))
            print(f"{file.name}: {file.stat().st_size} bytes", flush=True)


main(sys.argv[1])
