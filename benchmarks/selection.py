"""Selectors beside their peers: the same rows and budgets, in one run, each in a process of its own.

    python benchmarks/selection.py --data FOLDER --peers FOLDER [--rounds 3] [--only NAME]

Peers are installed in a virtual environment at the second FOLDER if it is not there. Works are timed in turn, round by
round, and reported as medians. Quality is computed here, by one function for all. A peer that cannot run (memory above
the machine's, or time above the limit) is reported as such.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import median

import numpy as np
import peers

from datastill.data.archive import write_json
from datastill.kernels import RBF
from datastill.select import sensitivity
from datastill.select.discrepancy import mmd
from datastill.select.exemplars import exemplars
from datastill.select.herding import exchange, herding
from datastill.select.k_center import k_center

RESULT = Path(__file__).parent / "results" / "selection.json"
PINNED = ("apricot-select==0.6.1", "submodlib-py==0.0.3", "coreax==1.0.0", "skmatter==0.4.1", "goodpoints==0.6.3")
MEMORY = 22 * 2**30
LIMIT = 900
SCALE_ROWS = 1000


def facility(x, k, scale):
    return exemplars(x, k).indices


def herd(x, k, scale):
    return herding(x, k, RBF(scale)).indices


def center(x, k, scale):
    return k_center(x, k, first=0).indices


def least_mmd(x, k, scale):
    return exchange(x, np.random.default_rng(0).choice(len(x), k, replace=False), RBF(scale)).indices


OURS = {"facility": facility, "herd": herd, "center": center, "least_mmd": least_mmd}
WORKS = {
    # name: (rows, budget, ours, peers)
    "facility location, 10 of 20,000": ("mnist-20000", 10, "facility", ("apricot", "submodlib")),
    "facility location, 1,000 of 20,000": ("mnist-20000", 1000, "facility", ("apricot", "submodlib")),
    "facility location, 10 of 60,000": ("mnist-60000", 10, "facility", ("apricot", "submodlib")),
    "facility location, 1,000 of 60,000": ("mnist-60000", 1000, "facility", ("apricot", "submodlib")),
    "kernel herding, 100 of 5,000": ("mnist-5000", 100, "herd", ("coreax",)),
    "k-center, 1,000 of 60,000": ("mnist-60000", 1000, "center", ("skmatter", "loop")),
    "least MMD, 256 of 65,536": ("mixture-65536", 256, "least_mmd", ("goodpoints_g0", "goodpoints_g4")),
}


def rows_of(name: str, folder: Path) -> np.ndarray:
    kind, _, count = name.partition("-")
    if kind == "mnist":
        with np.load(folder / "mnist.npz") as data:
            return data["x_train"].reshape(60_000, -1)[: int(count)].astype(np.float32) / 255
    draw = np.random.default_rng(0)
    centres = 3 * draw.standard_normal((8, 10))
    return (centres[draw.integers(8, size=int(count))] + draw.standard_normal((int(count), 10))).astype(np.float32)


def length_scale(x: np.ndarray) -> float:
    """The median distance between the first rows."""
    few = x[:SCALE_ROWS].astype(np.float64)
    square = np.einsum("nd,nd->n", few, few)
    return float(np.sqrt(np.median(np.maximum(square[:, None] + square - 2 * few @ few.T, 0))))


def quality(work: str, x: np.ndarray, picks: list[int], scale: float) -> dict[str, float]:
    """What each work is judged by; facility location by c − ‖x_i − x_j‖², c the largest squared distance seen."""
    chosen = x[picks]
    if work.startswith(("kernel", "least")):
        return {"mmd": mmd(RBF(scale), x.astype(np.float64), chosen.astype(np.float64))}
    square = np.einsum("nd,nd->n", x, x)
    least, most = np.full(len(x), np.inf, np.float32), 0.0
    for part in np.array_split(np.asarray(picks), max(len(picks) // 50, 1)):
        distance = np.maximum(square[:, None] + square[part] - 2 * x @ x[part].T, 0)
        least, most = np.minimum(least, distance.min(axis=1)), max(most, float(distance.max()))
    if work.startswith("k-center"):
        return {"radius": float(np.sqrt(least.max()))}
    return {"cost": float(least.sum(dtype=np.float64)), "largest": most}


def timed(command: list[str], out: Path) -> dict:
    """What the process wrote, or why it could not."""
    out.unlink(missing_ok=True)

    limited = ["bash", "-c", f'ulimit -v {MEMORY // 1024}; exec "$@"', "limited", *command]
    try:
        done = subprocess.run(limited, capture_output=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {LIMIT} s"}
    if not out.exists():
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        memory = "MemoryError" in words[-1] or "bad_alloc" in words[-1] or done.returncode < 0
        return {"failed": "more memory than there is" if memory else words[-1][:200]}
    return json.loads(out.read_text())


def own(who: str, data: str, k: int, scale: float, out: Path) -> None:
    """One selection by datastill, timed as peers.py times theirs."""
    x = np.load(data)
    first, seconds, found = peers.first_and_again(OURS[who], x, k, scale, compiled=who in ("herd", "least_mmd"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    record = {"first_seconds": first, "seconds": seconds, "peak_bytes": peak, "picks": found.tolist()}
    out.write_text(json.dumps(record))


def passes(rounds: int) -> dict[str, float]:
    """Lightweight probabilities and leverage scores of 10⁶ × 50 rows, in units of one pass that sums each row."""
    x = np.random.default_rng(0).standard_normal((1_000_000, 50)).astype(np.float32)
    works = {
        "pass": lambda: np.add.reduce(x, axis=1),
        "lightweight": lambda: sensitivity.lightweight(x),
        "leverage": lambda: sensitivity.leverage(x, 1e-3),
        "leverage_sampled": lambda: sensitivity.leverage(x, 1e-3, 100_000),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(2 * rounds + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    middle = {name: median(values) for name, values in seconds.items()}
    seconds_of_a_pass = middle.pop("pass")
    return {"pass_seconds": seconds_of_a_pass} | {n: value / seconds_of_a_pass for n, value in middle.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    python = arguments.peers / "bin" / "python"
    if not python.exists():
        venv.create(arguments.peers, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED], check=True)
    scratch = arguments.peers / "scratch"
    scratch.mkdir(exist_ok=True)
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {"works": {}}
    here = Path(__file__)
    for work, (name, k, ours, others) in WORKS.items():
        if arguments.only not in work:
            continue
        x = rows_of(name, arguments.data)
        np.save(scratch / "rows.npy", x)
        scale, out = length_scale(x), scratch / "out.json"
        common = [str(scratch / "rows.npy"), str(k), str(scale), str(out)]
        commands = {"datastill": [sys.executable, str(here), "own", ours, *common]}
        commands |= {peer: [str(python), str(here.parent / "peers.py"), peer, *common] for peer in others}
        runs: dict[str, list[dict]] = {who: [] for who in commands}
        for _ in range(arguments.rounds):
            for who, command in commands.items():
                if not (runs[who] and "failed" in runs[who][0]):
                    runs[who].append(timed(command, out))
        found = {}
        for who, made in runs.items():
            if "failed" in made[0]:
                found[who] = made[0]
                continue
            judged = quality(work, x, made[0]["picks"], scale)
            found[who] = {"seconds": median(r["seconds"] for r in made), "peak_bytes": made[0]["peak_bytes"], **judged}
            found[who]["rounds"] = len(made)
            if made[0]["first_seconds"]:
                found[who]["first_seconds"] = median(r["first_seconds"] for r in made)
        largest = max((f.pop("largest") for f in found.values() if "largest" in f), default=None)
        for judged in found.values():
            if "cost" in judged:
                judged["objective"] = len(x) * largest - judged["cost"]
        record["works"][work] = found
        print(work, json.dumps(found), flush=True)
        write_json(RESULT, record)
    if arguments.only in "passes":
        record["passes"] = passes(arguments.rounds)
        print(record["passes"])
    record |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "peers": PINNED}
    write_json(RESULT, record)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "own":
        own(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), Path(sys.argv[6]))
    else:
        main()
