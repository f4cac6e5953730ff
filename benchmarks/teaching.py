"""Sets that teach networks: KRR under the set's own kernel, and finite networks that the set never saw.

A cell is a data set, a method and examples per class; `tables.py` runs them. The judges are the published evaluations
DSA (ConvNet-3, width 128, instance norm) and FRePo (ConvNet 128, 256, 512, no norm), 5 seeds each, on the learned
images with their label vectors and on as many random rows with their classes, drawn anew for each seed. A set is kept
beside its figures, and what is judged already is not judged again.
"""

import os
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import moments
import numpy as np

from datastill import KIP, RCIG, RFAD, FRePo, NetworkKIP, SupportSet
from datastill._memory import peak_memory
from datastill.data.archive import read_json, write_json
from datastill.data.dataset import Dataset
from datastill.learners.named import named_learner
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULTS = Path(__file__).parent / "results" / "teaching"
DEVICE = "cpu" if jax.default_backend() == "cpu" else "gpu"
JUDGES, JUDGE_SEEDS = ("net:dsa", "net:frepo"), 5
METHODS = {"network-kip": NetworkKIP, "convnet-kip": KIP, "frepo": FRePo, "rcig": RCIG, "rfad": RFAD}
IMAGES, IPC = ("mnist", "fashion_mnist", "cifar10"), (1, 10, 50)

# Test accuracy of finite networks on the best published sets of pixels: Loo et al. (2023), arXiv:2302.06755 (RCIG).
PUBLISHED = {
    ("mnist", 1): 94.7, ("mnist", 10): 98.9, ("mnist", 50): 99.2,
    ("fashion_mnist", 1): 79.8, ("fashion_mnist", 10): 88.5, ("fashion_mnist", 50): 90.2,
    ("cifar10", 1): 53.9, ("cifar10", 10): 70.6, ("cifar10", 50): 77.0,
}  # fmt: skip
# For CPUs: kinds of networks were chosen on training rows of MNIST (kinds.py), and steps fill the time, at 1 a class
# half an hour on slow cores, at 10 ten minutes. For GPUs a guess.
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"max_iter": 24_000, "target_rows": 1000, "training": 40, "oldest": 400},
    "cpu, many": {"max_iter": 1200, "target_rows": 1000, "networks": 6},
    "gpu": {"max_iter": 20_000, "target_rows": 5000, "training": 40, "oldest": 400, "width": 128},
}
# For GPUs alone: the methods as published, and KIP under the infinite ConvNet with a stem, whose steps are a guess. On
# CPUs the one without, for as many steps as are made in half an hour.
ON_GPUS = ("frepo", "rcig", "rfad", "convnet-kip")
CONVNET: dict[str, dict[str, Any]] = {
    "cpu": {
        "kernel": "convnet3",
        "init": "coarse",
        "max_iter": 460,
        "batch_size": 200,
        "learning_rate": 0.1,
        "keep_range": False,
        "validation_fraction": 0,
    },
    "gpu": {"kernel": "convnet", "max_iter": 1000, "patience": None},
}
COLOUR = {"preprocess": "zca-unit-norm", "augment": "flip"}


@dataclass(frozen=True)
class Cell:
    """What is learned."""

    data: str
    method: str
    ipc: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its files; those of a CPU are not taken for a GPU's, which have other settings."""
        return f"{self.data}-{self.method}-{self.ipc}{'' if DEVICE == 'cpu' else '-gpu'}"


def cells(device: str = DEVICE) -> list[Cell]:
    """All, in order of cost, with settings for the device."""
    digits = Cell("digits", "convnet-kip", 1, {"kernel": "convnet2", "max_iter": 100, "batch_size": 500})
    on_cpus = [Cell(data, "convnet-kip", 1, CONVNET["cpu"]) for data in IMAGES[:2]]
    methods = ("network-kip", *(ON_GPUS if device == "gpu" else ()))
    return [
        digits,
        *(on_cpus if device == "cpu" else ()),
        *(
            Cell(data, method, ipc, _settings(data, method, ipc, device))
            for method in methods
            for ipc in IPC
            for data in IMAGES
        ),
    ]


def _settings(data: str, method: str, ipc: int, device: str) -> dict[str, Any]:
    """The estimator's, but for its defaults."""
    if method == "convnet-kip":
        return CONVNET[device] | (COLOUR if data == "cifar10" else {})
    if method == "network-kip":
        return SETTINGS["cpu, many" if device == "cpu" and ipc > 1 else device]
    return {}


def peak() -> int:
    """Bytes held at most: of the device where it says so, else of this process."""
    return int((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", peak_memory()))


def random_rows(codes: np.ndarray, ipc: int, seed: int) -> np.ndarray:
    """Rows of each of ten classes in turn."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.choice(np.flatnonzero(codes == c), ipc, replace=False) for c in range(10)])


def accuracy(judge: str, seed: int, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, codes_test: np.ndarray) -> float:
    """Of a judge trained on encoded rows with label vectors, in percent."""
    net = named_learner(judge, seed=seed).fit(x, y)
    return 100 * float(np.mean(net.predict(x_test) == codes_test))


def run(cell: Cell, data: Dataset, seed: int, until: float) -> dict[str, Any] | None:
    """The cell's figures; None where the time, as `time.perf_counter` tells it, was over before all were found."""
    folder = RESULTS / f"{cell.name}-seed{seed}"
    file = folder / "figures.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "checkpoint.safetensors"
        resumed, started = checkpoint.exists(), time.perf_counter()
        own = {"random_state": seed, "checkpoint": checkpoint}
        model = METHODS[cell.method](cell.ipc, **own, **cell.settings).fit(data.x, data.y)
        seconds = None if resumed else time.perf_counter() - started
        model.support_set_.save(folder)
        write_json(
            file,
            {
                "data": cell.data,
                "method": cell.method,
                "ipc": cell.ipc,
                "seed": seed,
                "settings": cell.settings,
                "seconds": seconds,
                "steps": model.n_iter_,
                "own_kernel": 100 * float(model.score(data.x_test, data.y_test)),
                "published": PUBLISHED.get((cell.data, cell.ipc)),
                "published_kernel": moments.PUBLISHED.get((cell.data, cell.ipc))
                if cell.method == "convnet-kip"
                else None,
                "networks": {"learned": {}, "random": {}},
                "device": jax.devices()[0].device_kind,
                "peak_memory_bytes": peak(),
                "cores": os.cpu_count(),
                "versions": {name: version(name) for name in ("datastill", "jax", "flax", "optax", "numpy")},
            },
        )
        for kept in folder.glob("checkpoint*"):
            kept.unlink()
    found = read_json(file)
    support, space, labels = SupportSet.load(folder), fit_encoder(data.x), ClassLabels.fit(data.y)
    x_test, codes_test = space.encode(data.x_test), labels.codes(data.y_test)
    for judge in JUDGES:
        for which in ("learned", "random"):
            scores = found["networks"][which].setdefault(judge, [])
            if which == "random":
                scores += _judged_already(cell, judge)[len(scores) :]
                write_json(file, found)
            while len(scores) < JUDGE_SEEDS:
                if time.perf_counter() > until:
                    return None
                own = len(scores)
                if which == "learned":
                    x, y = space.encode(support.x), support.soft_labels
                else:
                    rows = random_rows(labels.codes(data.y), cell.ipc, own)
                    x, y = space.encode(data.x[rows]), labels.encode(data.y[rows])
                scores.append(accuracy(judge, own, x, y, x_test, codes_test))
                write_json(file, found)
    return found


def _judged_already(cell: Cell, judge: str) -> list[float]:
    """What random rows taught a judge in another cell of as many rows of these data: the same rows and networks."""
    runs = [read_json(file) for file in RESULTS.glob(f"{cell.name.replace(cell.method, '*')}-seed*/figures.json")]
    return max((run["networks"]["random"].get(judge, []) for run in runs), key=len, default=[])
