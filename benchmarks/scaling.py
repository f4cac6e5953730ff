"""What a KIP step costs as the target batch grows from 10³ to 10⁶ rows, under a fixed memory budget.

    python benchmarks/scaling.py

Each size runs in a process of its own, so that peak memory is its own. Rows are random, of 64 columns; 100 points.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from datastill.data.archive import write_json
from datastill.distill import kip
from datastill.kernels import FullyConnected
from datastill.krr import float64

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
COLUMNS, POINTS, OUTPUTS = 64, 100, 10
BUDGET = 2**28
RESULT = Path(__file__).parent / "results" / "scaling.json"


def measure(rows: int) -> dict[str, float]:
    """Median seconds of five full-batch steps, the compiler's count of working memory, and the process's peak."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.standard_normal((rows, COLUMNS), np.float32))
    y = jnp.asarray(draw.standard_normal((rows, OUTPUTS), np.float32))
    problem = kip.Problem(
        kernels=(FullyConnected(depth=1),),
        features=lambda z: z,
        labels="solve",
        optimiser=kip.optimiser(0.1, 100),
        memory=BUDGET,
    )
    state = kip.init(problem, draw.standard_normal((POINTS, COLUMNS)), np.zeros((POINTS, OUTPUTS)))
    arguments = (state, x, y, None, jax.random.key(0), 0)
    with float64(True):
        compiled = jax.jit(kip.update(problem), static_argnums=5).lower(*arguments).compile()
        working = compiled.memory_analysis().temp_size_in_bytes
        jax.block_until_ready(compiled(*arguments[:5]))
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            jax.block_until_ready(compiled(*arguments[:5]))
            seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rows": rows, "step_seconds": median(seconds), "working_bytes": working, "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows:
        print(json.dumps(measure(options.rows)))
        return
    curve = []
    for rows in SIZES:
        out = subprocess.run(
            [sys.executable, __file__, "--rows", str(rows)], check=True, capture_output=True, text=True
        )
        curve.append(json.loads(out.stdout.splitlines()[-1]))
        print(curve[-1], flush=True)
    write_json(
        RESULT,
        {
            "budget_bytes": BUDGET,
            "columns": COLUMNS,
            "points": POINTS,
            "curve": curve,
            "jax": jax.__version__,
            "cores": os.cpu_count(),
        },
    )


if __name__ == "__main__":
    main()
