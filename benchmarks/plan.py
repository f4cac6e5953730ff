"""Forecast and measurement of time and memory, each in a process of its own.

python benchmarks/plan.py --data FOLDER
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datastill.data.archive import write_json

RESULT = Path(__file__).parent / "results" / "plan.json"
RUNS = (
    ("digits", "kip", "fc1", 1, 1000),
    ("digits", "kip", "rbf", 10, 500),
    ("digits", "kip", "convnet2", 1, 30),
    ("digits", "label-solve", "fc1", 10, 0),
    ("mnist", "kip", "fc1", 1, 300),
    ("mnist", "kip", "rbf", 10, 200),
    ("mnist", "label-solve", "fc1-nngp", 10, 0),
    ("cifar10", "kip", "fc1", 10, 100),
)


def command(*words: Any) -> tuple[dict[str, Any], float, int]:
    """The JSON a datastill command prints, its seconds, and its peak resident bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "datastill", *map(str, words), "--json"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"datastill {' '.join(map(str, words))} failed")
    return json.loads(text), time.perf_counter() - started, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("DATASTILL_DATA", "."))
    folder = Path(parser.parse_args().data)
    rows = []
    for data, method, kernel, ipc, steps in RUNS:
        source = data if data == "digits" else folder / f"{data}.npz"
        words = [source, "--method", method, "--kernel", kernel, "--ipc", ipc, *(["--steps", steps] if steps else [])]
        forecast, _, _ = command("plan", *words)
        expected = forecast["forecasts"][0]
        with tempfile.TemporaryDirectory() as out:
            whole = ["--patience", steps + 1] if steps else []  # never stops early
            _, seconds, peak = command("distill", *words, *whole, "--out", Path(out) / "run")
        row = {
            "name": f"{data}, {method}, {kernel}, {ipc} per class, {steps} steps",
            "forecast_seconds": expected["seconds"],
            "seconds": seconds,
            "forecast_bytes": expected["memory_bytes"],
            "bytes": peak,
        }
        rows.append(row)
        print(row, flush=True)
        write_json(RESULT, {"rows": rows, "cores": os.cpu_count()})


if __name__ == "__main__":
    main()
