"""A run: one folder that holds everything about one distillation, and can be continued after any interruption.

run.json                what was asked for, and when it is done digests of what was found; one request for a folder
checkpoint.safetensors  the state while it runs (.coarse after it: at half the size; .previous: the one before)
support.safetensors, manifest.json, support.csv (tables)     the support set
rows.safetensors        digests of the training rows, by which held-out rows are known to be new
judges/              what learners that were asked for found, one file for each
metrics.json, support.png, report.html                       what it is worth
"""

import hashlib
import json
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill import report
from datastill._errors import DatastillWarning, InputError
from datastill._validate import check_finite
from datastill.data import claims, sampling
from datastill.data.archive import finite, leftovers, read_object, write_atomic, write_json
from datastill.data.dataset import Dataset, Rows, SupportSet, digest, take
from datastill.data.spreadsheet import support_csv
from datastill.distill.checkpoints import NAME as CHECKPOINT
from datastill.distill.checkpoints import discard
from datastill.estimators import (
    KIP,
    RCIG,
    RFAD,
    Coreset,
    CoresetRegressor,
    FRePo,
    KIPRegressor,
    LabelSolve,
    LabelSolveRegressor,
    NetworkKIP,
    Universal,
    UniversalRegressor,
)
from datastill.evaluate.comparison import Compared, compare
from datastill.evaluate.judge import Judge
from datastill.evaluate.panel import PANEL, SEEDS, Panel, cheap, fewer, panel
from datastill.evaluate.protocol import Examples, examples_of
from datastill.evaluate.references import class_means, nearest_rows
from datastill.evaluate.scores import Score
from datastill.evaluate.verdicts import settle
from datastill.learners.named import check_learners
from datastill.moments import Collected, Sample
from datastill.preprocess.labels import ClassLabels
from datastill.report.names import title
from datastill.select import methods as selectors
from datastill.workflows import saved_set

METHODS: dict[str, tuple[Any, Any]] = {
    "universal": (Universal, UniversalRegressor),
    "kip": (KIP, KIPRegressor),
    "network-kip": (NetworkKIP, None),
    "rfad": (RFAD, None),
    "frepo": (FRePo, None),
    "rcig": (RCIG, None),
    "label-solve": (LabelSolve, LabelSolveRegressor),
    **dict.fromkeys(selectors.METHODS, (Coreset, CoresetRegressor)),
}
"""Name -> the estimators of classes and of real targets; None where there is none."""
TEACHERS = ("network-kip", "rfad", "frepo", "rcig")
"""Methods whose sets are to teach networks."""
NO_JUDGES = ("none",)
"""A request's judges when no learner but kernel ridge regression is wanted."""
NETWORKS = ("net:dsa", "net:frepo")
"""Judges of such sets: ConvNet-3 of width 128 with instance norm, and a wide one without norm."""
MANY_ROWS, ROWS_EACH = 100_000, 50
"""Rows that the default learns from where there are more, and how many of them an example of a class needs."""
MOST_OF_ALL, NUMBERS_OF_ALL = 2000, 1_000_000
"""Of all rows, and of the numbers in them, that a panel is trained on beside a universal set."""
LARGE_TARGET = 4.0
"""Standard deviations from the mean."""
HIDDEN_SETTINGS = ("kernel", "random_state", "checkpoint", "verbose")
FILES = ("support.safetensors", "manifest.json", "rows.safetensors", "metrics.json", "support.png", "report.html")
NEEDED = ("support.safetensors", "manifest.json", "metrics.json", "report.html")
CLAIM = "run.json"


@dataclass(frozen=True)
class Request:
    """What a run is asked to do; equal requests on equal data give equal results.

    Attributes:
        method: a key of METHODS.
        task: "classification" or "regression"; before the data are read, for `check`, it may be "auto".
        settings: the estimator's parameters, JSON types only.
        seed: of everything random, the test split included.
        judges: names of learners that are trained on the set, beside kernel ridge regression; see
            `learners.named_learner`. None named: a cheap panel, unless the set is large; NO_JUDGES: no learner.
        judge_seeds: how often each of those that are named is trained.
        rows: how many training rows, drawn at random, the set is learned from at most; None for all. It is judged
            beside all of them.
    """

    method: str
    task: str
    settings: dict[str, Any]
    seed: int
    judges: tuple[str, ...] = ()
    judge_seeds: int = 5
    rows: int | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """What a finished run found.

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
    identity = _identity(data, request)
    if collected is not None:
        identity["digests"]["moments"] = collected.digest
    with claims.held(folder) as stale:
        claimed = _claim(folder, identity)
        claims.tidy(folder, stale)
        if not claimed and (found := _found(folder)) is not None:
            if claims.broken(folder / CLAIM) is None:
                with suppress(OSError):  # of a folder that cannot be written
                    _seal(folder, identity)
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
        estimator = _estimator(request, folder, verbose)
        if request.task == "classification":  # test labels that training lacks are told before anything is learned
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
    said = _warnings(request, estimator, unseen, seen, bool(judged.scores))
    if chosen is not None:
        said.append(
            f"The set was learned from {len(chosen):,} of the {len(data.x):,} training rows, drawn at random; with "
            "--rows all it is learned from all."
        )
    warnings = [*judged.failures, *data.reading.notes, *said]
    summary = _summary(estimator, data, request, compared, judged, warnings)
    write_atomic(folder / "support.png", report.support_grid(summary.gallery))
    write_atomic(folder / "report.html", report.render(summary).encode())
    numbers = finite(summary.as_dict())
    write_json(folder / "metrics.json", numbers)
    _seal(folder, identity)
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


def read_summary(folder: Path) -> dict[str, Any]:
    """Read what a finished run found.

    Raises:
        InputError: where there is none, or where files of it are missing or damaged.
    """
    if not (folder / "metrics.json").exists():
        raise InputError(f"Got {folder}, which holds no finished run; expected metrics.json; try `datastill distill`.")
    if wrong := _wrong(folder):
        raise InputError(
            f"Got {folder}, whose {', '.join(wrong)} {'are' if wrong[1:] else 'is'} missing or damaged; expected a "
            "finished run; try the same `datastill distill` again, which makes it again."
        )
    return read_object(folder / "metrics.json")


def _found(folder: Path) -> dict[str, Any] | None:
    """What a finished run found; None where it is not finished, or must be made again, which a warning says."""
    wrong = _wrong(folder)
    if not wrong:
        return read_object(folder / "metrics.json")
    if claims.broken(folder / CLAIM) or (folder / "metrics.json").exists():
        what = f"{', '.join(wrong)} {'are' if wrong[1:] else 'is'} missing or damaged"
        warnings.warn(f"Got {folder}, where {what}; the run is made again.", DatastillWarning, stacklevel=3)
    return None


def _wrong(folder: Path) -> list[str]:
    """The files that a finished run would have, and that are missing or damaged."""
    sealed = claims.broken(folder / CLAIM)
    if sealed is not None:
        return sealed
    found = [name for name in NEEDED if not (folder / name).is_file()]  # no seal: of an earlier version, or killed
    for name, read in (("support.safetensors", SupportSet.load), ("metrics.json", _read_metrics)):
        try:
            read(folder)
        except InputError:
            found.append(name)
    return list(dict.fromkeys(found))


def _read_metrics(folder: Path) -> dict[str, Any]:
    return read_object(folder / "metrics.json")


def _seal(folder: Path, identity: dict[str, Any]) -> None:
    claims.seal(folder / CLAIM, identity, [name for name in (*FILES, "support.csv") if (folder / name).exists()])


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


def identify(data: Dataset, request: Request) -> str:
    """A digest of a request and its data, for naming folders."""
    return hashlib.sha256(json.dumps(_identity(data, request)).encode()).hexdigest()


def _identity(data: Dataset, request: Request) -> dict[str, Any]:
    digests = {part: digest(getattr(data, part)) for part in ("x", "y", "x_test", "y_test")}
    asked = {name: value for name, value in asdict(request).items() if name != "rows" or value is not None}
    return {**asked, "dataset": data.name, "digests": digests}


def _claim(folder: Path, identity: dict[str, Any]) -> bool:
    """Make the folder this run's own, or find that it is; whether it is new. Another run's folder is left alone."""
    identity = json.loads(json.dumps(identity))  # as it is read back
    claim = folder / CLAIM
    others = set(folder.iterdir()) - {claim, *leftovers(folder)}
    held = None
    try:
        held = read_object(claim) if claim.exists() else None
    except InputError:
        if others:  # it may be another run's
            raise
    if held is not None:
        different = sorted(k for k in identity if held.get(k) != identity[k])
        if different:
            detail = ", ".join(_difference(held.get(k), identity[k], k) for k in different)
            raise InputError(
                f"Got the output folder {folder}, which holds another run (different {detail}); expected a new or "
                "empty folder; try another --out."
            )
        return False
    if others:
        raise InputError(
            f"Got the output folder {folder}, which has other files in it; expected a new or empty folder; "
            "try another --out."
        )
    write_json(claim, identity)
    return True


def _difference(old: Any, new: Any, name: str) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)) or name == "digests":
        return "data" if name == "digests" else f"{name}: {old!r}, not {new!r}"
    keys = [k for k in {**old, **new} if old.get(k) != new.get(k)]
    return ", ".join(f"{k}: {old.get(k)!r}, not {new.get(k)!r}" for k in keys)


def estimator_of(method: str, regression: bool) -> Any:
    """The estimator class of a method in METHODS.

    Raises:
        InputError: for a method that needs classes, in regression.
    """
    kind = METHODS[method][regression]
    if kind is None:
        raise InputError(f"Got the method {method} in regression; it needs classes; try kip.")
    return kind


def check(request: Request) -> None:
    """Raise an InputError for settings or learners that no data could make usable; the task may still be "auto"."""
    _estimator(request, Path(), False).check_settings()
    check_learners(request.judges if request.judges != NO_JUDGES else (), request.task)


def _estimator(request: Request, folder: Path, verbose: bool) -> Any:
    kind = estimator_of(request.method, request.task == "regression")
    known = kind._get_param_names()
    settings = {k: v for k, v in request.settings.items() if k in known and v is not None}
    if "method" in known:
        settings["method"] = request.method
    if settings.get("init") not in (None, "auto", "noise", "coarse", *selectors.METHODS):
        settings["init"] = SupportSet.load(settings["init"])
    if settings.get("patience") == "never":
        settings["patience"] = None
    if "checkpoint" in known:
        settings["checkpoint"] = folder / CHECKPOINT
    if "verbose" in known:
        settings["verbose"] = verbose
    return kind(**settings, random_state=request.seed)


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


def _summary(
    estimator: Any, data: Dataset, request: Request, compared: Compared, judged: Panel, warnings: list[str]
) -> report.Summary:
    support: SupportSet = estimator.support_set_
    means = nearest = codes = None
    if isinstance(estimator.labels_, ClassLabels) and len(data.x):
        codes = estimator.labels_.codes(data.y)
    if codes is not None and np.bincount(codes, minlength=len(estimator.classes_)).all():
        means = class_means(data.x, codes, len(estimator.classes_))
        own = estimator.labels_.codes(estimator.y_support_)
        found = nearest_rows(estimator.space_.encode(data.x), codes, estimator.space_.encode(support.x), own)
        first = [int(np.argmax(own == c)) for c in range(len(estimator.classes_))]
        nearest = take(data.x, found[first]) if set(own) == set(range(len(estimator.classes_))) else None
    history = [
        (r.step, r.loss, r.validation_score if np.isfinite(r.validation_score) else None)
        for r in getattr(estimator, "history_", [])
        if np.isfinite(r.loss)
    ]
    settings = {"method": title(request.method), "task": request.task, "seed": request.seed}
    settings |= {"kernel": ", ".join(repr(k) for k in estimator.kernels_)}
    settings |= {k: v for k, v in estimator.get_params().items() if k not in HIDDEN_SETTINGS and v is not None}
    settings |= _choice(support)
    settings |= _selection(support)
    settings |= _change(estimator)
    if hasattr(estimator, "n_iter_"):
        settings |= {"steps done": estimator.n_iter_, "step kept": estimator.best_iter_}
    return report.summarise(
        support,
        dataset=data.name,
        method=title(request.method),
        n_train=support.provenance["n_train"],
        n_test=len(np.asarray(data.y_test)),
        scores=[*compared.scores, *judged.scores],
        under=settle([compared.duel, *judged.duels]) if compared.duel is not None else {},
        learner=f"kernel ridge regression, {estimator.kernels_[0]!r}",
        history=history,
        snapshots=getattr(estimator, "snapshots_", []),
        class_means=means,
        nearest=nearest,
        settings=settings,
        warnings=warnings,
        files=[*FILES, *(["support.csv"] if isinstance(support.x, pd.DataFrame) else [])],
    )


def _choice(support: SupportSet) -> dict[str, str]:
    """Of several candidates, which one was kept and by what."""
    known = support.provenance.get("choice")
    if not known:
        return {}
    said = f"mean of {', '.join(known['learners'])} on {known['held_rows']} held-out rows"
    failed = {f"{name} failed": why for name, why in known["failed"].items()}
    return {"kept": known["chosen"], said: ", ".join(f"{k}: {v:.3f}" for k, v in known["means"].items())} | failed


def _selection(support: SupportSet) -> dict[str, str]:
    """What is known of chosen rows: how near the best choice, and how well they answer questions about all rows."""
    known = support.provenance.get("selection", {})
    found = {}
    if known.get("objective_bound"):
        found["share of the best choice"] = f"at least {known['objective'] / known['objective_bound']:.1%}"
    for query in known.get("queries", []):
        found[f"error of {query['family']}"] = f"{query['mean']:.1%} on average, {query['worst']:.1%} at worst"
    return found


def _change(estimator: Any) -> dict[str, str]:
    """How far a set that started from another one has come."""
    start, history = estimator.get_params().get("init"), getattr(estimator, "history_", [])
    if not isinstance(start, SupportSet) or len(start.x) != len(estimator.X_support_):
        return {}
    before, after = (estimator.space_.encode(x).reshape(len(x), -1) for x in (start.x, estimator.X_support_))
    moved = np.sqrt(np.mean((after - before) ** 2, axis=1))
    found = {"examples moved by": f"{moved.mean():.3f} on average, {moved.max():.3f} at most (in standard deviations)"}
    known = [r.validation_loss for r in history if np.isfinite(r.validation_loss)]
    if known:
        found["validation loss"] = f"{known[0]:.4f} at the start, {min(known):.4f} at the step kept"
    return found


def _warnings(request: Request, estimator: Any, unseen: bool, seen: int, others: bool) -> list[str]:
    """List what the reader must know before using the set."""
    support: SupportSet = estimator.support_set_
    found = []
    if seen:
        found.append(
            f"{seen:,} of the test rows equal a training row in every number, so the scores may be too high for rows "
            "that were never seen."
        )
    if not unseen:
        found.append(
            "The rows that judge this set are some of those that chose the step: its score may be a little too high. "
            "For one of other rows, give --test DATA."
        )
    agreement = support.provenance.get("label_agreement", 1.0)
    if agreement < 1:
        found.append(
            f"{1 - agreement:.0%} of the examples have a label vector that points to another class than the one they "
            "were made for: use soft_labels, not y, with learners that can take them."
        )
    short = support.provenance.get("short") or support.provenance.get("choice", {}).get("short")
    if short:
        classes = ", ".join(f"{label} ({k})" for label, k in short.items())
        found.append(f"Some classes have fewer rows than examples were asked for, and got fewer examples: {classes}.")
    if not isinstance(estimator.labels_, ClassLabels) and np.abs(estimator.soft_labels_).max() > LARGE_TARGET:
        found.append(
            "Some learned target values lie far outside the data's: they are what the kernel predictor needs at those "
            "points, and may mislead other learners."
        )
    history = getattr(estimator, "history_", [])
    judged = history and np.isfinite(history[-1].validation_loss)
    if judged and not estimator.converged_ and estimator.best_iter_ == estimator.n_iter_:
        found.append("The last step was the best one: more steps may give a better set.")
    if others:
        found.append(
            "Scores with a learner's name before the set are that learner's, trained on the set with its label vectors "
            "if it can take them, and on random rows with labels of their own; the others are those of kernel ridge "
            "regression under the kernel named here."
        )
    else:
        how = f"; try --judges {','.join(NETWORKS)}" if request.method in TEACHERS else ""
        found.append(
            "The scores hold for kernel ridge regression under the kernel named here. Another learner trained on this "
            f"set may do much better or much worse; measure it before you rely on it{how}."
        )
    return found
