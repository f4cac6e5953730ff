"""The surrogates of each learner."""

from collections.abc import Sequence

from datastill.distill.surrogates.base import Surrogate
from datastill.distill.surrogates.logistic import Logistic
from datastill.distill.surrogates.margin import LargeMargin
from datastill.distill.surrogates.neighbours import Neighbours
from datastill.distill.surrogates.regression import KernelRegression, Ridge
from datastill.kernels.classical import RBF
from datastill.kernels.dense import FullyConnected

TREES = "trees"
"""The family that has no surrogate: what it needs is that values are distributed as in the data (`distill.bands`)."""
CONVOLUTIONAL = "convolutional"
"""The family whose surrogates are the networks of a pool (`distill.pool`), of images alone."""
OF_ROWS = ("network", "network-scaled", "smooth", "ridge", "logistic", "large-margin", "neighbours")
"""The families with surrogates for rows of numbers."""
EVERY = (*OF_ROWS, TREES, CONVOLUTIONAL)
FAMILIES: dict[str, tuple[str, ...]] = {
    "krr": ("network",),
    "logistic": ("logistic", "ridge"),
    "linear-svm": ("large-margin", "ridge"),
    "rbf-svm": ("smooth", "neighbours"),
    "knn": ("neighbours",),
    "forest": (*OF_ROWS, TREES),
    "boosting": (*OF_ROWS, TREES),
    "mlp": ("network-scaled", TREES),
    "net": ("network", CONVOLUTIONAL),
}
"""Learner, or what stands before the colon of its name -> the families that serve it best, alone."""
REGS = {"network": (3e-3, 3e-3), "network-scaled": (1e-2, 0.1), "smooth": (0.1, 0.5)}
"""Of kernel regressions, for classes and for targets."""
NEAREST = 4.5
"""The logarithm of the temperature of neighbours that predict targets."""
LARGEST_MARGIN = 1.5e8
"""Multiplications up to which large-margin classifiers take part; more classes and examples make a step too dear."""


def families_of(learners: Sequence[str] | None) -> tuple[str, ...]:
    """The families that stand for some learners, by name; for None, and for a learner without one, all."""
    found: dict[str, None] = {}
    for name in learners or ():
        known = FAMILIES.get("krr" if name == "krr:fc1" else "net" if name.startswith("net:") else name)
        if known is None:
            return EVERY
        found.update(dict.fromkeys(known))
    return tuple(name for name in EVERY if name in found) if found else EVERY


def surrogates(
    families: Sequence[str], examples: int, columns: int, classes: int, regression: bool
) -> tuple[Surrogate, ...]:
    """The surrogates of these families, for a set of this size.

    Args:
        families: of `families_of`.
        examples: in the set.
        columns: numbers in a row.
        classes: C, or columns of targets.
        regression: which of the two.
    """
    network, smooth = FullyConnected(depth=1), RBF(length_scale=(columns / 2) ** 0.5)
    exact, fixed = regression, NEAREST if regression else None
    reg = {name: both[regression] for name, both in REGS.items()}
    made: dict[str, tuple[Surrogate, ...]] = {
        "network": (KernelRegression(False, kernel=network, reg=reg["network"], exact=exact),),
        "network-scaled": (KernelRegression(True, kernel=network, reg=reg["network-scaled"], exact=exact),),
        "smooth": (KernelRegression(True, kernel=smooth, reg=reg["smooth"], exact=exact),),
        "ridge": (Ridge(exact=exact),),
        "logistic": () if regression else (Logistic(),),
        "large-margin": () if regression else (LargeMargin(),),
        "neighbours": tuple(Neighbours(scaled=own, regression=regression, fixed=fixed) for own in (True, False)),
    }
    chosen = [member for name in families for member in made.get(name, ())]
    kept = [
        member
        for member in chosen
        if not isinstance(member, LargeMargin) or member.cost(examples, columns, classes) <= LARGEST_MARGIN
    ]
    return tuple(kept or chosen)
