"""Label Solve as estimators: `LabelSolve` for classes, `LabelSolveRegressor` for real targets."""

from typing import Any

from sklearn.base import ClassifierMixin, RegressorMixin

from datastill.data.sampling import Budget
from datastill.estimators.base import Data, Distiller, Support
from datastill.gram.names import KernelLike


class _LabelSolve(Distiller):
    """Real rows (or given ones) with labels in closed form."""

    _selects_rows = True

    def _learn(self, data: Data, start: Support) -> Support:
        return start


class LabelSolve(ClassifierMixin, _LabelSolve):
    """Label Solve: real rows whose label vectors are the best possible for kernel ridge regression.

        y_s = (k_ts k_ss⁻¹)⁺ y_t        (with ridge = 0; least norm)

    Args:
        ipc: support rows per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: support rows in all, a number or a fraction of the rows, spread over the classes.
        kernel: a kernel, its short name ("fc1", "fc2-erf-nngp", "rbf", "linear", "poly3"), or several.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        ridge: weight of the squared norm of the predictor, as a fraction of the mean diagonal of k_ss; 0 is Label
            Solve as published.
        init: "random" rows of each class, "noise", the name of a selector of `Coreset`, a
            `SupportSet`, or a pair (X_s, y_s).
        preprocess: "standardise", "zca" (images), "zca-unit-norm" (images) or "none".
        class_balanced: whether every class counts the same, rather than every row.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the support rows, in X's own space.
        y_support_: (s,) their class labels.
        soft_labels_: (s, C) the solved label vectors; columns in the order of `classes_`.
        sample_indices_: (s,) which rows of X they are (only when rows were selected).
        training_loss_: ½ mean ‖f(x_t) − y_t‖² over the training rows.
        support_set_: all of it as a `SupportSet`.

    Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050; Nguyen et al. (2021), arXiv:2107.13034, eq. (2).
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        kernel: KernelLike = "fc1",
        reg: float = 1e-6,
        ridge: float = 0.0,
        init: Any = "random",
        preprocess: str = "standardise",
        class_balanced: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.kernel = kernel
        self.reg = reg
        self.ridge = ridge
        self.init = init
        self.preprocess = preprocess
        self.class_balanced = class_balanced
        self.random_state = random_state


class LabelSolveRegressor(RegressorMixin, _LabelSolve):
    """Label Solve for real targets; see `LabelSolve`. The budget is `n_support` rows (20 when left out)."""

    def __init__(
        self,
        n_support: int | float | None = None,
        *,
        kernel: KernelLike = "fc1",
        reg: float = 1e-6,
        ridge: float = 0.0,
        init: Any = "random",
        preprocess: str = "standardise",
        random_state: Any = None,
    ) -> None:
        self.n_support = n_support
        self.kernel = kernel
        self.reg = reg
        self.ridge = ridge
        self.init = init
        self.preprocess = preprocess
        self.random_state = random_state
