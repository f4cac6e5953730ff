"""The classic summaries as estimators: `Coreset` for classes, `CoresetRegressor` for real targets."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from datastill import krr
from datastill.data.sampling import Budget
from datastill.distill import kip
from datastill.estimators.base import Data, Distiller, Support
from datastill.evaluate.queries import query_errors
from datastill.gram.names import KernelLike


class _Coreset(Distiller):
    """Rows chosen by a rule, or centres, with their own labels."""

    _selects_rows = True

    def _initial_support(self, data: Data) -> Support:
        return self._choose(self.method, data, self.optimiser)

    def _learn(self, data: Data, start: Support) -> Support:
        return start

    def _finish(self, data: Data, support: Support) -> None:
        super()._finish(data, support)
        chosen = support.chosen
        assert chosen is not None
        self.gains_ = chosen.gains
        self.objective_, self.objective_bound_ = chosen.value, chosen.bound
        self.query_errors_ = None
        if chosen.indices is not None:
            self.query_errors_ = query_errors(
                data.targets.x, data.targets.y, chosen.indices, chosen.weights, self.kernels_[0], seed=data.seed
            )

    def _describe(self, data: Data, seconds: float) -> Any:
        support = super()._describe(data, seconds)
        selection: dict[str, Any] = {"gains": [float(g) if np.isfinite(g) else None for g in self.gains_]}
        if self.objective_ is not None:
            selection |= {"objective": self.objective_, "objective_bound": self.objective_bound_}
        if self.query_errors_ is not None:
            selection["queries"] = [error.as_dict() for error in self.query_errors_]
        provenance = {**support.provenance, "selection": selection}
        return replace(support, provenance=provenance)

    def _regress(self) -> None:
        """Leave it until something is predicted: rows can be chosen where s³ operations are too many."""
        self._solved: dict[str, np.ndarray] = {}

    def _coefficients(self) -> np.ndarray:
        if "alpha" not in self._solved:
            self._solved["alpha"] = krr.fit(self.kernels_[0], self.support_features_, self.soft_labels_, self.reg)
        return self._solved["alpha"]

    def problem(self) -> kip.Problem:
        """Its kernels and penalties; labels stay those of the rows."""
        return replace(super().problem(), labels="fixed")

    def _solves_labels(self) -> bool:
        return False


class Coreset(ClassifierMixin, _Coreset):
    """The classic summaries of a dataset, class by class: chosen rows, or centres, with their own labels.

    Args:
        ipc: examples per class: a number, a fraction of the class, or a dict from labels to either; 10 when neither
            budget is given.
        n_support: examples in all: a number, or a fraction of the rows.
        method: "random", "stratified", "kmeans-nearest", "kmedoids", "kcenter", "herding", "mmd" (rows of least maximum
            mean discrepancy); "lightweight", "leverage" (drawn, with weights); "facility-location",
            "saturated-coverage", "graph-cut", "feature-based", "log-determinant" (submodular); "margin", "entropy",
            "forgetting", "el2n" (the hardest rows for a cheap model); "kmeans", "kmeans-targets" (for real targets)
            and "archetypes" (new examples, mixtures of rows).
        kernel: a kernel or its short name: what likeness means to herding and the submodular methods, and what
            `predict` uses.
        allocation: how `n_support` is spread over the classes: "balanced" or "proportional".
        optimiser: of the submodular methods: "lazy", "naive", "stochastic" or "lazier".
        reg: added to the diagonal of k_ss in `predict`, as a fraction of its mean.
        preprocess: "standardise", "zca" (images), "zca-unit-norm" (images) or "none".
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the examples, in X's own space.
        y_support_: (s,) their class labels.
        weights_: (s,) how many rows of X each counts for, for learners that take weights; `predict`, which all but
            interpolates, does not. Those of rows picked to represent others ("kmedoids", "kmeans-nearest", "kcenter"
            and the submodular methods) and of "kmeans" are the numbers of rows nearest to each; of "archetypes", the
            rows that each accounts for; of other methods, equal parts. They add up to the rows of each class, those of
            "lightweight" and "leverage" in expectation.
        sample_indices_: (s,) which rows of X they are (not for "kmeans" and "archetypes").
        gains_: (s,) what the objective gained by each pick; NaN where there is none.
        objective_: what a submodular objective reached, summed over classes; None for other methods.
        objective_bound_: what no choice with the same budgets exceeds: `objective_ / objective_bound_` is certain.
        query_errors_: how well the weighted rows answer random questions about all rows; see `evaluate.queries`.
        support_set_: all of it as a `SupportSet`.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        method: str = "kmedoids",
        kernel: KernelLike = "fc1",
        allocation: str = "balanced",
        optimiser: str = "lazy",
        reg: float = 1e-6,
        preprocess: str = "standardise",
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.method = method
        self.kernel = kernel
        self.allocation = allocation
        self.optimiser = optimiser
        self.reg = reg
        self.preprocess = preprocess
        self.random_state = random_state


class CoresetRegressor(RegressorMixin, _Coreset):
    """The classic summaries for real targets; see `Coreset`. The budget is `n_support` examples (20 when left out).

    "stratified" takes rows from equal groups by target; centres get the mean target of their rows; the methods that
    need classes are refused.
    """

    def __init__(
        self,
        n_support: int | float | None = None,
        *,
        method: str = "kmedoids",
        kernel: KernelLike = "fc1",
        optimiser: str = "lazy",
        reg: float = 1e-6,
        preprocess: str = "standardise",
        random_state: Any = None,
    ) -> None:
        self.n_support = n_support
        self.method = method
        self.kernel = kernel
        self.optimiser = optimiser
        self.reg = reg
        self.preprocess = preprocess
        self.random_state = random_state
