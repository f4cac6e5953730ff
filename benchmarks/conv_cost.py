"""Seconds of a KIP step under the ConvNet NTK against its work: examples, targets, image side, depth.

    python benchmarks/conv_cost.py

The work of a step is that of its pairs of images, s t of examples and targets and s² of examples, each Σ p² with p the
pixels of each layer before pooling. One constant, the median of seconds over work, makes the forecast beside each.
"""

import time
from pathlib import Path

import jax
import numpy as np
import optax
from timing import machine

from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.distill import kip
from datastill.kernels import ConvNet

RESULT = Path(__file__).parent / "results" / "conv_cost.json"
BASE = {"examples": 10, "targets": 100, "side": 12, "depth": 2}
VARIED = {"examples": (5, 20, 40), "targets": (50, 200, 400), "side": (8, 16, 20), "depth": (1, 3)}
REPEATS = 5


def work(examples: int, targets: int, side: int, depth: int) -> float:
    """Pairs of pixels that a step goes over."""
    pairs = examples * targets + examples**2
    return pairs * float(sum((side // 2**layer) ** 4 for layer in range(depth)))


def seconds(examples: int, targets: int, side: int, depth: int) -> float:
    """Of a step, the median of five after the first."""
    draw = np.random.default_rng(0)
    x, z = (draw.standard_normal((n, side, side, 1)).astype(np.float32) for n in (targets, examples))
    y = np.eye(5, dtype=np.float32)[draw.integers(0, 5, targets)] - 0.2
    problem = kip.Problem((ConvNet(depth),), lambda z: z, "solve", optax.adam(0.01))
    state, advance = kip.init(problem, z, y[:examples].copy()), kip.step(problem)
    took = []
    for number in range(REPEATS + 1):
        started = time.perf_counter()
        state, loss = advance(state, x, y, None, jax.random.key(number), 0)
        jax.block_until_ready(loss)
        took.append(time.perf_counter() - started)
    return float(np.median(took[1:]))


def main() -> None:
    """The base, and each of its numbers varied."""
    chosen = [BASE, *({**BASE, name: value} for name, values in VARIED.items() for value in values)]
    rows = [{**one, "work": work(**one), "seconds": seconds(**one)} for one in chosen]
    constant = float(np.median([row["seconds"] / row["work"] for row in rows]))
    for row in rows:
        row["forecast"] = constant * row["work"]
        print(row, flush=True)
    write_json(RESULT, {"rows": rows, "seconds_a_pair": constant, "machine": machine(), "versions": versions()})


if __name__ == "__main__":
    main()
