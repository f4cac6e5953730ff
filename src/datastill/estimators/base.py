"""The base of all estimators: check, encode, learn, decode, describe.

Each is a classifier or regressor that predicts by kernel ridge regression on a small support, and a resampler in
imbalanced-learn's sense (`fit_resample`). `fit` validates once; everything below assumes checked data.
"""

import hashlib
import json
import time
import warnings
from abc import abstractmethod
from typing import Any, NamedTuple, Self

import jax
import numpy as np
import optax
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from datastill import _memory, _validate, krr
from datastill._errors import DatastillWarning, InputError, SolveError
from datastill.data import sampling
from datastill.data.dataset import Rows, SupportSet, digest, take, versions
from datastill.data.labels import check_classes, check_targets
from datastill.distill import kernel_objective, kip, loop, moments_objective
from datastill.distill.label_solve import LabelSolution
from datastill.distill.moments_objective import Sums
from datastill.distill.objectives import Penalties
from datastill.gram.names import as_kernels
from datastill.preprocess import encoder as encoders
from datastill.preprocess import labels as label_maps
from datastill.preprocess.tables import check_columns
from datastill.select.greedy import OPTIMISERS
from datastill.select.methods import METHODS, Candidates, Chosen, choose

DEFAULT_IPC = 10
DEFAULT_POINTS = 20
CHOICES = {
    "method": METHODS,
    "preprocess": encoders.PREPROCESSING,
    "allocation": ("balanced", "proportional"),
    "optimiser": OPTIMISERS,
}
"""Settings that name one of several ways, by parameter."""


class Data(NamedTuple):
    """Checked training data, and the same as the kernel sees it.

    Attributes:
        rows: in the user's own space; a sample of them when learning from moments.
        y: their labels or targets.
        codes: the numbers of their classes.
        targets: the rows as the kernel sees them.
        seed: of everything random.
        origin: how many rows there are in all, and a digest of them.
        sums: what stands for all rows under the kernel of a feature map; None where the rows themselves are used.
        in_all: rows of each class (in regression, one number) of the whole data; None where `rows` are all.
    """

    rows: Rows
    y: np.ndarray
    codes: np.ndarray | None
    targets: kernel_objective.Targets
    seed: int
    origin: dict[str, Any]
    sums: Sums | None = None
    in_all: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class (in regression, one number) of the whole data."""
        return sampling.class_counts(self.codes, len(self.y)) if self.in_all is None else self.in_all


class Support(NamedTuple):
    """Support rows while they are being made."""

    z: np.ndarray
    vectors: np.ndarray
    codes: np.ndarray | None
    indices: np.ndarray | None
    chosen: Chosen | None = None


class Distiller(BaseEstimator):
    """A fitted support set, and kernel ridge regression on it.

    Attributes:
        sums_: what stood for the training rows, under the kernel of a feature map; else None.
    """

    _selects_rows = False
    corruption: float = 0.0
    _starts: tuple[str, ...] = ("random", "noise")
    """Starts that no selector chooses."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the support set.

        Args:
            X: (n, d) array, (n, h, w[, c]) images, or a DataFrame with mixed columns and missing values. Sparse rows
                are made dense, and so are the examples learned from them.
            y: (n,) class labels, or (n,) or (n, k) real targets for the regressors.

        Returns:
            The estimator.

        Raises:
            InputError: for data or settings that cannot be used: what was given, expected, and what to try.
            SolveError: when the loss stops being finite or the kernel matrix cannot be inverted.
        """
        started = time.monotonic()
        try:
            data = self._prepare(X, y)
            self._warn_of(self._short(data.counts))
            support = self._learn(data, self._initial_support(data))
            self._finish(data, support)
        except jax.errors.JaxRuntimeError as error:
            raise SolveError(
                f"Got an error of the device: {str(error).splitlines()[0]}; a checkpoint, where there is one, has the "
                "steps that were made; try again with smaller batches, tiles (memory), networks (width) or images."
            ) from error
        self.support_set_, self.sums_ = self._describe(data, time.monotonic() - started), data.sums
        return self

    def predict(self, X: Any) -> np.ndarray:
        """KRR on the support, under the first kernel: (n,) labels, or (n,) or (n, k) targets."""
        vectors = self.predict_vectors(X)
        return self.labels_.decode(vectors)

    def predict_vectors(self, X: Any) -> np.ndarray:
        """f(x) = k(x, x_s) k_ss⁻¹ y_s, not yet read as labels: (n, C) scores or (n, k) standardised targets."""
        check_is_fitted(self)
        _check_kind(X, self.X_support_)
        if getattr(X, "ndim", 0) > 2:
            _check_shape(np.asarray(X), self.X_support_)
        rows, _ = _validate.check_rows(self, X, fitting=False)
        _check_shape(rows, self.X_support_)
        x = self.space_.encode_features(rows)
        return krr.predict(self.kernels_[0], x, self.support_features_, self._coefficients())

    def fit_resample(self, X: Any, y: Any) -> tuple[Rows, np.ndarray]:
        """`fit`, then the support as a smaller dataset (X_support_, y_support_): imbalanced-learn's convention."""
        self.fit(X, y)
        return self.X_support_, self.y_support_

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: all but the sums, which are large and can be computed again."""
        return super().__getstate__() | ({"sums_": None} if hasattr(self, "sums_") else {})

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: targets are required."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = isinstance(self, RegressorMixin)
        return tags

    @abstractmethod
    def _learn(self, data: Data, start: Support) -> Support:
        """The learned support: rows, their label vectors, or both."""

    def _check(self, X: Any, y: Any) -> tuple[Rows, np.ndarray, np.ndarray | None]:
        """Checked rows, labels or targets, and the numbers of their classes."""
        rows, y = _validate.check_rows(self, X, y, fitting=True)
        self.check_settings()
        if isinstance(rows, pd.DataFrame):
            check_columns(rows)
        if not isinstance(self, ClassifierMixin):
            y = check_targets(y)
            self.labels_: label_maps.Labels = label_maps.TargetScaler.fit(y)
            return rows, y, None
        y = check_classes(y)
        self.labels_ = label_maps.ClassLabels.fit(y)
        self.classes_ = self.labels_.classes
        return rows, y, self.labels_.codes(y)

    def _prepare(self, X: Any, y: Any) -> Data:
        rows, y, codes = self._check(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.space_ = encoders.fit_encoder(rows, self._preprocessing(rows))
        _validate.check_memory(len(rows), self.space_.columns or int(np.prod(rows.shape[1:])))
        x = self.space_.encode_features(rows)
        self.kernels_ = tuple(k.resolve(x) for k in as_kernels(self.kernel or "fc1"))
        origin = {"n_train": len(y), "digest": {"x": digest(rows), "y": digest(y)}}
        return Data(rows, y, codes, self._as_targets(x, y), seed, origin)

    def _preprocessing(self, rows: Rows) -> str:
        return str(self.preprocess)

    def targets(self, X: Rows, y: np.ndarray) -> kernel_objective.Targets:
        """Rows and labels as a fitted estimator's kernel sees them."""
        return self._as_targets(self.space_.encode_features(X), y)

    def _as_targets(self, x: np.ndarray, y: np.ndarray) -> kernel_objective.Targets:
        codes = self.labels_.codes(y) if isinstance(self.labels_, label_maps.ClassLabels) else None
        return kernel_objective.Targets(x, self.labels_.encode(y), codes, bool(getattr(self, "class_balanced", False)))

    def check_settings(self) -> None:
        """Raise an InputError for a setting that no data could make usable; `fit` and the command line check first."""
        given = self.get_params(deep=False)
        for name in {"reg", "ridge"} & set(given):
            _validate.check_between(name, given[name], 0)
        if given.get("patience") is not None:
            _validate.check_between("patience", given["patience"], 1)
        if given.get("kernel") is not None:
            as_kernels(given["kernel"])
        init = given.get("init", "random")
        starts = dict.fromkeys((*self._starts, *METHODS))
        if isinstance(init, str) and init not in starts:
            raise InputError(
                f"Got init={init!r}; expected a SupportSet, a pair (X_s, y_s), or one of {', '.join(starts)}."
            )
        for name, choices in CHOICES.items():
            if given.get(name) is not None and given[name] not in choices:
                raise InputError(f"Got {name}={given[name]!r}; expected one of {', '.join(choices)}.")
        sampling.check_budgets(given.get("ipc"), given.get("n_support"))

    def _asked(self, counts: np.ndarray) -> np.ndarray:
        """Read the budget, (C,) examples for each class, from its rows; one entry for regression.

        Without a budget they are DEFAULT_IPC for each class (DEFAULT_POINTS in regression), or half the rows if those
        are fewer.
        """
        half = np.maximum(counts // 2, 1)
        if not isinstance(self, ClassifierMixin):
            if self.n_support is None:
                return np.minimum(DEFAULT_POINTS, half)
            return np.array([sampling.as_count("n_support", self.n_support, int(counts.sum()))])
        if self.ipc is None and self.n_support is None:
            return np.minimum(DEFAULT_IPC, np.where(counts > 0, half, 0))
        proportional = getattr(self, "allocation", "balanced") == "proportional"
        return sampling.budget_per_class(counts, self.ipc, self.n_support, self.classes_, proportional)

    def _budget(self, counts: np.ndarray) -> np.ndarray:
        """Cut the budget of learned examples to the rows of each class; selectors refuse what they cannot choose."""
        asked = self._asked(counts)
        return asked if self._selects_rows else sampling.below_rows(asked, counts)

    def _short(self, counts: np.ndarray) -> dict[str, int]:
        """Name the classes that get fewer examples than were asked for, and how many they get."""
        asked, given = self._asked(counts), self._budget(counts)
        cut = np.flatnonzero(given < asked)
        return {str(self.classes_[c]): int(given[c]) for c in cut} if isinstance(self, ClassifierMixin) else {}

    def _warn_of(self, short: dict[str, int]) -> None:
        if short:
            classes = ", ".join(f"{label} ({rows})" for label, rows in short.items())
            warnings.warn(
                f"Some classes have fewer rows than examples were asked for, and get fewer examples: {classes}.",
                DatastillWarning,
                stacklevel=3,
            )

    def _initial_support(self, data: Data) -> Support:
        if isinstance(self.init, (SupportSet, tuple, list)):
            return self._given_support(data)
        if self.init in METHODS and self.init != "random":
            return self._choose(self.init, data)
        codes = np.zeros(len(data.y), int) if data.codes is None else data.codes
        budget = self._budget(data.counts)
        indices = sampling.rows_per_class(codes, budget, data.seed, replace=not self._selects_rows)
        z = self.space_.encode(take(data.rows, indices))
        if self.init == "noise":
            z = self._noise(z.shape, data.seed)
        own = None if data.codes is None else data.codes[indices]
        return Support(z, data.targets.y[indices], own, indices if self.init == "random" else None)

    def _choose(self, method: str, data: Data, optimiser: str = "lazy") -> Support:
        """Return the selection of a selector."""
        targets, budget = data.targets, self._budget(data.counts)
        chosen = choose(
            method, Candidates(targets.x, targets.y, data.codes, self.kernels_[0]), budget, data.seed, optimiser
        )
        codes = None if data.codes is None else np.repeat(np.arange(len(budget)), budget)
        if chosen.indices is not None:
            z = self.space_.encode(take(data.rows, chosen.indices))
            return Support(z, targets.y[chosen.indices], codes, chosen.indices, chosen)
        every = self.space_.encode(data.rows)
        z = (chosen.mixture @ every.reshape(len(every), -1)).reshape(-1, *every.shape[1:]).astype(np.float32)
        return Support(z, np.asarray(chosen.mixture @ targets.y, np.float32), codes, None, chosen)

    def _given_support(self, data: Data) -> Support:
        x_s, y_s = (self.init.x, self.init.y) if isinstance(self.init, SupportSet) else self.init
        if not isinstance(x_s, pd.DataFrame):
            x_s = np.asarray(x_s)
            _validate.check_finite(x_s, "init")
        y_s = np.asarray(y_s)
        _check_kind(x_s, data.rows)
        _check_shape(x_s, data.rows)
        if len(x_s) != len(y_s) or not len(x_s):
            raise InputError(
                f"Got init with {len(x_s)} rows and {len(y_s)} labels; expected the same number, 1 or more."
            )
        return self._start_at(x_s, y_s)

    def _start_at(self, x_s: Rows, y_s: np.ndarray) -> Support:
        codes = self.labels_.codes(y_s) if isinstance(self.labels_, label_maps.ClassLabels) else None
        return Support(self.space_.encode(x_s), self.labels_.encode(y_s), codes, None)

    def _mask(self, shape: tuple[int, ...], seed: int) -> np.ndarray | None:
        """1 where a coordinate is learned and 0 where it is noise; None where all are learned."""
        return kip.corruption_mask(shape, self.corruption, sampling.rng(seed, 6)) if self.corruption else None

    def _corrupted(self, z: np.ndarray, seed: int) -> np.ndarray:
        """The same with noise where nothing is learned."""
        mask = self._mask(z.shape, seed)
        return z if mask is None else np.where(mask == 1, z, self._noise(z.shape, seed))

    def _noise(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        noise = sampling.rng(seed, 5).standard_normal(shape).astype(np.float32)
        return np.asarray(self.space_.clip(noise), np.float32)

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises: its kernels, penalties and labels."""
        return kip.Problem(
            kernels=self.kernels_,
            features=self.space_.features,
            labels="solve",
            optimiser=optax.identity(),
            penalties=Penalties(float(self.reg), float(getattr(self, "ridge", 0))),
        )

    def _finish(self, data: Data, support: Support) -> None:
        """Fix the support in the user's own space, and solve the regression on exactly what is handed out."""
        chosen = support.chosen
        self.weights_ = None if chosen is None or self._solves_labels() else chosen.weights
        if support.indices is not None:
            self.sample_indices_ = support.indices
            self.X_support_ = take(data.rows, support.indices)
        else:
            forget(self, "sample_indices_")
            self.X_support_ = self.space_.decode(support.z, in_range=getattr(self, "keep_range", True))
        self.support_features_ = self.space_.encode_features(self.X_support_)
        vectors = np.asarray(support.vectors, np.float64)
        if self._solves_labels():
            solved = self._solve(data, self.support_features_)
            vectors, self.training_loss_ = solved.y_s, solved.loss
        self.soft_labels_ = vectors
        self._regress()
        self.y_support_ = self.labels_.decode(vectors) if support.codes is None else self.classes_[support.codes]

    def _regress(self) -> None:
        """Solve for the coefficients of `predict`."""
        self.alpha_ = krr.fit(self.kernels_[0], self.support_features_, self.soft_labels_, self.reg)

    def _coefficients(self) -> np.ndarray:
        """(s, c) k_ss⁻¹ y_s."""
        return self.alpha_

    def _solves_labels(self) -> bool:
        return True

    def _solve(self, data: Data, x_s: np.ndarray) -> LabelSolution:
        """The labels of these rows, as the kernel sees them, that predict all rows best."""
        problem = self.problem()
        if data.sums is not None:
            return moments_objective.solve_labels(data.sums, x_s, problem.penalties)
        return kernel_objective.solve_labels(
            problem, x_s, data.targets, data.seed, self._label_rows(data.targets, len(x_s))
        )

    def _label_rows(self, targets: kernel_objective.Targets, examples: int) -> int:
        """Targets that the label vectors of so many examples are solved on."""
        return len(targets.x)

    def _settings(self) -> dict[str, Any]:
        """The parameters that decide the result, as JSON values."""
        parameters = self.get_params(deep=False).items()
        return {k: _plain(v) for k, v in parameters if k not in ("checkpoint", "verbose")}

    def _identity(self, data: Data) -> str:
        """A digest of the settings and the data: two runs with the same one end in the same bits."""
        settings = {k: v for k, v in self._settings().items() if k != "random_state"}  # which data.seed stands for
        parts = (settings, repr(self.kernels_), data.seed, data.origin)
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()

    def _record(self, progress: loop.Progress) -> None:
        """Copy the records of the loop to attributes."""
        self.n_iter_, self.history_, self.converged_ = progress.step, progress.history, progress.converged
        self.best_iter_ = progress.best_step

    def _describe(self, data: Data, seconds: float) -> SupportSet:
        classes = self.classes_ if isinstance(self, ClassifierMixin) else None
        provenance = {
            "method": type(self).__name__,
            "settings": self._settings(),
            "kernels": [repr(k) for k in self.kernels_],
            "seed": data.seed,
            **data.origin,
            "seconds": round(seconds, 3),
            "peak_memory_bytes": _memory.peak_memory(),
            "versions": versions(),
        }
        if short := self._short(data.counts):
            provenance["short"] = short
        if classes is not None:
            agreement = np.mean(self.classes_[self.soft_labels_.argmax(axis=1)] == self.y_support_)
            provenance["label_agreement"] = float(agreement)
        return SupportSet(
            x=self.X_support_,
            y=self.y_support_,
            classes=classes,
            soft_labels=self.soft_labels_,
            weights=self.weights_,
            indices=getattr(self, "sample_indices_", None),
            preprocessing={"space": encoders.state(self.space_), "labels": label_maps.state(self.labels_)},
            provenance=provenance,
        )


def forget(estimator: Distiller, *names: str) -> None:
    """Leave nothing of an earlier fit under these names."""
    for name in names:
        if hasattr(estimator, name):
            delattr(estimator, name)


def _check_kind(rows: Any, like: Rows) -> None:
    """InputError unless both are tables, or neither is."""
    if isinstance(like, pd.DataFrame) != isinstance(rows, pd.DataFrame):
        raise InputError(
            f"Got a {type(rows).__name__}; expected a {type(like).__name__}, as in fit; try converting it."
        )


def _check_shape(rows: Rows, like: Rows) -> None:
    """InputError unless single rows are of one shape."""
    if rows.shape[1:] != like.shape[1:]:
        raise InputError(
            f"Got rows of shape {rows.shape[1:]}; expected {like.shape[1:]}: X has {rows.shape[1]} features, but "
            f"fit had {like.shape[1]} features as input."
        )


def _plain(value: Any) -> Any:
    """A setting as a JSON value."""
    if isinstance(value, SupportSet):
        return {"support_set": digest(value.x), "labels": digest(value.y)}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, pd.DataFrame)):
        return {"digest": digest(value)}
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
