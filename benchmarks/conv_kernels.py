"""Kernels of infinite networks: pairs of rows a second, beside neural-tangents 0.6.5 in the same run.

    python benchmarks/conv_kernels.py [--reference OTHER/bin/python] [--only convnet3]

OTHER is an environment that has neural-tangents, see `reference_kernels.py`; without it our side alone is measured.
Float32, NTK, ReLU. The floor is what the arc-cosines of all pairs of pixels take at the machine's own rate: 40 flops
each, at the rate of a polynomial on numbers in cache.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import seconds_of

from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.gram.names import named

RESULT = Path(__file__).parent / "results" / "conv_kernels.json"
FLOPS = 40  # of an activation at one pair of pixels
# name -> shape of a row, rows of both sides for us, and for the reference, and activations at a pair of rows
CASES: dict[str, tuple[tuple[int, ...], int, int, int]] = {
    "convnet3": ((28, 28, 1), 32, 4, 28**4 + 14**4 + 7**4),
    "convnet": ((32, 32, 3), 16, 3, 2 * 32**4 + 16**4 + 8**4),
    "myrtle5": ((16, 16, 3), 32, 8, 2 * 16**4 + 8**4 + 4**4),
    "conv-vec3": ((28, 28, 1), 256, 64, 3 * 28**2),
    "fc3": ((784,), 4096, 4096, 3),
}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found |= {"versions": versions(), "flops_a_second": flops_a_second()}
    for name in CASES:
        if arguments.only in ("", name):
            found[name] = measured(name, arguments.reference, found["flops_a_second"])
            print(name, json.dumps(found[name]), flush=True)
            write_json(RESULT, found)


def measured(name: str, reference: Path | None, rate: float) -> dict[str, Any]:
    """Our figures, and theirs."""
    shape, n, fewer, activations = CASES[name]
    kernel, draw = named(name), np.random.default_rng(0)
    x1, x2 = (jnp.asarray(draw.standard_normal((n, *shape)), jnp.float32) for _ in range(2))
    forward = seconds_of(jax.jit(kernel.block), x1, x2)
    slope = jax.jit(jax.grad(lambda a, b: jnp.sum(jnp.sin(kernel.block(a, b))), argnums=1))
    both = seconds_of(slope, x1, x2)
    pairs = n * n / forward
    ours = {
        "rows": n,
        "pairs_a_second": pairs,
        "of_the_floor": pairs * activations * FLOPS / rate,
        "backward_over_forward": (both - forward) / forward,
        "backward_mib": {m: mebibytes(slope, x1[:m], x2[:m]) for m in (n // 2, n)},
    }
    if reference is None:
        return ours
    call = [str(reference), str(Path(__file__).with_name("reference_kernels.py")), name, str(fewer), str(fewer)]
    output = subprocess.run([*call, *map(str, shape)], capture_output=True, text=True, check=True).stdout
    theirs = json.loads(output.splitlines()[-1])
    again = np.random.default_rng(0)
    first = [again.standard_normal((fewer, *shape)).astype(np.float32)[:1] for _ in range(2)]
    difference = abs(float(kernel(*first)[0, 0]) / theirs["value"] - 1)
    reference_pairs = fewer**2 / statistics.median(theirs["seconds"])
    return ours | {
        "neural_tangents_rows": fewer,
        "neural_tangents_pairs_a_second": reference_pairs,
        "times_as_fast": pairs / reference_pairs,
        "relative_difference": difference,
    }


def mebibytes(f: Any, *arguments: Any) -> float:
    """Working memory of a compiled function."""
    return f.lower(*arguments).compile().memory_analysis().temp_size_in_bytes / 2**20


def flops_a_second(degree: int = 60, numbers: int = 2**17) -> float:
    """Of a polynomial on numbers in cache, on all cores."""
    x = jnp.linspace(0, 1, numbers, dtype=jnp.float32)

    def polynomial(x: jax.Array) -> jax.Array:
        total = x
        for _ in range(degree):
            total = total * x + 0.5
        return total

    def many(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 200, lambda _, x: polynomial(x), x)

    return 2 * degree * x.size * 200 / seconds_of(jax.jit(many), x)


if __name__ == "__main__":
    main()
