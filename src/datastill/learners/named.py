"""Learners by name, with one setting for all sets and sizes, so that no set is favoured by tuning.

"logistic", "linear-svm", "rbf-svm", "knn", "forest", "boosting" and "mlp" are scikit-learn's, nearly at their defaults,
behind a standardiser where scale matters. Another estimator is named by its import path, "package.module:Class", which
is code: only a user may name it, never a file. Modules of the current folder can be named if none of that name is
installed.
"net:dc" is a finite network, trained as the preset `dc` of `presets.PRESETS` says; ":plain" after it leaves
augmentation out, ":augmented" takes some where the preset has none.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from datastill._errors import InputError
from datastill.gram.names import as_kernels
from datastill.learners.kernel_ridge import KernelRidge
from datastill.learners.neural import Network, need_flax
from datastill.learners.presets import PRESETS

MLP_SETTINGS = {"hidden_layer_sizes": (128,), "max_iter": 1000}
LINEAR_TOLERANCE = 0.1
"""That of liblinear for its dual solver; scikit-learn's of 1e-4 takes many times as long and is no more accurate."""
LEAST_LEAF = 1
"""Rows in a leaf of boosted trees: the default of 20 would leave sets of fewer rows without a single split."""

AUGMENT = {"": None, "plain": False, "augmented": True}
"""Last part of a network's name -> whether it is augmented."""

Maker = Callable[[int], Any]

LEARNERS: dict[str, tuple[Maker, Maker]] = {
    "logistic": (lambda seed: _scaled(LogisticRegression(max_iter=1000)), lambda seed: _scaled(Ridge())),
    "linear-svm": (
        lambda seed: _scaled(LinearSVC(random_state=seed, max_iter=10_000, tol=LINEAR_TOLERANCE)),
        lambda seed: _scaled(LinearSVR(random_state=seed, max_iter=10_000, tol=LINEAR_TOLERANCE)),
    ),
    "rbf-svm": (lambda seed: _scaled(SVC()), lambda seed: _scaled(SVR())),
    "knn": (lambda seed: _scaled(KNeighborsClassifier(1)), lambda seed: _scaled(KNeighborsRegressor(1))),
    "forest": (
        lambda seed: RandomForestClassifier(random_state=seed),
        lambda seed: RandomForestRegressor(random_state=seed),
    ),
    "boosting": (
        lambda seed: HistGradientBoostingClassifier(random_state=seed, min_samples_leaf=LEAST_LEAF),
        lambda seed: HistGradientBoostingRegressor(random_state=seed, min_samples_leaf=LEAST_LEAF),
    ),
    "mlp": (
        lambda seed: _scaled(MLPClassifier(random_state=seed, **MLP_SETTINGS)),
        lambda seed: _scaled(MLPRegressor(random_state=seed, **MLP_SETTINGS)),
    ),
}
"""Name -> makers of a classifier and a regressor from a seed."""


def is_import_path(name: str) -> bool:
    """Return whether the name is "package.module:Class", of code that is imported and run when it is asked for."""
    return ":" in name and not name.startswith(("krr:", "net:"))


def named_learner(name: str, regression: bool = False, seed: int = 0) -> Any:
    """A fresh, unfitted estimator.

    Args:
        name: a key of LEARNERS; "krr" or, with the short name of a kernel, "krr:rbf"; "net:PRESET[:plain|:augmented]"
            with a key of `presets.PRESETS`; or "package.module:Class" of a scikit-learn estimator, which is made with
            its defaults.
        regression: whether a regressor is wanted.
        seed: given to every learner that is random.

    Raises:
        InputError: for an unknown name, an import that fails, an estimator of the other kind, or a network where flax
            is not installed.
    """
    if name == "net" or name.startswith("net:"):
        kind, augment = _network(name)
        need_flax()
        return Network(kind, augment, seed, regression)
    if name == "krr" or name.startswith("krr:"):
        return KernelRidge(as_kernels(name.removeprefix("krr").removeprefix(":") or "fc1")[0], regression=regression)
    if name in LEARNERS:
        return LEARNERS[name][regression](seed)
    if ":" not in name:
        raise InputError(
            f"Got the learner {name!r}; expected one of krr, {', '.join(LEARNERS)}, net:PRESET with one of "
            f"{', '.join(PRESETS)}, or an import path such as sklearn.naive_bayes:GaussianNB."
        )
    estimator = _imported(name, seed)
    wanted, fits = ("regressor", is_regressor) if regression else ("classifier", is_classifier)
    if not fits(estimator):
        raise InputError(f"Got the learner {name!r}, which is no {wanted}; expected a {wanted} for this task.")
    return estimator


def check_learners(names: Iterable[str], task: str) -> None:
    """Raise an InputError for a learner that `named_learner` refuses; of a task "auto", for both tasks."""
    for name in names:
        try:
            named_learner(name, task == "regression")
        except InputError:
            if task != "auto":
                raise
            named_learner(name, True)


def both_augmentations(name: str) -> tuple[str, str]:
    """The names of a network without and with augmentation, from any of its names; for scores that hold for both."""
    kind, _ = _network(name)
    return f"net:{kind}:plain", f"net:{kind}:augmented"


def takes_weights(estimator: Any) -> bool:
    """Return whether its `fit` takes sample weights; for a pipeline, that of its last step."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator  # a network has `steps`, too
    return "sample_weight" in inspect.signature(last.fit).parameters


def identity(name: str) -> str:
    """The name; for an import path with a digest of its module's file, so that an edited learner is another one."""
    if not is_import_path(name):
        return name
    source = getattr(importlib.import_module(name.partition(":")[0]), "__file__", None)
    return name if source is None else f"{name} {hashlib.sha256(Path(source).read_bytes()).hexdigest()}"


def is_random(estimator: Any) -> bool:
    """Return whether its result depends on its seed."""
    seeds = ("random_state", "seed")
    return any(v is not None and k.split("__")[-1] in seeds for k, v in estimator.get_params().items())


def _network(name: str) -> tuple[str, bool | None]:
    """The preset and the augmentation that "net:PRESET[:plain|:augmented]" asks for."""
    head, _, rest = name.partition(":")
    kind, _, how = rest.partition(":")
    if head != "net" or kind not in PRESETS or how not in AUGMENT or name.endswith(":"):
        raise InputError(
            f"Got the learner {name!r}; expected net:PRESET, with :plain or :augmented after it or not, and one of "
            f"{', '.join(PRESETS)} as the preset."
        )
    return kind, AUGMENT[how]


def _scaled(estimator: BaseEstimator) -> Any:
    return make_pipeline(StandardScaler(), estimator)


def _imported(path: str, seed: int) -> Any:
    module, _, name = path.partition(":")
    try:
        if importlib.util.find_spec(module.partition(".")[0]) is None:  # nothing that is installed
            sys.path.append(str(Path.cwd()))
        kind = getattr(importlib.import_module(module), name)
        estimator = kind()
    except (Exception, SystemExit) as error:  # a stranger's module may do anything
        raise InputError(
            f"Got the learner {path!r}, which cannot be made ({error}); expected package.module:Class of an estimator "
            "that needs no arguments; try importing it in Python."
        ) from None
    if not isinstance(estimator, BaseEstimator):
        raise InputError(f"Got the learner {path!r}; expected a scikit-learn estimator, with fit and predict.")
    return estimator.set_params(random_state=seed) if "random_state" in estimator.get_params() else estimator
