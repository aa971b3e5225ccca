"""What both drivers share: the models they find, and the file they write."""

import hashlib
import json
import pathlib

CHANNELS = {"RGB": 3, "RGBA": 4}
INPUT = (
    "frames are tight rows; byte i is the top byte of mix(i * 0x9E3779B1 + seed) modulo 2**32, "
    "where mix is x = (x ^ x >> 16) * 0x85EBCA6B, x = (x ^ x >> 13) * 0xC2B2AE35, x ^ x >> 16"
)
METHOD = "the embedding of a uint8 model that only reshapes its input is the preprocessed tensor"


def models(folder):
    """The pass-through models by (width, height); they are named like `24x16.tflite`."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*x*.tflite")):
        width, height = path.stem.split("x")
        found[int(width), int(height)] = path
    return found


def digest(values, width, height):
    """The SHA-256 of the pixels that an embedding consists of."""
    pixels = bytes(int(value) for value in values)
    if len(pixels) != width * height * 3:
        raise SystemExit(f"expected {width * height * 3} bytes, found {len(pixels)}")
    return hashlib.sha256(pixels).hexdigest()


def write(path, producer, cases):
    """Writes a golden file with one line for each case."""
    provenance = {
        "producer": producer,
        "command": "cargo xtask golden",
        "method": METHOD,
        "tolerance": "none: bit-exact",
    }
    note = (
        "region is [x, y, width, height] in pixels, or null for the whole frame; sha256 is of the "
        "output as tight RGB rows"
    )
    lines = [json.dumps(case, separators=(",", ":")) for case in cases]
    text = (
        '{"provenance":' + json.dumps(provenance) + ",\n"
        '"input":' + json.dumps(INPUT) + ",\n"
        '"note":' + json.dumps(note) + ",\n"
        '"cases":[\n' + ",\n".join(lines) + "\n]}\n"
    )
    pathlib.Path(path).write_text(text)
    print(f"{path}: {len(cases)} cases")
