"""Several ways of making a set, of which the one is kept whose set teaches a panel of learners best.

No method wins on every table. So every candidate makes a set of most of the rows, every learner of the panel is trained
on each set, and the rows that were held out decide. This is the default for tables.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.utils import check_random_state

from datastill import _validate
from datastill._errors import InputError
from datastill.data import sampling
from datastill.data.dataset import digest, take
from datastill.data.sampling import Budget
from datastill.distill import kip
from datastill.estimators.base import Distiller, forget
from datastill.estimators.coreset import Coreset, CoresetRegressor
from datastill.estimators.kip import KIP, KIPRegressor
from datastill.evaluate.protocol import Examples, HeldOut, Maker, examples_of, protocol
from datastill.preprocess.labels import ClassLabels
from datastill.preprocess.space import fit_space

PANEL = ("krr:rbf", "logistic", "knn", "forest", "boosting")
PATHS = (10, 30, 100)
"""Steps of KIP: near where it starts, and further away."""
RATE = 0.03
WIDTH = 1024
"""Fourier features, and as many ReLU features, under which KIP learns; no fewer than there are examples."""
MOST_LEARNED = 3000
"""Examples that are learned; a larger set is of rows or means."""
MOST_HELD = 5000


class _BestOf(Distiller):
    """The best of several estimators' sets."""

    def fit(self, X: Any, y: Any) -> Self:
        """Make every candidate's set, judge all on held-out rows, keep the best.

        Args:
            X: as for the candidates.
            y: as for the candidates.

        Raises:
            InputError: for data or settings that cannot be used, too few rows to hold some out, or candidates none of
                which makes a set, with what each of them said.
        """
        started = time.monotonic()
        rows, y, codes = self._check(X, y)
        _validate.check_between("validation_fraction", self.validation_fraction, 0.01, 0.9)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fraction = min(self.validation_fraction, MOST_HELD / len(y))
        rest, held = sampling.split(codes, len(y), fraction, seed)
        if (codes is None and (len(held) < 2 or np.ptp(y[held], axis=0).max() == 0)) or not len(held):
            raise InputError(
                f"Got {len(y)} rows, of which {len(held)} were held out to choose by; expected enough to tell sets "
                "apart; try more rows, a larger validation_fraction, or KIP."
            )
        x_rest, y_rest = take(rows, rest), y[rest]
        candidates = self.candidates
        short: dict[str, int] = {}
        if candidates is None:
            budget, short = self._affordable(codes, rest, len(y))
            candidates = self._candidates(budget, seed)
        made, failed = _made(candidates, x_rest, y_rest)
        space = fit_space(x_rest)
        labels = next(iter(made.values())).labels_
        truth = labels.codes(y[held]) if isinstance(labels, ClassLabels) else labels.encode(y[held])
        sets = {name: examples_of(made[name].support_set_, space, labels) for name in made}
        judged = protocol(
            {name: _always(examples) for name, examples in sets.items()},
            list(self.learners),
            HeldOut(space.encode(take(rows, held)), truth, codes is None),
            seeds=1,
        )
        table = judged.table.pivot(index="set", columns="learner", values=judged.metric).loc[list(made)]
        means = table.mean(axis=1)  # over the learners that did not fail
        if means.isna().all():
            raise InputError(f"Got learners none of which could be trained ({'; '.join(judged.failures)}).")
        self.results_ = table.assign(mean=means).sort_values("mean", ascending=False, kind="stable")
        name = str(self.results_.index[0])
        self._become(made[name], rest)
        choice = {
            "chosen": name,
            "learners": list(self.learners),
            "held_rows": len(held),
            "means": {str(k): float(v) for k, v in self.results_["mean"].items()},
            "failed": failed,
            "short": short,
        }
        origin = {"n_train": len(y), "digest": {"x": digest(rows), "y": digest(y)}}
        seconds = {"seconds": round(time.monotonic() - started, 3)}
        provenance = self.support_set_.provenance | origin | seconds | {"choice": choice}
        self.support_set_ = replace(self.support_set_, provenance=provenance)
        return self

    def problem(self) -> kip.Problem:
        """That of the estimator whose set was kept."""
        return self.best_.problem()

    def _coefficients(self) -> np.ndarray:
        return self.best_._coefficients()

    def _become(self, best: Distiller, rest: np.ndarray) -> None:
        """Take over what the best estimator found; `rest` are the numbers of the rows that it was given."""
        if hasattr(self, "best_"):
            forget(self, *_found(self.best_))
        for name, value in (_found(best) | {"best_": best}).items():
            setattr(self, name, value)
        if best.support_set_.indices is not None:
            self.sample_indices_ = rest[best.support_set_.indices]
            self.support_set_ = replace(best.support_set_, indices=self.sample_indices_)

    def _affordable(self, codes: np.ndarray | None, rest: np.ndarray, n: int) -> tuple[dict[str, Any], dict[str, int]]:
        """Return the budget, cut to the rows of each class that are left, and the classes that this cuts."""
        asked = self._asked(sampling.class_counts(codes, n))
        budget = sampling.below_rows(asked, sampling.class_counts(None if codes is None else codes[rest], len(rest)))
        if codes is None:
            return {"n_support": int(budget[0])}, {}
        given = {str(c): int(k) for c, k in zip(self.classes_, budget, strict=True)}
        return {"ipc": given}, {c: k for (c, k), wanted in zip(given.items(), asked, strict=True) if k < wanted}

    def _candidates(self, budget: dict[str, Any], seed: int) -> dict[str, Distiller]:
        regression = "n_support" in budget
        coreset, learned = (CoresetRegressor, KIPRegressor) if regression else (Coreset, KIP)
        starts = ("kmeans", "kmeans-targets") if regression else ("kmeans",)
        found = {m: coreset(**budget, method=m, kernel="rbf", random_state=seed) for m in ("random", *starts)}
        examples = budget["n_support"] if regression else sum(budget["ipc"].values())
        width = max(WIDTH, examples)
        settings = {
            "kernel": f"features:fourier:{width}+relu:{width}",
            "learn_labels": False,
            "learning_rate": RATE,
            "validation_fraction": 0,
            "patience": None,
            "verbose": self.verbose,
            "random_state": seed,
        }
        for start in starts if examples <= MOST_LEARNED else ():
            for steps in PATHS:
                name = f"kip from {start}, {steps} steps"
                found[name] = learned(**budget, **settings, init=start, max_iter=steps)
        return found


def _found(estimator: Distiller) -> dict[str, Any]:
    """What an estimator found, but for what it was given."""
    own = ("n_features_in_", "feature_names_in_")
    return {name: value for name, value in vars(estimator).items() if name.endswith("_") and name not in own}


def _always(examples: Examples) -> Maker:
    return lambda _: examples


def _made(candidates: Mapping[str, Distiller], rows: Any, y: np.ndarray) -> tuple[dict[str, Distiller], dict[str, str]]:
    """The candidates that make a set, fitted, and what the others said."""
    made, failed = {}, {}
    for name, candidate in candidates.items():
        try:
            made[name] = clone(candidate).fit(rows, y)
        except InputError as error:
            failed[name] = str(error)
    if not made:
        said = "; ".join(f"{name}: {error}" for name, error in failed.items()) or "there are none"
        raise InputError(f"Got candidates none of which makes a set ({said}); expected one that does.")
    return made, failed


class BestOf(ClassifierMixin, _BestOf):
    """Whichever of several sets teaches a panel of learners best: what to take for a table.

    Every candidate makes a set of the rows but those that are held out (a fifth, at most 5,000); every learner is
    trained on every set; the set with the best mean accuracy on the held-out rows is kept. The estimator then is as the
    candidate was: it predicts under that one's kernel.

    By default the candidates are random rows, k-means, and `KIP` from the k-means centres, with the classes of examples
    fixed, under Fourier and ReLU features, for 10, 30 and 100 steps. Examples start with the weight of their cluster
    and keep it. A class never gets more examples than it has rows to learn from.

    Args:
        ipc: examples per class: a number, a fraction of the class, or a dict from labels to either; 10 when neither
            budget is given.
        n_support: examples in all: a number, or a fraction of the rows.
        allocation: how `n_support` is spread over the classes: "balanced" or "proportional".
        candidates: name -> unfitted estimator of this library, in the place of those; they bring their own budgets.
        learners: names of the panel; see `learners.named_learner`.
        validation_fraction: of the rows, held out to choose by.
        verbose: whether to show progress on standard error: a bar on a terminal, elsewhere a line every half minute.
        random_state: seed, RandomState or None.

    Attributes:
        best_: the fitted candidate whose set was kept; its attributes are this estimator's, too.
        results_: a table of candidates × learners, the best mean first.
        support_set_: the set; its provenance says how it was chosen.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        allocation: str = "balanced",
        candidates: Mapping[str, Distiller] | None = None,
        learners: Sequence[str] = PANEL,
        validation_fraction: float = 0.2,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.allocation = allocation
        self.candidates = candidates
        self.learners = learners
        self.validation_fraction = validation_fraction
        self.verbose = verbose
        self.random_state = random_state


class BestOfRegressor(RegressorMixin, _BestOf):
    """`BestOf` for real targets, by mean R²; k-means on rows and targets together is another start.

    The budget is `n_support` examples (20 when left out).
    """

    def __init__(
        self,
        n_support: int | float | None = None,
        *,
        candidates: Mapping[str, Distiller] | None = None,
        learners: Sequence[str] = PANEL,
        validation_fraction: float = 0.2,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_support = n_support
        self.candidates = candidates
        self.learners = learners
        self.validation_fraction = validation_fraction
        self.verbose = verbose
        self.random_state = random_state
