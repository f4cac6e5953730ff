"""Pairs of images a second of neural-tangents 0.6.5, for `conv_kernels.py`, which runs this in another environment.

    OTHER/bin/python benchmarks/reference_kernels.py NAME N1 N2

That version needs JAX 0.4.30 or so:

    pip install "jax[cpu]==0.4.30" "jaxlib==0.4.30" "neural-tangents==0.6.5" "numpy<2"

Prints one line of JSON with the seconds of each repetition.
"""

import json
import sys
import time

import jax
import numpy as np
from neural_tangents import stax

W_STD, B_STD, REPETITIONS = 2**0.5, 0.1, 3


def blocks(convolutions, pooling):
    conv = stax.Conv(1, (3, 3), padding="SAME", W_std=W_STD, b_std=B_STD)
    return [conv, stax.Relu()] * convolutions + [stax.AvgPool((2, 2), strides=(2, 2))] * pooling


def dense():
    return stax.Dense(1, W_std=W_STD, b_std=B_STD)


NETWORKS = {
    "convnet3": [*blocks(1, True) * 3, stax.Flatten(), dense()],
    "convnet": [*blocks(2, True), *blocks(1, True) * 2, stax.Flatten(), dense()],
    "myrtle5": [*blocks(2, True), *blocks(1, True), *blocks(1, False), stax.GlobalAvgPool(), dense()],
    "conv-vec3": [*blocks(1, False) * 3, stax.Flatten(), dense()],
    "fc3": [stax.Flatten(), *[dense(), stax.Relu()] * 3, dense()],
}


def main():
    name, n1, n2, *shape = sys.argv[1], *map(int, sys.argv[2:])
    draw = np.random.default_rng(0)
    x1, x2 = (draw.standard_normal((n, *shape)).astype(np.float32) for n in (n1, n2))
    kernel = jax.jit(lambda a, b: stax.serial(*NETWORKS[name])[2](a, b, "ntk"))
    kernel(x1, x2).block_until_ready()
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        kernel(x1, x2).block_until_ready()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "value": float(kernel(x1[:1], x2[:1])[0, 0])}))


main()
