"""How the cost of the universal set grows: seconds and memory by rows, columns, classes, examples.

    python benchmarks/universal_cost.py

Made-up rows (clusters in as many columns as said); one of the four numbers is varied at a time, the others stay at
their usual value. Each fit runs in a process of its own, whose largest memory is recorded, less what it had with the
rows alone. Results are kept cell by cell, so that a run can be interrupted.
"""

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from timing import machine

from datastill import Universal
from datastill.data.archive import write_json
from datastill.data.dataset import versions

RESULT = Path(__file__).parent / "results" / "universal_cost.json"
USUAL = {"rows": 20_000, "columns": 50, "classes": 10, "ipc": 10}
VARIED = {
    "rows": (2_000, 5_000, 20_000, 100_000, 500_000),
    "columns": (10, 50, 200, 800, 3_200),
    "classes": (2, 10, 50, 200),
    "ipc": (1, 3, 10, 30, 100),
}


def cost(rows: int, columns: int, classes: int, ipc: int) -> dict[str, float]:
    """Seconds of a fit, and the largest memory of this process less that before, in MiB."""
    draw = np.random.default_rng(0)
    y = np.arange(rows) % classes
    centres = draw.normal(size=(classes, columns)).astype(np.float32)
    x = centres[y] + 2 * draw.standard_normal((rows, columns), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    model = Universal(ipc, random_state=0).fit(x, y)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 1), "mebibytes": round(after - before), "examples": len(model.y_support_)}


def main() -> None:
    """Fill in the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"cells": {}}
    for varied, values in VARIED.items():
        for value in values:
            given = USUAL | {varied: value}
            key = ", ".join(f"{name} {number}" for name, number in given.items())
            if key not in found["cells"]:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
                    found["cells"][key] = given | own.submit(cost, **given).result()
                write_json(RESULT, found | {"machine": machine(), "versions": versions()})
                print(key, found["cells"][key], flush=True)


if __name__ == "__main__":
    main()
