"""Measure `datastill distill` as the rows of a table grow, with all rows and with as many as the default takes.

    python benchmarks/many_rows.py [--rows 200000,1000000] [--learn auto,all]

Every run is a process of its own, on a table of 50 columns and 4 classes, of which a quarter is held out.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification

from datastill.data.archive import write_json

COLUMNS, CLASSES = 50, 4
RESULT = Path(__file__).parent / "results" / "many_rows.json"


def table(rows: int) -> pd.DataFrame:
    """Rows of clusters in 20 columns, 10 that repeat them, and 20 of noise; the column "target" is the class."""
    x, y = make_classification(
        rows, COLUMNS, n_informative=20, n_redundant=10, n_classes=CLASSES, flip_y=0.05, random_state=0
    )
    return pd.DataFrame(x.astype(np.float32), columns=[f"c{i}" for i in range(COLUMNS)]).assign(target=y)


def measure(rows: int, learn: str, folder: Path) -> dict[str, float]:
    """Seconds of one run, its peak memory, and the accuracy of the set and of random rows."""
    data = folder / f"{rows}.parquet"
    if not data.exists():
        table(rows).to_parquet(data)
    command = [sys.executable, "-m", "datastill", "distill", str(data), "--target", "target", "--json"]
    command += ["--out", str(folder / f"{rows}-{learn}"), *([] if learn == "auto" else ["--rows", learn])]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    scores = {score["name"]: score["value"] for score in found["scores"]}
    return {"seconds": seconds, "cpu_seconds": spent, "peak_bytes": after.ru_maxrss * 1024, "scores": scores}


def main() -> None:
    """Measure what is asked for, and add it to the file of results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="200000,1000000")
    parser.add_argument("--learn", default="auto")
    arguments = parser.parse_args()
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {"columns": COLUMNS, "runs": {}}
    record |= {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    for rows in map(int, arguments.rows.split(",")):
        for learn in arguments.learn.split(","):
            with tempfile.TemporaryDirectory() as folder:
                record["runs"][f"{rows} rows, {learn}"] = measure(rows, learn, Path(folder))
            write_json(RESULT, record)


if __name__ == "__main__":
    main()
