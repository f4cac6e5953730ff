"""What a run will cost, before it is started.

Memory is counted from the shapes and by the compiler's own accounting; time is that of a few steps on random rows of
the same shape, scaled to the whole.
"""

import resource
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill.data.dataset import Dataset
from datastill.distill import fit as distil
from datastill.distill import kip
from datastill.distill.subspace import FIT_ROWS, Subspace
from datastill.estimators.kip import COMPONENTS, KIP, KIPRegressor, validation_interval
from datastill.kernels.base import Kernel
from datastill.krr import float64
from datastill.preprocess.labels import ClassLabels
from datastill.preprocess.space import fit_space

PROBE_ROWS = 2000
RIVALS = 8
"""Label solves in the comparison at the end of a run: five random draws, k-means, all rows, and the set itself."""


@dataclass(frozen=True)
class Shape:
    """What a forecast needs to know of the data.

    Attributes:
        rows: n.
        row_shape: of one row as the kernel sees it.
        classes: their number of rows each; None for regression.
        outputs: columns of label vectors.
        bytes: of the data as it was given.
    """

    rows: int
    row_shape: tuple[int, ...]
    classes: tuple[int, ...] | None
    outputs: int
    bytes: int

    @property
    def columns(self) -> int:
        """Numbers in a row."""
        return int(np.prod(self.row_shape))

    @classmethod
    def of(cls, data: Dataset, task: str) -> Self:
        """The shape of a dataset; a table's columns are counted as they will be coded."""
        table = isinstance(data.x, pd.DataFrame)
        size = int(data.x.memory_usage(deep=True).sum()) if isinstance(data.x, pd.DataFrame) else data.x.nbytes
        shape = fit_space(data.x).encode(data.x[:1]).shape[1:] if table else data.x.shape[1:]
        if task == "regression":
            return cls(len(data.x), shape, None, 1 if data.y.ndim == 1 else data.y.shape[1], size)
        codes = ClassLabels.fit(data.y).codes(data.y)
        counts = tuple(np.bincount(codes).tolist())
        return cls(len(data.x), shape, counts, len(counts), size)


@dataclass(frozen=True)
class Forecast:
    """The cost of one run on this machine.

    Attributes:
        method: "kip" or "label-solve".
        kernel: its representation.
        n_support: examples.
        memory_bytes: peak resident memory of the process.
        seconds: of the whole command, from its start to the report.
        step_seconds: of one KIP step; 0 for Label Solve.
    """

    method: str
    kernel: str
    n_support: int
    memory_bytes: float
    seconds: float
    step_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Baseline(NamedTuple):
    """What this process has cost already: starting Python and reading the data, which every run does too."""

    seconds: float
    bytes: float

    @classmethod
    def now(cls) -> Self:
        """Processor seconds and peak resident bytes so far."""
        return cls(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def forecast(
    shape: Shape, method: str, kernel: Kernel, ipc: int, steps: int, batch: int | None, memory: int, baseline: Baseline
) -> Forecast:
    """Time and memory of `datastill distill` with these settings, within a factor of 2.

    Args:
        shape: of the data.
        method: "kip" or "label-solve".
        kernel: the kernel.
        ipc: examples per class; for regression, examples in all.
        steps: of KIP.
        batch: training rows in a step; None for as many as KIP would take.
        memory: bytes for a step's working arrays.
        baseline: taken before the first forecast.
    """
    if method not in ("kip", "label-solve"):
        raise InputError(f"Got --method {method}; expected kip or label-solve.")
    s = ipc * len(shape.classes) if shape.classes else ipc
    draw = np.random.default_rng(0)
    probe = min(shape.rows, PROBE_ROWS)
    x = draw.standard_normal((probe, *shape.row_shape)).astype(np.float32)
    y = draw.standard_normal((probe, shape.outputs)).astype(np.float32)
    targets = distil.Targets(x, y)
    kernel = kernel.resolve(x)
    x_s = draw.standard_normal((s, *shape.row_shape)).astype(np.float32)
    estimator: Any = KIP() if shape.classes else KIPRegressor()
    estimator.set_params(max_iter=steps, memory=memory)
    estimator.kernels_, estimator.space_ = (kernel,), fit_space(x)
    problem = estimator.problem()

    reading = baseline.seconds + _timed(lambda: fit_space(x).encode_features(x)) * 3 * shape.rows / probe
    _timed(lambda: distil.solve_labels(problem, x_s, targets, 0))
    solve = _timed(lambda: distil.solve_labels(problem, x_s, targets, 0)) * shape.rows / probe
    data = 2 * 4 * shape.rows * shape.columns
    base = baseline.bytes
    blocks = 8 * distil.BATCH * (3 * s + shape.columns) + 6 * 8 * s * s
    if method == "label-solve":
        return Forecast(method, repr(kernel), s, base + data + blocks, reading + RIVALS * solve, 0.0)
    if estimator.learns_in_subspace(shape.columns):
        width = min(COMPONENTS, probe)
        fitting = _timed(lambda: Subspace.fit(x, width, 0)) * min(shape.rows, FIT_ROWS) / probe
        subspace = Subspace.fit(x, width, 0)
        reading += fitting + _timed(lambda: subspace.targets(x)) * shape.rows / probe
        problem, targets, _ = distil.embed(problem, targets, None, subspace, 0)
        problem = replace(problem, project=lambda c: estimator.clip_coordinates(subspace, c))
        x_s = subspace.coordinates(x_s)
        data += 2 * 4 * shape.rows * (width + 1)
    working, compiling, step = _step_cost(problem, x_s, targets, min(batch or distil.rows_per_step(s), shape.rows))
    validate = _validation_cost(problem, targets, x_s, shape.rows)
    validations = steps // validation_interval(steps) + 1
    total = reading + 2 * compiling + steps * step + validations * validate + RIVALS * solve
    return Forecast(method, repr(kernel), s, base + data + max(working, blocks), total, step)


def _step_cost(
    problem: kip.Problem, x_s: np.ndarray, targets: distil.Targets, batch: int
) -> tuple[float, float, float]:
    """(bytes of working arrays, seconds to compile, seconds a step) of KIP at this batch size."""
    rows = np.arange(batch) % len(targets.x)
    x, y = jnp.asarray(targets.x[rows]), jnp.asarray(targets.y[rows])
    state = kip.init(problem, x_s, np.zeros((len(x_s), targets.y.shape[1])))
    arguments = (state, x, y, None if batch == len(x) else jnp.arange(batch), jax.random.key(0), 0)
    advance = kip.step(problem)
    with float64(True):
        compiled = jax.jit(kip.update(problem), static_argnums=5).lower(*arguments).compile()
    analysis = compiled.memory_analysis()
    working = float(analysis.temp_size_in_bytes + analysis.output_size_in_bytes) if analysis else 0.0
    compiling = _timed(lambda: jax.block_until_ready(advance(*arguments)))
    return working, compiling, min(_timed(lambda: jax.block_until_ready(advance(*arguments))) for _ in range(3))


def _validation_cost(problem: kip.Problem, targets: distil.Targets, x_s: np.ndarray, rows: int) -> float:
    """Seconds for one validation on all rows."""
    held = targets.take(np.arange(min(200, len(targets.x))))
    validate = distil.validator(problem, targets, held, jnp.asarray(targets.x), jnp.asarray(targets.y))
    state = kip.init(problem, x_s, np.zeros((len(x_s), targets.y.shape[1])))
    validate(state)
    return _timed(lambda: validate(state)) * min(rows, distil.VALIDATION_TARGETS) / len(targets.x)


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
