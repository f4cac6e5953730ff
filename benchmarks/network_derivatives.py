"""Random convolutional networks on a CPU: all images at once, or one at a time in a loop, forward and derivatives.

    python benchmarks/network_derivatives.py

Milliseconds an image for 100 images of 28×28, medians of five; see docs/decisions/0019-no-convolution-in-a-loop.md.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import machine, seconds_of

from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.features.base import Weights
from datastill.features.conv import RandomConv

RESULT = Path(__file__).parent / "results" / "network_derivatives.json"
IMAGES, WIDTHS = 100, (32, 128)


def main() -> None:
    """Both ways, for each width."""
    x = np.random.default_rng(0).standard_normal((IMAGES, 28, 28, 1)).astype(np.float32)
    found = []
    for width in WIDTHS:
        map = RandomConv(width)
        weights = jax.tree.map(jnp.asarray, map.draw(x.shape[1:]))

        def looped(weights: Weights, x: jax.Array, map: RandomConv = map) -> jax.Array:
            return jax.lax.map(lambda image: map.block(weights, image[None])[0], x)

        for way, block in (("at once", map.block), ("in a loop", looped)):

            def size(weights: Weights, x: jax.Array, block: Any = block) -> jax.Array:
                return jnp.sum(block(weights, x) ** 2)

            timed = {
                "forward": jax.jit(block),
                "by images": jax.jit(jax.grad(size, 1)),
                "by weights": jax.jit(jax.grad(size, 0)),
            }
            row = {name: 1e3 * seconds_of(function, weights, x) / IMAGES for name, function in timed.items()}
            found.append({"width": width, "way": way, **row})
            print(found[-1], flush=True)
    write_json(RESULT, {"milliseconds_an_image": found, "machine": machine(), "versions": versions()})


if __name__ == "__main__":
    main()
