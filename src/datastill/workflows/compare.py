"""Compare methods × budgets × learners × seeds on one dataset, kept in a folder and resumed from it.

sets/NAME-SEED/      every support set, as a run would save it
rows/                every row of the table, as soon as it is known
table.parquet, table.json     all of them
standings.json       each set and learner beside all rows and random rows, with verdicts and robustness
report.html, report.md, summary.json     see `workflows.comparison_files`
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from datastill import _moved
from datastill._errors import InputError
from datastill.certify import FULL, check_delta
from datastill.certify.overlap import overlap, typical_distance
from datastill.data import claims
from datastill.data.archive import write_atomic, write_json
from datastill.data.dataset import Dataset, SupportSet, digest
from datastill.evaluate import kept
from datastill.evaluate.constant import with_constant
from datastill.evaluate.draws import imbalanced
from datastill.evaluate.leaderboard import Baselines, leaderboard, robustness
from datastill.evaluate.protocol import Examples, HeldOut, Maker, examples_of, protocol
from datastill.gram.names import as_kernels
from datastill.learners.named import both_augmentations, check_learners, named_learner
from datastill.learners.training import LABELS, as_seen, label_vectors, train, train_regressor
from datastill.preprocess.encoder import FeatureEncoder, fit_encoder
from datastill.preprocess.labels import ClassLabels, Labels, TargetScaler
from datastill.report.names import PROPORTIONAL, RANDOM, SOLVED, TAUGHT
from datastill.select.methods import SEEDLESS
from datastill.workflows.comparison_files import ComparisonResult, set_folder, write_report
from datastill.workflows.request import METHODS, estimator_of
from datastill.workflows.run_files import CLAIM
from datastill.workflows.saved_set import set_digest


@dataclass(frozen=True)
class ComparisonSettings:
    """Who takes part.

    Attributes:
        methods: names, each with a kernel of its own after a colon if it is not the common one, as in "kip:rbf".
        budgets: examples per class, or in all for regression.
        learners: names; see `learners.named_learner`.
        seeds: how many.
        kernel: of the methods that name none.
        steps: of methods that take steps; None leaves each its own.
        labels: "soft", "hard" or "expanded"; see `learners.training`.
        teacher: a learner that is trained on all rows and labels every set once more; None for none.
        robust: whether to train with hard labels, and without and with augmentation, too, for the robust scores.
    """

    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    learners: tuple[str, ...]
    seeds: int = 3
    kernel: str = "fc1"
    steps: int | None = None
    labels: str = "soft"
    teacher: str | None = None
    robust: bool = False


class Encoded(NamedTuple):
    """A dataset as numbers."""

    rows: Dataset
    space: FeatureEncoder
    labels: Labels
    every: Examples
    held: HeldOut
    identity: str

    @classmethod
    def of(cls, data: Dataset, task: str) -> "Encoded":
        """A dataset with test rows, standardised by its training rows.

        Raises:
            InputError: for held-out targets that are all equal.
        """
        space = fit_encoder(data.x)
        labels: Labels = ClassLabels.fit(data.y) if task == "classification" else TargetScaler.fit(data.y)
        every = Examples(space.encode(data.x), labels.encode(data.y))
        y_test = np.asarray(data.y_test)
        held_y = labels.codes(y_test) if isinstance(labels, ClassLabels) else labels.encode(y_test)
        held = HeldOut(space.encode(data.x_test), held_y, task == "regression")
        if held.regression and np.ptp(held.y, axis=0).max(initial=0) == 0:
            raise InputError("Got held-out targets that are all equal; expected some that differ; try more test rows.")
        return cls(data, space, labels, every, held, f"{task} {digest(data.y)} {digest(data.x)}")

    @property
    def smallest(self) -> int:
        """Rows of the smallest class; in regression, of all."""
        if self.held.regression:
            return len(self.every.x)
        return int(np.bincount(self.every.vectors.argmax(axis=1)).min())

    @property
    def drawn(self) -> tuple[str, ...]:
        """The kinds of random rows: as many of each class, and in proportion where classes differ much in size."""
        if self.held.regression:
            return (RANDOM,)
        unlike = imbalanced(np.bincount(self.every.vectors.argmax(axis=1)))
        return (RANDOM, PROPORTIONAL) if unlike else (RANDOM,)

    def check_budgets(self, budgets: Sequence[int]) -> None:
        """Raise an InputError for a budget that some class cannot fill."""
        wrong = [budget for budget in budgets if not 1 <= budget <= self.smallest]
        if wrong or not budgets:
            what = "the data have" if self.held.regression else "the smallest class has"
            raise InputError(
                f"Got a budget of {wrong[0] if wrong else 'nothing'}; expected 1 to {self.smallest}: {what} "
                f"{self.smallest} rows."
            )


def check(comparison: ComparisonSettings, task: str, delta: float) -> None:
    """Raise an InputError for methods, learners or numbers that no data could make usable; the task may be "auto"."""
    check_delta(delta)
    if not comparison.methods or not comparison.learners or comparison.seeds < 1:
        raise InputError(
            f"Got {len(comparison.methods)} methods, {len(comparison.learners)} learners and {comparison.seeds} seeds; "
            "expected at least one each."
        )
    for method in comparison.methods:
        check_method(method, comparison.kernel)
    check_learners([*comparison.learners, *([comparison.teacher] if comparison.teacher else [])], task)
    if comparison.labels not in LABELS:
        raise InputError(f"Got labels={comparison.labels!r}; expected one of {', '.join(LABELS)}.")


def compare(
    data: Dataset,
    task: str,
    comparison: ComparisonSettings,
    folder: Path,
    jobs: int = 1,
    memory: int | None = None,
    delta: float = 0.05,
) -> ComparisonResult:
    """Judge every method and budget, random rows with given and with learned labels, and all rows.

    Args:
        data: with test rows; see `data.task.with_test`.
        task: "classification" or "regression".
        comparison: the settings.
        folder: made if missing; the same call continues it.
        jobs: learners trained side by side.
        memory: bytes for all of them; None for no limit.
        delta: probability that any of the certified statements in the report fails.

    Raises:
        InputError: for unknown methods or learners, or data that cannot be used.
    """
    check(comparison, task, delta)
    learners = comparison.learners
    variants = {k: both_augmentations(k) for k in learners if k.startswith("net:")} if comparison.robust else {}
    learners = tuple(dict.fromkeys([*learners, *(v for pair in variants.values() for v in pair)]))
    known = Encoded.of(data, task)
    known.check_budgets(comparison.budgets)
    with claims.held(folder) as stale:
        if (folder / CLAIM).exists():
            raise InputError(f"Got {folder}, which holds a run of `datastill distill`; expected another folder.")
        claims.tidy(folder, stale)
        return _compared(data, known, comparison, learners, variants, folder, jobs, memory, delta)


def _compared(
    data: Dataset,
    known: Encoded,
    comparison: ComparisonSettings,
    learners: tuple[str, ...],
    variants: dict[str, tuple[str, str]],
    folder: Path,
    jobs: int,
    memory: int | None,
    delta: float,
) -> ComparisonResult:
    """See `compare`; the folder is held."""
    baselines = _baselines(comparison, known.drawn)
    names = [*(f"{kind} {budget}" for kind in known.drawn for budget in comparison.budgets), *baselines]
    sets: dict[str, Maker] = {name: partial(made, known, comparison, name, folder / "sets") for name in names}
    if comparison.teacher:
        teacher = _Teacher(comparison.teacher, known, folder / "sets")
        sets |= {name + TAUGHT: partial(_relabelled, maker, teacher) for name, maker in sets.items()}
        baselines |= {name + TAUGHT: r.taught(TAUGHT) for name, r in baselines.items()}
    sets[FULL] = lambda seed: known.every
    ways = tuple(dict.fromkeys([comparison.labels, *(["soft", "hard"] if comparison.robust else [])]))
    judged = protocol(sets, learners, known.held, comparison.seeds, ways, folder / "rows", jobs, memory, {FULL})
    judged = with_constant(judged, known.every, known.held)
    found = leaderboard(judged, baselines, FULL)
    robust = robustness(found, baselines, FULL, variants) if comparison.robust else pd.DataFrame()
    write_json(folder / "table.json", judged.table.to_dict(orient="records"))
    write_atomic(folder / "table.parquet", judged.table.to_parquet())
    write_json(
        folder / "standings.json",
        {"standings": found.to_dict(orient="records"), "robustness": robust.to_dict(orient="records")},
    )
    found_seen = overlap(known.held.x, known.every.x, typical_distance(known.held.x))
    seen = len(found_seen.equal) + len(found_seen.near)
    shown = ComparisonResult(data, known.labels, known.held, judged, found, robust, baselines, learners, seen)
    settings = {k: getattr(comparison, k) for k in ("kernel", "steps", "labels", "teacher", "robust")} | {
        "delta": delta
    }
    write_report(
        shown, comparison.methods, comparison.budgets, comparison.seeds, comparison.labels, settings, delta, folder
    )
    return shown


def check_method(method: str, kernel: str) -> None:
    """Raise an InputError unless it is a method, with a kernel of its own or not."""
    base, _, own = method.partition(":")
    if base not in METHODS:
        raise InputError(f"Got the method {base!r}; expected some of {', '.join(METHODS)}.")
    as_kernels(own or kernel)


def _baselines(comparison: ComparisonSettings, kinds: Sequence[str]) -> dict[str, Baselines]:
    """Return set -> its random rows, for every set but random rows with their own labels.

    Args:
        comparison: the settings.
        kinds: of random rows that are drawn.
    """
    found = {}
    for method in dict.fromkeys(comparison.methods):
        base, colon, kernel = method.partition(":")
        for budget in comparison.budgets if base != RANDOM else ():
            given, drawn = f"{RANDOM} {budget}", tuple(f"{kind} {budget}" for kind in kinds[1:])
            learned = f"{SOLVED}{colon}{kernel} {budget}" if base == "kip" else given
            if learned != given:
                found[learned] = Baselines(given, given, drawn)
            found[f"{method} {budget}"] = Baselines(given, learned, drawn)
    return found


def made(data: Encoded, comparison: ComparisonSettings, name: str, folder: Path, seed: int) -> Examples:
    """The set of a method for a seed: from its folder if this user made it of the same data and settings, else made."""
    method, _, budget = name.rpartition(" ")
    base, _, kernel = method.partition(":")
    seed = 0 if base in SEEDLESS else seed
    where = set_folder(folder, name, seed)
    method = RANDOM if base == PROPORTIONAL else base
    kind = estimator_of(method, data.held.regression)
    offered = {"kernel": kernel or comparison.kernel, "method": method, "max_iter": comparison.steps}
    settings: dict[str, Any] = {k: v for k, v in offered.items() if v is not None and k in kind._get_param_names()}
    wanted = {"data": data.identity, "kernel": offered["kernel"], "steps": settings.get("max_iter")}
    own = partial(kept.seal, kept.own_key(), name, str(seed), json.dumps(wanted))
    kept.refuse_link(folder)
    kept.refuse_link(where)
    support = None
    with suppress(InputError):  # a damaged set is made again
        support = SupportSet.load(where) if (where / "manifest.json").exists() else None
    if support is None or support.provenance.get("seal") != own(set_digest(support)):
        settings |= {"random_state": seed, "n_support" if data.held.regression else "ipc": int(budget)}
        if isinstance(data.labels, ClassLabels) and base == PROPORTIONAL:
            settings |= {"n_support": settings.pop("ipc") * len(data.labels.classes), "allocation": "proportional"}
        support = kind(**settings).fit(data.rows.x, data.rows.y).support_set_
        support.provenance.update(wanted=wanted, seal=own(set_digest(support)))
        support.save(where)
    return examples_of(support, data.space, data.labels)


def _relabelled(maker: Maker, teacher: "_Teacher", seed: int) -> Examples:
    examples = maker(seed)
    learned = "" if examples.learned == "labels" else examples.learned
    return examples._replace(vectors=teacher.vectors(examples.x), codes=None, learned=learned)


class _Teacher:
    """A learner trained on all rows, once it is needed; the labels that it gives are kept in a folder."""

    def __init__(self, name: str, data: Encoded, folder: Path) -> None:
        self.name, self.data, self.folder = name, data, folder

    def vectors(self, x: np.ndarray) -> np.ndarray:
        """The label vectors, or targets, of these rows."""
        path = self.folder / f"teacher-{digest(x)[:16]}.safetensors"
        wanted = f"{self.name} {self.data.identity}"
        found = kept.find(path, kept.own_key())
        if found is not None and found[0] == wanted:
            return found[1]["vectors"]
        if self.data.held.regression:
            vectors = np.asarray(self.trained.predict(as_seen(self.trained, x))).reshape(len(x), -1)
        else:
            vectors = label_vectors(self.trained, x, self.data.every.vectors.shape[1])
        kept.keep(path, wanted, {"vectors": vectors.astype(np.float32)}, kept.own_key())
        return vectors.astype(np.float32)

    @cached_property
    def trained(self) -> Any:
        """Fitted."""
        try:
            return self._train()
        except (Exception, SystemExit) as error:  # a stranger's learner may raise anything
            raise InputError(f"Got the teacher {self.name}, which failed on all rows: {error}; try another.") from error

    def _train(self) -> Any:
        x, vectors = self.data.every.x, self.data.every.vectors
        if self.data.held.regression:
            return train_regressor(named_learner(self.name, True), x, vectors).estimator
        return train(named_learner(self.name), x, vectors).estimator


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Entrants": "ComparisonSettings"})
