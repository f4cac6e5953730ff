"""A run: one folder that holds everything about one distillation, and can be continued after any interruption.

run.json                what was asked for; a folder answers to one request only
checkpoint.safetensors  the state while it runs (.coarse after it: at half the size)
support.safetensors, manifest.json, support.csv (tables)     the support set
rows.safetensors        digests of the training rows, by which held-out rows are known to be new
judges/              what learners that were asked for found, one file for each
metrics.json, support.png, report.html                       what it is worth
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill import artefact, report
from datastill._errors import InputError
from datastill._validate import check_finite
from datastill.data.archive import finite, make_folder, read_json, write_atomic, write_json
from datastill.data.dataset import Dataset, Rows, SupportSet, digest, take
from datastill.estimators import (
    KIP,
    RCIG,
    RFAD,
    BestOf,
    BestOfRegressor,
    Coreset,
    CoresetRegressor,
    FRePo,
    KIPRegressor,
    LabelSolve,
    LabelSolveRegressor,
    NetworkKIP,
)
from datastill.evaluate.comparison import Judge, class_means, compare, nearest_rows
from datastill.evaluate.intervals import mean_score
from datastill.evaluate.protocol import Maker, protocol, random_rows
from datastill.evaluate.scores import Score
from datastill.learners.named import named_learner
from datastill.moments import Collected, Sample
from datastill.preprocess.labels import ClassLabels
from datastill.report.names import title
from datastill.select import methods as selectors

METHODS: dict[str, tuple[Any, Any]] = {
    "kip": (KIP, KIPRegressor),
    "network-kip": (NetworkKIP, None),
    "rfad": (RFAD, None),
    "frepo": (FRePo, None),
    "rcig": (RCIG, None),
    "best-of": (BestOf, BestOfRegressor),
    "label-solve": (LabelSolve, LabelSolveRegressor),
    **dict.fromkeys(selectors.METHODS, (Coreset, CoresetRegressor)),
}
"""Name -> the estimators of classes and of real targets; None where there is none."""
TEACHERS = ("network-kip", "rfad", "frepo", "rcig")
"""Methods whose sets are to teach networks."""
NETWORKS = ("net:dsa", "net:frepo")
"""Judges of such sets: ConvNet-3 of width 128 with instance norm, and a wide one without norm."""
LARGE_TARGET = 4.0
"""Standard deviations from the mean."""
HIDDEN_SETTINGS = ("kernel", "random_state", "checkpoint", "verbose")
FILES = ("support.safetensors", "manifest.json", "rows.safetensors", "metrics.json", "support.png", "report.html")


@dataclass(frozen=True)
class Request:
    """What a run is asked to do; equal requests on equal data give equal results.

    Attributes:
        method: a key of METHODS.
        task: "classification" or "regression".
        settings: the estimator's parameters, JSON types only.
        seed: of everything random, the test split included.
        judges: names of learners that are trained on the set, beside kernel ridge regression; see
            `learners.named_learner`.
        judge_seeds: how often each of them is trained.
    """

    method: str
    task: str
    settings: dict[str, Any]
    seed: int
    judges: tuple[str, ...] = ()
    judge_seeds: int = 5


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
        verbose: whether to draw a progress bar.
        collected: what a pass left of all rows, of which `data` are a sample then; see `sampled`.
        unseen: whether the test rows had no part in choosing the step that is kept.

    Raises:
        InputError: if the folder holds another run, or the data or settings cannot be used.
        OutputError: if the folder cannot be written.
    """
    identity = _identity(data, request)
    if collected is not None:
        identity["digests"]["moments"] = collected.digest
    claimed = _claim(folder, identity)
    done = folder / "metrics.json"
    if done.exists() and (folder / "report.html").exists():
        return Result(folder, read_json(done), True)

    try:
        for name in request.judges:
            named_learner(name, request.task == "regression")
        estimator = _estimator(request, folder, verbose)
        if request.task == "classification":  # test labels that training lacks are told before anything is learned
            labels = ClassLabels.fit(data.y) if collected is None else collected.recipe.source.labels
            if isinstance(labels, ClassLabels):
                labels.codes(np.asarray(data.y_test))
        if isinstance(data.x_test, np.ndarray):
            check_finite(data.x_test, "the test rows")
        if collected is None:
            estimator.fit(data.x, data.y)
        else:
            estimator.fit_moments(collected)
    except InputError:
        if claimed:  # nothing was computed: the folder is free for a corrected request
            (folder / "run.json").unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        raise
    support: SupportSet = estimator.support_set_
    known = {"dataset": data.name, "target": data.target, "digests": identity["digests"]}
    known |= {"reading": data.reading.as_json()}
    support = replace(support, provenance={**support.provenance, **known})
    scores = _scores(estimator, data, request)
    support.save(folder)
    if collected is None:
        artefact.write_row_digests(folder, estimator.space_.encode(data.x))
    if isinstance(support.x, pd.DataFrame):
        labelled = support.x.assign(**{_free_name(data.target, support.x): list(support.y)})
        write_atomic(folder / "support.csv", labelled.to_csv(index=False).encode())
    judged, failures = _judged(estimator, data, request, folder, scores[0])
    warnings = [*failures, *data.reading.notes, *_warnings(request, estimator, unseen)]
    summary = _summary(estimator, data, request, [*scores, *judged], warnings)
    write_atomic(folder / "support.png", report.support_grid(summary.gallery))
    write_atomic(folder / "report.html", report.render(summary).encode())
    numbers = finite(summary.as_dict())
    write_json(done, numbers)
    for checkpoint in folder.glob("checkpoint.safetensors*"):
        checkpoint.unlink()
    return Result(folder, numbers, False)


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
    return {**asdict(request), "dataset": data.name, "digests": digests}


def _claim(folder: Path, identity: dict[str, Any]) -> bool:
    """Make the folder this run's own, or find that it is; whether it is new. Another run's folder is left alone."""
    make_folder(folder)
    identity = json.loads(json.dumps(identity))  # as it is read back
    claim = folder / "run.json"
    if claim.exists():
        held = read_json(claim)
        different = sorted(k for k in identity if held.get(k) != identity[k])
        if different:
            detail = ", ".join(_difference(held.get(k), identity[k], k) for k in different)
            raise InputError(
                f"Got the output folder {folder}, which holds another run (different {detail}); expected a new or "
                "empty folder; try another --out."
            )
        return False
    if any(folder.iterdir()):
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


def _estimator(request: Request, folder: Path, verbose: bool) -> Any:
    kind = estimator_of(request.method, request.task == "regression")
    known = kind._get_param_names()
    settings = {k: v for k, v in request.settings.items() if k in known and v is not None}
    if "method" in known:
        settings["method"] = request.method
    if settings.get("init") not in (None, "noise", "coarse", *selectors.METHODS):
        settings["init"] = SupportSet.load(settings["init"])
    if settings.get("patience") == "never":
        settings["patience"] = None
    if "checkpoint" in known:
        settings["checkpoint"] = folder / "checkpoint.safetensors"
    if "verbose" in known:
        settings["verbose"] = verbose
    return kind(**settings, random_state=request.seed)


def _scores(estimator: Any, data: Dataset, request: Request) -> list[Score]:
    """The support beside random rows, k-means centres and all rows, on the test rows."""
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
    rows = estimator.support_set_.indices is not None
    kind = "chosen rows" if rows else "learned" if hasattr(estimator, "n_iter_") else "mixtures of rows"
    name = f"{title(request.method)} ({kind})"
    return compare(judge, name, estimator.predict(data.x_test), budget, data.x, request.seed)


def _judged(
    estimator: Any, data: Dataset, request: Request, folder: Path, result: Score
) -> tuple[list[Score], list[str]]:
    """What the judges make of the set and of random rows with their own labels, and what failed.

    The interval is over the test rows and the seeds.
    """
    if not request.judges:
        return [], []
    known = artefact.Artefact(folder, estimator.support_set_, estimator.space_, estimator.labels_, data, None)
    examples, held = known.examples(), known.held_out(data.x_test, np.asarray(data.y_test))
    sets: dict[str, Maker] = {result.name: lambda seed: examples}
    every = known.every() if len(data.x) else None  # moments alone: there may be no rows to draw
    if every is not None:
        sets["random rows"] = lambda seed: random_rows(examples, every, seed)
    found = protocol(sets, request.judges, held, request.judge_seeds, folder=folder / "judges")
    scores = []
    for learner in request.judges:
        for of in sets:
            rows = found.table.iloc[found.of(of, learner)]
            if len(rows):
                mean = mean_score(rows[found.metric].to_numpy(), len(held.y), not held.regression)
                scores.append(Score(f"{learner}: {of}", int(rows["n"].iloc[0]), *mean, result.metric))
    return scores, found.failures


def _summary(
    estimator: Any, data: Dataset, request: Request, scores: list[Score], warnings: list[str]
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
        scores=scores,
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


def _warnings(request: Request, estimator: Any, unseen: bool) -> list[str]:
    """What the reader must know before using the set."""
    support: SupportSet = estimator.support_set_
    found = []
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
    short = support.provenance.get("choice", {}).get("short")
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
    if request.judges:
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


def _free_name(name: str, table: pd.DataFrame) -> str:
    """The name, or one like it that the table does not have yet."""
    while name in table.columns:
        name += "_"
    return name
