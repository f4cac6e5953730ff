"""The fused first activation on a GPU beside the plain one, and beside what the device can do.

    python benchmarks/fused.py [--interpret]

Correctness first: both on the same patches, forward and back. Then seconds of each, medians of several, and the
ceiling: flops counted (activations and products of patches) at the device's measured rate for a polynomial on numbers
in registers, or bytes read and written at its measured bandwidth, whichever takes longer. `--interpret` tries all of it
without a GPU on few pixels, and writes nothing.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from conv_kernels import FLOPS, flops_a_second, seconds_of

from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.kernels import fused, maps
from datastill.kernels.dual import ACTIVATIONS

RESULT = Path(__file__).parent / "results" / "fused.json"
RELU = ACTIVATIONS["relu"]
BACKWARD_FLOPS = 47
"""Of a pair of pixels, all but its three products: f' 21, f'' 6, what is left of f and f'' 8, and their sums 12."""
# name -> places, side of the windows, numbers in a patch, images in a tile
CASES = {"convnet3 28×28×1": (4, 14, 10, 64), "convnet 32×32×3, stem": (1, 32, 28, 16)}


def patches(places: int, side: int, d: int, images: int) -> tuple[jax.Array, ...]:
    """Of norm 1, and sizes, of one image and of several."""
    draw, found = np.random.default_rng(0), []
    for shape in ((places, side, side), (places, side, side * images)):
        p = draw.standard_normal((*shape, d)).astype(np.float32)
        found += [p / np.linalg.norm(p, axis=-1, keepdims=True), draw.random(shape, dtype=np.float32)]
    return tuple(map(jnp.asarray, found))


def bytes_a_second() -> float:
    """Written and read, of a sum of two arrays that exceed every cache."""
    a = jnp.ones(2**26, jnp.float32)
    return 3 * a.nbytes / seconds_of(jax.jit(lambda a, b: a + b), a, a)


def measured(case: tuple[int, int, int, int], interpret: bool, flops: float, bandwidth: float) -> dict[str, Any]:
    """Forward and back: seconds of both, the largest difference relative to the largest entry, share of the ceiling."""
    places, side, d, images = case
    inputs = patches(*case)
    slopes = jax.jit(lambda *inputs: maps.plain_first(RELU, True, *inputs))(*inputs)
    pairs = (places * side**2) ** 2 * images
    of_maps = 2 * 4 * pairs / places**2  # bytes
    calls = {
        "forward": (
            lambda *inputs: fused.first(RELU, True, *inputs, interpret=interpret),
            lambda *inputs: maps.plain_first(RELU, True, *inputs),
            inputs,
            FLOPS + 2 * d,
        ),
        "backward": (
            lambda *given: fused.first_backward(RELU, *given, interpret=interpret),
            lambda *given: maps.plain_first_backward(RELU, *given),
            (inputs, slopes),
            BACKWARD_FLOPS + 6 * d,
        ),
    }
    found = {}
    for name, (call, plain, given, flops_a_pair) in calls.items():
        ours, reference = jax.jit(call), jax.jit(plain)
        differences = [
            float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in zip(ours(*given), reference(*given), strict=True)
        ]
        seconds = seconds_of(ours, *given)
        found[name] = {
            "largest_difference": max(differences),
            "seconds": seconds,
            "plain_seconds": seconds_of(reference, *given),
            "of_the_ceiling": max(pairs * flops_a_pair / flops, of_maps / bandwidth) / seconds,
        }
    return found


def main() -> None:
    """Every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interpret", action="store_true")
    interpret = parser.parse_args().interpret
    flops = flops_a_second() if interpret else flops_a_second(degree=600, numbers=2**22)
    bandwidth = bytes_a_second()
    cases = {"small": (4, 4, 10, 2)} if interpret else CASES
    found = {name: measured(case, interpret, flops, bandwidth) for name, case in cases.items()}
    device = jax.devices()[0].device_kind
    result = {"device": device, "flops_a_second": flops, "bytes_a_second": bandwidth, "cases": found}
    print(json.dumps(result, indent=2))
    if not interpret:
        write_json(RESULT, {**result, "versions": versions()})


if __name__ == "__main__":
    main()
