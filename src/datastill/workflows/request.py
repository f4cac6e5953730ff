"""The request of a run, and the estimator that carries it out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastill._errors import InputError
from datastill.data.dataset import SupportSet
from datastill.distill.checkpoints import NAME as CHECKPOINT
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
from datastill.learners.named import check_learners
from datastill.select import methods as selectors

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


@dataclass(frozen=True)
class Request:
    """The request of a run; equal requests on equal data give equal results.

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


def estimator_of(method: str, regression: bool) -> Any:
    """Return the estimator class of a method in METHODS.

    Raises:
        InputError: for a method that needs classes, in regression.
    """
    kind = METHODS[method][regression]
    if kind is None:
        raise InputError(f"Got the method {method} in regression; it needs classes; try kip.")
    return kind


def check(request: Request) -> None:
    """Raise an InputError for settings or learners that no data could make usable; the task may still be "auto"."""
    make_estimator(request, Path(), False).check_settings()
    check_learners(request.judges if request.judges != NO_JUDGES else (), request.task)


def make_estimator(request: Request, folder: Path, verbose: bool) -> Any:
    """Return the unfitted estimator of a request, which keeps its checkpoint in the folder."""
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
