"""Carry out a run: one distillation in one folder, which can be continued after any interruption."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill import report
from datastill._errors import InputError
from datastill._validate import check_finite
from datastill.data import claims, sampling
from datastill.data.archive import finite, write_atomic, write_json
from datastill.data.dataset import Dataset, Rows, SupportSet, take
from datastill.data.spreadsheet import support_csv
from datastill.distill.checkpoints import NAME as CHECKPOINT
from datastill.distill.checkpoints import discard
from datastill.estimators import (
    Coreset,
    CoresetRegressor,
    Universal,
    UniversalRegressor,
)
from datastill.evaluate.comparison import Compared, compare
from datastill.evaluate.judge import Judge
from datastill.evaluate.panel import PANEL, SEEDS, Panel, cheap, fewer, panel
from datastill.evaluate.protocol import Examples, examples_of
from datastill.evaluate.scores import Score
from datastill.learners.named import check_learners
from datastill.moments import Collected, Sample
from datastill.preprocess.labels import ClassLabels
from datastill.report.names import title
from datastill.workflows import saved_set
from datastill.workflows.request import (
    METHODS,
    NETWORKS,
    NO_JUDGES,
    TEACHERS,
    Request,
    check,
    estimator_of,
    make_estimator,
)
from datastill.workflows.run_files import CLAIM, claim, finished, identify, identity_of, read_summary, seal
from datastill.workflows.run_summary import summarise_run, warnings_of

__all__ = [
    "METHODS",
    "NETWORKS",
    "NO_JUDGES",
    "TEACHERS",
    "Request",
    "Result",
    "check",
    "distill",
    "estimator_of",
    "identify",
    "read_summary",
    "rows_for",
    "sampled",
]

MANY_ROWS, ROWS_EACH = 100_000, 50
"""Rows that the default learns from where there are more, and how many of them an example of a class needs."""
MOST_OF_ALL, NUMBERS_OF_ALL = 2000, 1_000_000
"""Of all rows, and of the numbers in them, that a panel is trained on beside a universal set."""


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a finished run.

    Attributes:
        folder: where everything is.
        summary: everything the report shows.
        resumed: whether the folder already held the finished run.
    """

    folder: Path
    summary: dict[str, Any]
    resumed: bool


def distill(
    data: Dataset,
    request: Request,
    folder: Path,
    verbose: bool = False,
    collected: Collected | None = None,
    unseen: bool = True,
) -> Result:
    """Carry out a request, or continue it, or read what it found.

    Args:
        data: with test rows; see `data.task.with_test`.
        request: what to do.
        folder: made if missing.
        verbose: whether to show progress on standard error.
        collected: what a pass left of all rows, of which `data` are a sample then; see `sampled`.
        unseen: whether the test rows had no part in choosing the step that is kept.

    Raises:
        InputError: if the folder holds another run, or the data or settings cannot be used.
        OutputError: if the folder cannot be written.
    """
    identity = identity_of(data, request)
    if collected is not None:
        identity["digests"]["moments"] = collected.digest
    with claims.held(folder) as stale:
        claimed = claim(folder, identity)
        claims.tidy(folder, stale)
        if not claimed and (found := finished(folder)) is not None:
            if claims.broken(folder / CLAIM) is None:
                with suppress(OSError):  # of a folder that cannot be written
                    seal(folder, identity)
            discard(folder / CHECKPOINT)
            return Result(folder, found, True)
        return _carry_out(data, request, folder, verbose, collected, unseen, identity, claimed)


def _carry_out(
    data: Dataset,
    request: Request,
    folder: Path,
    verbose: bool,
    collected: Collected | None,
    unseen: bool,
    identity: dict[str, Any],
    claimed: bool,
) -> Result:
    """See `distill`; the folder is held, and this run's own."""
    try:
        check_learners(request.judges if request.judges != NO_JUDGES else (), request.task)
        estimator = make_estimator(request, folder, verbose)
        if request.task == "classification":  # refuse test labels that training lacks before learning
            labels = ClassLabels.fit(data.y) if collected is None else collected.recipe.source.labels
            if isinstance(labels, ClassLabels):
                labels.codes(np.asarray(data.y_test))
        if isinstance(data.x_test, np.ndarray):
            check_finite(data.x_test, "the test rows")
        chosen = None if request.rows is None else _fewer(data, request, request.rows)
        if chosen is not None:
            estimator.fit(take(data.x, chosen), data.y[chosen])
        elif collected is None:
            estimator.fit(data.x, data.y)
        else:
            estimator.fit_moments(collected)
    except InputError:
        if claimed:  # nothing was computed: the folder is free for a corrected request
            (folder / CLAIM).unlink(missing_ok=True)
        raise
    support: SupportSet = estimator.support_set_
    known = {"dataset": data.name, "target": data.target, "digests": identity["digests"]}
    known |= {"reading": data.reading.as_json()}
    support = replace(support, provenance={**support.provenance, **known})
    if chosen is not None:
        support = _of_all(support, chosen, len(data.x))
    compared = _compared(estimator, data, request)
    compared = compared._replace(scores=[_counted(score, len(data.x)) for score in compared.scores])
    support.save(folder)
    seen = 0  # test rows that equal a training row in every number, to three decimals
    if collected is None:
        digests = saved_set.write_row_digests(folder, estimator.space_.encode(data.x))
        seen = int(np.isin(saved_set.row_digests(estimator.space_.encode(data.x_test)), digests).sum())
    if isinstance(support.x, pd.DataFrame):
        write_atomic(folder / "support.csv", support_csv(support, data.target))
    judged = _judged(estimator, data, request, folder, compared.scores[0])
    said = warnings_of(request, estimator, unseen, seen, bool(judged.scores))
    if chosen is not None:
        said.append(
            f"The set was learned from {len(chosen):,} of the {len(data.x):,} training rows, drawn at random; with "
            "--rows all it is learned from all."
        )
    warnings = [*judged.failures, *data.reading.notes, *said]
    summary = summarise_run(estimator, data, request, compared, judged, warnings)
    write_atomic(folder / "support.png", report.support_grid(summary.gallery))
    write_atomic(folder / "report.html", report.render(summary).encode())
    numbers = finite(summary.as_dict())
    write_json(folder / "metrics.json", numbers)
    seal(folder, identity)
    discard(folder / CHECKPOINT)
    return Result(folder, numbers, False)


def rows_for(data: Dataset, settings: dict[str, Any]) -> int | None:
    """Return how many rows the default learns from; None for all, where they are not many or the budget needs them."""
    asked = [value for name in ("ipc", "n_support") for value in _values(settings.get(name))]
    needed = any(not 1 <= value <= MANY_ROWS // ROWS_EACH for value in asked)
    return None if needed or len(data.x) <= MANY_ROWS else MANY_ROWS


def _values(budget: Any) -> list[Any]:
    return [] if budget is None else list(budget.values()) if isinstance(budget, dict) else [budget]


def _fewer(data: Dataset, request: Request, rows: int) -> np.ndarray | None:
    """Draw the numbers of the rows to learn from; None for all."""
    if rows >= len(data.x):
        return None
    codes = np.unique(data.y, return_inverse=True)[1] if request.task == "classification" else None
    least = 2 if codes is None else 2 * (int(codes.max()) + 1)
    if rows < least:
        raise InputError(f"Got rows={rows}; expected {least} or more, two for each class; try rows={MANY_ROWS}.")
    return sampling.fewer(codes, len(data.x), rows, request.seed)


def _of_all(support: SupportSet, chosen: np.ndarray, rows: int) -> SupportSet:
    """Return a set that was learned from some rows as one of all, its rows by their numbers among all."""
    provenance = {**support.provenance, "learned_from": {"rows": len(chosen), "of": rows}}
    indices = None if support.indices is None else chosen[support.indices]
    return replace(support, indices=indices, provenance=provenance)


def _counted(score: Score, rows: int) -> Score:
    """Name a score of all rows that is one of fewer so."""
    if score.role != "all" or not score.n_examples < rows:
        return score
    return replace(score, name=score.name.replace("all rows", f"{score.n_examples:,} of all rows", 1))


def sampled(collected: Collected, name: str, test: Dataset | None = None) -> Dataset:
    """The rows that a pass kept as a dataset: those to start from, and `test` or those that were held out to judge by.

    Raises:
        InputError: for a pass that kept no rows to judge by, where there are no others.
    """
    recipe = collected.recipe
    labels, starts, checks = recipe.source.labels, collected.starts, collected.checks

    def rows(sample: Sample) -> tuple[Rows, np.ndarray]:
        y = labels.classes[sample.y] if isinstance(labels, ClassLabels) else labels.decode(sample.y)
        return recipe.space.decode(sample.z), y

    if test is None and not len(checks.z):
        raise InputError("Got moments that kept no held-out rows to judge by; expected test rows; try --test DATA.")
    held = rows(checks) if test is None else (test.x, test.y)
    return Dataset(name, *rows(starts), *held, target=recipe.target or "target", reading=recipe.reading)


def _compared(estimator: Any, data: Dataset, request: Request) -> Compared:
    """Compare the support with random rows, k-means centres and all rows, on the test rows.

    A set that was learned, or whose labels were solved, is judged with the penalty that it was made for; chosen rows
    and centres with labels of their own get theirs chosen by cross-validation, as their rivals do.
    """
    judge = Judge(
        problem=estimator.problem(),
        space=estimator.space_,
        labels=estimator.labels_,
        targets=estimator.targets(data.x, data.y),
        x_test=estimator.space_.encode_features(data.x_test),
        y_test=np.asarray(data.y_test),
        sums=estimator.sums_,
    )
    if isinstance(judge.labels, ClassLabels):
        budget = np.bincount(judge.labels.codes(estimator.y_support_), minlength=len(judge.labels.classes))
    else:
        budget = np.array([len(estimator.X_support_)])
    learned, rows = hasattr(estimator, "n_iter_"), estimator.support_set_.indices is not None
    kind = "chosen rows" if rows else "learned" if learned else "mixtures of rows"
    name = f"{title(request.method)} ({kind})"
    if learned or judge.problem.labels != "fixed":
        predicted = estimator.predict(data.x_test)
    else:
        x_s = estimator.support_features_
        predicted = judge.predict(x_s, judge.own(x_s, estimator.soft_labels_))[0]
    return compare(judge, name, predicted, budget, data.x, request.seed)


def _judged(estimator: Any, data: Dataset, request: Request, folder: Path, result: Score) -> Panel:
    """Train the judges on the set and on random rows: those asked for, else the panel where the set is small enough."""
    known = saved_set.Artefact(folder, estimator.support_set_, estimator.space_, estimator.labels_, data, None)
    examples = known.examples()
    if request.judges == NO_JUDGES or not (request.judges or cheap(examples)):
        return Panel([], [], [])
    held = known.held_out(data.x_test, np.asarray(data.y_test))
    every = known.every() if len(data.x) else None  # moments alone: there may be no rows to draw
    learners, seeds = (request.judges, request.judge_seeds) if request.judges else (PANEL, SEEDS)
    beside: dict[str, Examples] = {}
    if isinstance(estimator, (Universal, UniversalRegressor)) and every is not None:
        learners = request.judges or tuple(estimator.choice_["learners"])
        beside = _beside(estimator, data, every, request.seed)
    held = held if request.judges else fewer(held)
    return panel(result, examples, every, held, learners, seeds, folder / "judges", beside)


def _beside(estimator: Any, data: Dataset, every: Examples, seed: int) -> dict[str, Examples]:
    """Make what a panel is trained on beside a set and random rows: k-means centres, and all rows or some of them."""
    if isinstance(estimator, Universal):
        labels, counts = np.unique(estimator.y_support_, return_counts=True)
        clusters: Any = Coreset(dict(zip(labels.tolist(), counts.tolist(), strict=True)), method="kmeans")
    else:
        clusters = CoresetRegressor(len(estimator.X_support_), method="kmeans-targets")
    made = clusters.set_params(random_state=seed).fit(data.x, data.y).support_set_
    most = min(MOST_OF_ALL, max(NUMBERS_OF_ALL // max(every.x[0].size, 1), 1))
    codes = every.vectors.argmax(axis=1) if isinstance(estimator, Universal) else None
    rows = sampling.fewer(codes, len(every.x), most, seed)
    name = "all rows" if len(rows) == len(every.x) else f"{len(rows):,} of all rows"
    whole = Examples(every.x[rows], every.vectors[rows], None, None if codes is None else codes[rows])
    return {"k-means centres": examples_of(made, estimator.space_, estimator.labels_), name: whole}
