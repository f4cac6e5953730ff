"""What each selector costs as rows, budget and columns grow; and a million rows in bounded memory.

    python benchmarks/selection_cost.py [--only METHOD]

Every method runs in a process of its own under a limit of time; a size that goes over it ends that curve.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from datastill.data.archive import write_json
from datastill.kernels import RBF
from datastill.select.methods import METHODS, Candidates, choose

ROWS, BUDGET, COLUMNS = 10_000, 100, 50
CURVES = {
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "budget": (10, 100, 1_000),
    "columns": (10, 50, 250, 1_000),
}
LEFT_OUT = ("random", "stratified", "entropy", "forgetting")
"""Random rows cost nothing; entropy and forgetting cost what margin does."""
LIMIT = 240
ONCE = 5.0
RESULT = Path(__file__).parent / "results" / "selection_cost.json"


def candidates(n: int, d: int) -> Candidates:
    """Rows of ten clusters, with their cluster as class for the methods that need classes."""
    draw = np.random.default_rng(0)
    cluster = draw.integers(10, size=n)
    x = draw.standard_normal((n, d), np.float32) + draw.standard_normal((10, d), np.float32)[cluster]
    return Candidates(x, np.eye(2, dtype=np.float32)[cluster % 2], cluster % 2, RBF())


def measure(method: str, axis: str, size: int) -> dict[str, float]:
    """Seconds of one selection, the second if the first was quick, and the process's peak memory."""
    n, k, d = ((size if axis == name else base) for name, base in zip(CURVES, (ROWS, BUDGET, COLUMNS), strict=True))
    rows = candidates(n, d)
    rows = rows._replace(kernel=rows.kernel.resolve(rows.x))
    if method not in ("margin", "el2n"):
        rows = rows._replace(codes=None)
    budget = np.array([k] if rows.codes is None else [k // 2, k - k // 2])
    for _ in range(2):
        started = time.perf_counter()
        choose(method, rows, budget, 0)
        seconds = time.perf_counter() - started
        if seconds > ONCE:
            break
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {"base": [ROWS, BUDGET, COLUMNS], "methods": {}}
    for method in METHODS:
        if method in LEFT_OUT or arguments.only not in method:
            continue
        curves: dict[str, list] = {}
        for axis, sizes in CURVES.items():
            curves[axis] = []
            for size in sizes:
                command = [sys.executable, __file__, "one", method, axis, str(size)]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
                except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                    print(method, axis, size, type(error).__name__, flush=True)
                    break
                curves[axis].append({"size": size, **json.loads(done.stdout)})
        record["methods"][method] = curves
        print(method, {a: [(p["size"], round(p["seconds"], 2)) for p in c] for a, c in curves.items()}, flush=True)
        record |= {"limit_seconds": LIMIT, "machine": f"{os.cpu_count()} cores, {platform.machine()}"}
        write_json(RESULT, record)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "one":
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
