"""What a pass and what follows it cost against the number of rows: 10³ to 10⁷ rows of 100 columns in Parquet.

    python benchmarks/moments_scale.py --work FOLDER [--largest 7]

FOLDER takes the generated shards: about 4 GB for 10⁷ rows. Every size runs in a process of its own, so that peak memory
is that of the size. The product rate is measured beside each: a matrix product of 4,096 × 4,096 in float32.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill import KIP
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.data.sharding import shards_of
from datastill.features.names import named_map
from datastill.moments import collect_all, survey

RESULTS = Path(__file__).parent / "results" / "moments_scale.json"
COLUMNS, SHARDS, CLASSES = 100, 100, 10
FEATURES = "relu:1023"
STEPS, IPC = 100, 10


def generate(folder: Path, rows: int) -> None:
    """Rows around ten random centres, in 100 files (10 of few rows); equal sizes give equal rows."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = SHARDS if rows >= 10**6 else 10
    centres = np.random.default_rng(0).normal(size=(CLASSES, COLUMNS))
    for shard in range(shards):
        file = folder / f"{shard:03}.parquet"
        if file.exists():
            continue
        draw = np.random.default_rng([1, rows, shard])
        y = draw.integers(0, CLASSES, rows // shards)
        x = draw.standard_normal((len(y), COLUMNS), np.float32) * 2 + centres[y].astype(np.float32)
        frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(COLUMNS)]).assign(target=y)
        frame.to_parquet(file, compression=None, row_group_size=50_000)


def product_rate() -> float:
    """Floating-point operations a second of a matrix product, the best of three."""
    a = np.random.default_rng(0).standard_normal((4096, 4096), np.float32)
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * len(a) ** 3 / best


def one(folder: Path) -> dict[str, Any]:
    """The pass over a folder, and KIP after it."""
    rate = product_rate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    shards = shards_of([folder], "target", rows=100_000)
    recipe = survey(shards, named_map(FEATURES), target="target", kept=100)
    surveyed = time.perf_counter()
    parts = folder.with_name(folder.name + ".parts")
    shutil.rmtree(parts, ignore_errors=True)
    collected = collect_all(recipe, shards, parts)
    passed = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kip = KIP(IPC, max_iter=1, patience=None, random_state=0)
    kip.fit_moments(collected)  # compiled
    again = time.perf_counter()
    kip.set_params(max_iter=STEPS).fit_moments(collected)
    distilled = time.perf_counter()
    columns = collected.train.columns
    # Features and both sums, counted as full products.
    work = collected.count * (2 * COLUMNS * columns + 2 * columns**2 + 2 * columns * CLASSES)
    return {
        "rows": int(collected.count),
        "columns": columns,
        "shards": len(shards),
        "survey_seconds": surveyed - started,
        "pass_seconds": passed - surveyed,
        "rows_per_second": collected.count / (passed - surveyed),
        "share_of_product_rate": work / (passed - surveyed) / rate,
        "product_gigaflops": rate / 1e9,
        "peak_memory_mib": peak / 1024,
        "peak_memory_before_mib": before / 1024,
        "distil_seconds": distilled - again,
    }


def main() -> None:
    """Every size, in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--largest", type=int, default=7)
    parser.add_argument("--one", type=Path)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one)))
        return
    found = []
    for power in range(3, arguments.largest + 1):
        folder = arguments.work / f"rows-{power}"
        generate(folder, 10**power)
        command = [sys.executable, __file__, "--work", str(arguments.work), "--one", str(folder)]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(json.dumps(found[-1]), flush=True)
        settings = {"features": FEATURES, "table_columns": COLUMNS, "steps": STEPS, "examples": IPC * CLASSES}
        write_json(RESULTS, {"settings": settings, "sizes": found, "versions": versions()})


if __name__ == "__main__":
    main()
