"""The report of a run: examples, scores, settings, and what the reader must know before using the set."""

from typing import Any

import numpy as np
import pandas as pd

from datastill import report
from datastill.data.dataset import Dataset, SupportSet, take
from datastill.evaluate.comparison import Compared
from datastill.evaluate.panel import Panel
from datastill.evaluate.references import class_means, nearest_rows
from datastill.evaluate.verdicts import verdicts_of
from datastill.preprocess.labels import ClassLabels
from datastill.report.names import title
from datastill.workflows.request import NETWORKS, TEACHERS, Request
from datastill.workflows.run_files import FILES

LARGE_TARGET = 4.0
"""Standard deviations from the mean."""
HIDDEN_SETTINGS = ("kernel", "random_state", "checkpoint", "verbose")


def summarise_run(
    estimator: Any, data: Dataset, request: Request, compared: Compared, judged: Panel, warnings: list[str]
) -> report.Summary:
    """Gather the report of a run."""
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
        under=verdicts_of([compared.duel, *judged.duels]) if compared.duel is not None else {},
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
    """Return the candidate that was kept, and the scores by which it was chosen."""
    known = support.provenance.get("choice")
    if not known:
        return {}
    said = f"mean of {', '.join(known['learners'])} on {known['held_rows']} held-out rows"
    failed = {f"{name} failed": why for name, why in known["failed"].items()}
    return {"kept": known["chosen"], said: ", ".join(f"{k}: {v:.3f}" for k, v in known["means"].items())} | failed


def _selection(support: SupportSet) -> dict[str, str]:
    """Describe a selection: how near it is to the best choice, and how well it answers queries about all rows."""
    known = support.provenance.get("selection", {})
    found = {}
    if known.get("objective_bound"):
        found["share of the best choice"] = f"at least {known['objective'] / known['objective_bound']:.1%}"
    for query in known.get("queries", []):
        found[f"error of {query['family']}"] = f"{query['mean']:.1%} on average, {query['worst']:.1%} at worst"
    return found


def _change(estimator: Any) -> dict[str, str]:
    """Measure how far a set has moved from the one that it started from."""
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


def warnings_of(request: Request, estimator: Any, unseen: bool, seen: int, others: bool) -> list[str]:
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
        how = f"; try --learners {','.join(NETWORKS)}" if request.method in TEACHERS else ""
        found.append(
            "The scores hold for kernel ridge regression under the kernel named here. Another learner trained on this "
            f"set may do much better or much worse; measure it before you rely on it{how}."
        )
    return found
