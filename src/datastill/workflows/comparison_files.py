"""The results of a comparison, gathered for its report and written next to its tables.

report.html, report.md      the comparison in figures and words
summary.json                every number in them
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill import certify
from datastill._errors import InputError
from datastill.data.archive import read_object, write_atomic
from datastill.data.dataset import Dataset, SupportSet, row_kind
from datastill.evaluate.constant import CONSTANT
from datastill.evaluate.leaderboard import Baselines
from datastill.evaluate.protocol import HeldOut, Judged
from datastill.evaluate.references import class_means
from datastill.preprocess.labels import ClassLabels, Labels
from datastill.report import (
    Certified,
    Comparison,
    ExampleGrid,
    comparison_markdown,
    render_comparison,
    summarise_comparison,
)
from datastill.report.names import RANDOM, SOLVED, method_title

PAGE, SUMMARY = "report.html", "summary.json"
MAX_COLUMNS = 8
"""Of the gallery."""
MADE = {"kmeans": "mean", "kmeans-targets": "mean", "archetypes": "mixture"}
MADE |= dict.fromkeys(("universal", "kip", "network-kip", "rfad", "frepo", "rcig"), "learned")


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """A comparison and its results.

    Attributes:
        data: with test rows.
        labels: where labels become vectors.
        held: the test rows as numbers.
        judged: the rows of the protocol.
        standings: see `evaluate.leaderboard`.
        robustness: likewise; may be empty.
        baselines: set -> the random rows it is compared with.
        learners: as trained, in order.
        seen: test rows that equal a training row, or nearly.
    """

    data: Dataset
    labels: Labels
    held: HeldOut
    judged: Judged
    standings: pd.DataFrame
    robustness: pd.DataFrame
    baselines: dict[str, Baselines]
    learners: tuple[str, ...]
    seen: int = 0


def write_report(
    found: ComparisonResult,
    methods: Sequence[str],
    budgets: Sequence[int],
    seeds: int,
    asked: str,
    settings: Mapping[str, object],
    delta: float,
    folder: Path,
) -> Comparison:
    """Gather the comparison and write its page, its Markdown and its numbers.

    Args:
        found: what was compared, and what was found.
        methods: as they were asked for.
        budgets: examples per class, or in all for regression.
        seeds: how many.
        asked: the way with labels that is shown first.
        settings: name to value.
        delta: probability that any of the certified statements fails.
        folder: of the comparison, with its sets.
    """
    warnings = found.judged.failures
    guaranteed = None
    if found.seen:
        warnings.append(
            f"{found.seen:,} of {len(found.held.y):,} test rows equal a training row, or nearly, so nothing is "
            "guaranteed here; `datastill certify --drop-seen` can do so for one set."
        )
    else:
        classes = len(found.labels.classes) if isinstance(found.labels, ClassLabels) else 0
        try:
            guaranteed = certified(found.judged, found.held, classes, asked, delta)
        except InputError as error:
            warnings.append(f"Nothing is guaranteed here. {error}")
    comparison = summarise_comparison(
        found.standings,
        dataset=found.data.name,
        task="regression" if found.held.regression else "classification",
        n_train=len(found.data.x),
        n_test=len(found.held.y),
        seeds=seeds,
        budgets=budgets,
        methods=methods,
        learners=found.learners,
        asked=asked,
        robustness=found.robustness,
        reliability=_reliability(found.judged, asked),
        certified=guaranteed,
        exhibit=example_grid(found, methods, min(budgets), folder / "sets"),
        settings=settings,
        warnings=warnings,
    )
    write_atomic(folder / PAGE, render_comparison(comparison).encode())
    write_atomic(folder / "report.md", comparison_markdown(comparison).encode())
    write_atomic(folder / SUMMARY, comparison.to_json().encode())
    return comparison


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the numbers of a comparison.

    Raises:
        InputError: if they, or the page, are missing or damaged.
    """
    summary = read_object(folder / SUMMARY)
    with suppress(OSError):
        if (folder / PAGE).read_bytes().rstrip().endswith(b"</html>"):
            return summary
    raise InputError(
        f"Got {folder}, whose {PAGE} is missing or damaged; expected a finished comparison; try the same `datastill "
        "compare` again, which makes it again."
    )


def set_folder(sets: Path, name: str, seed: int) -> Path:
    """Where the set "METHOD BUDGET" of a seed is kept."""
    method, _, budget = name.rpartition(" ")
    return sets / f"{method.replace(':', '_')}-{budget}-{seed}"


def certified(judged: Judged, held: HeldOut, classes: int, asked: str, delta: float) -> Certified:
    """A statement on every small set and learner, from the first seed, all at the same level.

    Args:
        judged: of the protocol, with all rows.
        held: the held-out rows.
        classes: their number; 0 in regression.
        asked: the way with labels.
        delta: shared evenly by a bound and a gap for each set and learner, those that failed among them.

    Raises:
        InputError: where nothing can be stated; see `certify.conditions`.
    """
    first = _first_seed(judged, asked)
    loss = certify.checked_loss(None, held)
    pairs = zip(first.table["set"], first.table["learner"], strict=True)
    cells = [(name, learner) for name, learner in pairs if name not in (certify.FULL, CONSTANT)]
    each = delta / (2 * max(len(cells), 1))
    certify.conditions(classes, held, each, loss)
    statements = {
        (name, learner): certify.state(learner, certify.losses_of(first, name, learner, loss), each, loss)
        for name, learner in cells
        if len(first.of(name, learner))
    }
    return Certified(delta, each, loss, len(held.y), certify.guessing(held, loss), statements)


def example_grid(found: ComparisonResult, methods: Sequence[str], budget: int, sets: Path) -> ExampleGrid | None:
    """For images with classes: the class means, and the first example of each class of several sets."""
    x, labels = found.data.x, found.labels
    if row_kind(x) != "images" or not isinstance(labels, ClassLabels) or x.ndim not in (3, 4):
        return None
    columns = {"class mean": np.asarray(class_means(x, labels.codes(found.data.y), len(labels.classes)))}
    shown = dict.fromkeys([RANDOM, *(m for m in methods if m.partition(":")[0] != SOLVED)])  # whose rows are random
    for method in list(shown)[: MAX_COLUMNS - 1]:
        where = set_folder(sets, f"{method} {budget}", 0)
        if not (where / "manifest.json").exists():
            continue
        support = SupportSet.load(where)
        codes = labels.codes(support.y)
        of_class = [np.flatnonzero(codes == c) for c in range(len(labels.classes))]
        if all(len(own) for own in of_class):
            kind = MADE.get(method.partition(":")[0], "chosen")
            name = method_title(method) + ("" if method == RANDOM else f" ({kind})")
            columns[name] = np.asarray(support.x)[[own[0] for own in of_class]]
    return ExampleGrid(columns, tuple(str(label) for label in labels.classes))


def _reliability(judged: Judged, asked: str) -> dict[tuple[str, str], np.ndarray]:
    """(set, learner) -> bins, of the first seed."""
    first = _first_seed(judged, asked)
    cells = zip(first.table["set"], first.table["learner"], first.arrays, strict=True)
    return {(name, learner): found["reliability"] for name, learner, found in cells if "reliability" in found}


def _first_seed(judged: Judged, asked: str) -> Judged:
    """The rows of one way with labels and of the first seed."""
    own = np.flatnonzero((judged.table["asked"] == asked) & (judged.table["seed"] == 0))
    return Judged(judged.table.iloc[own].reset_index(drop=True), [judged.arrays[i] for i in own], judged.metric)
