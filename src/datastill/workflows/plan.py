"""Forecast the memory and time of a run before it is started.

Memory is counted from the shapes and by the compiler's own accounting, and not below what these trials take, since to
compile an expensive kernel takes more than to apply it; time is that of a few steps on random rows of the same shape,
scaled to the whole.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from datastill import krr
from datastill._errors import InputError
from datastill._memory import peak_memory
from datastill._validate import check_between
from datastill.data.dataset import Dataset
from datastill.distill import kernel_objective, kip
from datastill.distill.subspace import FIT_ROWS, Subspace
from datastill.estimators.kip import COMPONENTS, KIP, KIPRegressor, validation_interval
from datastill.evaluate.comparison import EXACT_ROWS, INDUCING_ROWS, RANDOM_DRAWS, measures_all
from datastill.gram.features import FeatureKernel
from datastill.kernels.base import Kernel
from datastill.krr import float64
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels
from datastill.select.kmeans import kmeans_centres

PROBE_ROWS = 2 * kernel_objective.BATCH
"""Two batches of a label solve, which separate the cost of a further batch from the cost that is paid once."""
PROBE_WORK = 3e8
LEAST_PROBE = 16
"""Activations of a probe: fewer rows where the kernel is expensive, but at least so many."""

SOLVES = RANDOM_DRAWS + 2
"""Label solves of a run at the size of its set: random draws and k-means in the comparison, and the set itself."""
OVERHEAD_SECONDS = 3.0
OVERHEAD_BYTES = 2.0**28
"""What every run adds to reading the data, whatever their size: compiling, drawing the report. Measured."""


@dataclass(frozen=True)
class Shape:
    """The facts about the data that a forecast needs.

    Attributes:
        rows: n.
        test_rows: held-out rows.
        row_shape: of one row as the kernel sees it.
        classes: their number of rows each; None for regression.
        outputs: columns of label vectors.
        bytes: of the data as it was given.
    """

    rows: int
    test_rows: int
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
        shape = fit_encoder(data.x).encode(data.x[:1]).shape[1:] if table else data.x.shape[1:]
        test_rows = 0 if data.x_test is None else len(data.x_test)
        if task == "regression":
            return cls(len(data.x), test_rows, shape, None, 1 if data.y.ndim == 1 else data.y.shape[1], size)
        codes = ClassLabels.fit(data.y).codes(data.y)
        counts = tuple(np.bincount(codes).tolist())
        return cls(len(data.x), test_rows, shape, counts, len(counts), size)


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
    """Time and memory that this process has used already: starting Python and reading the data, as every run does."""

    seconds: float
    bytes: float

    @classmethod
    def now(cls) -> Self:
        """Processor seconds and peak resident bytes so far."""
        return cls(time.process_time(), peak_memory())


def forecasts(
    shape: Shape,
    asked: Sequence[tuple[str, Kernel, int]],
    steps: int,
    batch: int | None,
    memory: int,
    baseline: Baseline,
) -> list[Forecast]:
    """`forecast` of each (method, kernel, ipc).

    They are made from the cheapest to the dearest: what a process has held at most never falls, and would tell a cheap
    one what an expensive one took.
    """

    def dearness(number: int) -> tuple[float, bool]:
        method, kernel, _ = asked[number]
        return kernel.activations(shape.row_shape), method == "kip"

    order = sorted(range(len(asked)), key=dearness)
    made = {number: forecast(shape, *asked[number], steps, batch, memory, baseline) for number in order}
    return [made[number] for number in range(len(asked))]


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

    Raises:
        InputError: for another method, the kernel of a feature map, or numbers out of range.
    """
    if method not in ("kip", "label-solve"):
        raise InputError(f"Got --method {method}; expected kip or label-solve.")
    if isinstance(kernel, FeatureKernel):
        raise InputError("Got the kernel of a feature map, of which plan knows no price; expected another; try fc1.")
    for name, value, least in (
        ("ipc", ipc, 1),
        ("steps", steps, 0),
        ("batch", 1 if batch is None else batch, 1),
        ("memory", memory, 1),
    ):
        check_between(name, value, least)
    s = ipc * len(shape.classes) if shape.classes else ipc
    draw = np.random.default_rng(0)
    probe = min(shape.rows, PROBE_ROWS, max(kernel.rows_within(PROBE_WORK, shape.row_shape, s), LEAST_PROBE))
    x = draw.standard_normal((probe, *shape.row_shape)).astype(np.float32)
    y = draw.standard_normal((probe, shape.outputs)).astype(np.float32)
    targets = kernel_objective.Targets(x, y)
    kernel = kernel.resolve(x)
    x_s = draw.standard_normal((s, *shape.row_shape)).astype(np.float32)
    estimator: Any = KIP() if shape.classes else KIPRegressor()
    estimator.set_params(max_iter=steps, memory=memory)
    estimator.kernels_, estimator.space_ = (kernel,), fit_encoder(x)
    problem = estimator.problem()

    rest = _comparison_cost(method, problem, shape, x, s)
    reading = baseline.seconds + OVERHEAD_SECONDS
    reading += 3 * _line(lambda n: estimator.space_.encode_features(x[:n]), probe)(shape.rows)
    data = 2 * 4 * shape.rows * shape.columns
    blocks = 8 * kernel_objective.BATCH * (3 * s + shape.columns) + 6 * 8 * s * s
    if method == "label-solve":
        return Forecast(method, repr(kernel), s, _held(baseline, data, blocks), reading + rest, 0.0)
    if estimator.learns_in_subspace(shape.columns):
        width = min(COMPONENTS, probe)
        reading += _line(lambda n: Subspace.fit(x[:n], width, 0), probe)(min(shape.rows, FIT_ROWS))
        subspace = Subspace.fit(x, width, 0)
        reading += _line(lambda n: subspace.targets(x[:n]), probe)(shape.rows)
        problem, targets, _ = kernel_objective.embed(problem, targets, None, subspace, 0)
        problem = replace(problem, project=lambda c: estimator.clip_coordinates(subspace, c))
        x_s = subspace.coordinates(x_s)
        data += 2 * 4 * shape.rows * (width + 1)
    working, compiling, step = _step_cost(
        problem,
        x_s,
        targets,
        min(batch or kernel_objective.rows_per_step(s, problem.kernels, targets.x.shape[1:]), shape.rows),
    )
    validate = _validation_cost(problem, targets, x_s, shape.rows)
    validations = steps // validation_interval(steps) + 1
    total = reading + compiling + steps * step + validations * validate + rest
    return Forecast(method, repr(kernel), s, _held(baseline, data, max(working, blocks)), total, step)


def _held(baseline: Baseline, data: float, working: float) -> float:
    """Bytes that a run holds at most: at least what was held to compile its programs here, and to try them."""
    return data + max(baseline.bytes + OVERHEAD_BYTES + working, peak_memory())


def _comparison_cost(method: str, problem: kip.Problem, shape: Shape, x: np.ndarray, s: int) -> float:
    """Seconds for the label solves and test predictions of a run, for k-means, and for regression on all rows."""
    y = np.zeros((len(x), shape.outputs), np.float32)
    classes = len(shape.classes or (shape.rows,))
    codes, budget = np.arange(len(x)) % classes, np.full(classes, -(-s // classes))

    def support(size: int) -> np.ndarray:
        apart = np.resize(x, (size, *x.shape[1:])) + np.arange(size).reshape(-1, *[1] * (x.ndim - 1)) / size
        return apart.astype(np.float32)

    def solve(n: int, size: int) -> None:
        kernel_objective.solve_labels(problem, support(size), kernel_objective.Targets(x[:n], y[:n]), 0)

    kernel = problem.kernels[0]
    few = kernel_objective.label_rows(s, problem.kernels, shape.row_shape, shape.rows)
    solving = _line(lambda n: solve(n, s), len(x))
    total = (SOLVES - 1) * solving(few) + solving(few if method == "kip" else shape.rows)
    few_rows, alpha = support(s), np.zeros((s, shape.outputs))
    total += SOLVES * _line(lambda n: krr.predict(kernel, x[:n], few_rows, alpha), len(x))(shape.test_rows)
    total += _timed(lambda: kmeans_centres(x, codes, budget, 0)) * shape.rows / len(x)
    if not measures_all(kernel, shape.row_shape, shape.rows, shape.test_rows):
        return total
    if shape.rows > EXACT_ROWS:
        return total + _line(lambda n: solve(n, INDUCING_ROWS), len(x))(shape.rows)
    return total + _exact_cost(kernel, x, y, shape.rows)


def _exact_cost(kernel: Kernel, x: np.ndarray, y: np.ndarray, rows: int) -> float:
    """Seconds of KRR on so many rows: covariances grow with pairs of rows, the solution with the cube of rows."""
    few = min(len(x), max(math.isqrt(kernel.rows_within(PROBE_WORK, x.shape[1:], 1)), LEAST_PROBE))

    def covariances() -> None:
        jax.block_until_ready(kernel(x[:few].astype(np.float64)))

    first, again = _timed(covariances), _timed(covariances)  # the first time with compiling
    solving = _timed(lambda: krr.solve(np.eye(len(x)), y, 1.0))
    return first - again + again * (rows / few) ** 2 + solving * (rows / len(x)) ** 3


def _step_cost(
    problem: kip.Problem, x_s: np.ndarray, targets: kernel_objective.Targets, batch: int
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


def _validation_cost(problem: kip.Problem, targets: kernel_objective.Targets, x_s: np.ndarray, rows: int) -> float:
    """Seconds for one validation on all rows."""
    held = targets.take(np.arange(min(200, len(targets.x))))
    validate = kernel_objective.validator(
        problem, targets, held, jnp.asarray(targets.x), jnp.asarray(targets.y), len(x_s)
    )
    state = kip.init(problem, x_s, np.zeros((len(x_s), targets.y.shape[1])))
    validate(state)
    most = min(
        kernel_objective.VALIDATION_TARGETS,
        kernel_objective.validation_rows(len(x_s), problem.kernels, targets.x.shape[1:]),
    )
    return _timed(lambda: validate(state)) * min(rows, most) / min(len(targets.x), most)


def _line(work: Callable[[int], Any], probe: int) -> Callable[[int], float]:
    """Rows -> seconds, a line through those of an eighth of the probe and of all of it, compiled before."""
    few = max(probe // 8, 1)
    seconds = {}
    for n in (few, probe):
        work(n)
        seconds[n] = _timed(partial(work, n))
    slope = max(seconds[probe] - seconds[few], 0) / max(probe - few, 1)
    return lambda rows: seconds[probe] + slope * (rows - probe)


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
