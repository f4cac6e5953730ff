"""The scikit-learn face of the library: `KIP`, `LabelSolve` and their regressors.

Each is a classifier or regressor that predicts by kernel ridge regression on a small support, and a resampler in
imbalanced-learn's sense (`fit_resample`). `fit` validates once; everything below assumes checked data.
"""

import hashlib
import json
import platform
import resource
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from datastill import _validate, krr
from datastill._errors import InputError
from datastill._typing import Array
from datastill.data import sampling
from datastill.data.dataset import Rows, SupportSet, digest
from datastill.distill import fit as distil
from datastill.distill import kip, loop
from datastill.distill.augment import Augmentation
from datastill.distill.objectives import Penalties
from datastill.distill.subspace import Subspace
from datastill.kernels.base import Kernel
from datastill.kernels.names import as_kernels
from datastill.preprocess import labels as label_maps
from datastill.preprocess import space as spaces
from datastill.progress import bar

DEFAULT_IPC = 10
DEFAULT_POINTS = 20
COMPONENTS = 400
WIDE = 600
VALIDATIONS = 40
LEAST_BETWEEN = 20
KernelLike = Kernel | str | Sequence[Kernel | str]


class _Data(NamedTuple):
    """Checked training data, and the same as the kernel sees it."""

    rows: Rows
    y: np.ndarray
    codes: np.ndarray | None
    targets: distil.Targets
    seed: int


class _Support(NamedTuple):
    """Support rows while they are being made."""

    z: np.ndarray
    vectors: np.ndarray
    codes: np.ndarray | None
    indices: np.ndarray | None


class _Distiller(BaseEstimator):
    """What the four estimators share: validate, enter the space of learning, learn, and come back."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the support set.

        Args:
            X: (n, d) array, (n, h, w[, c]) images, or a DataFrame with mixed columns and missing values.
            y: (n,) class labels, or (n,) or (n, k) real targets for the regressors.

        Returns:
            The estimator.

        Raises:
            InputError: for data or settings that cannot be used: what was given, expected, and what to try.
            SolveError: when the loss stops being finite or the kernel matrix cannot be inverted.
        """
        started = time.monotonic()
        data = self._prepare(X, y)
        support = self._learn(data, self._initial_support(data))
        self._finish(data, support)
        self.support_set_ = self._describe(data, time.monotonic() - started)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """KRR on the support, under the first kernel: (n,) labels, or (n,) or (n, k) targets."""
        vectors = self.predict_vectors(X)
        return self.labels_.decode(vectors)

    def predict_vectors(self, X: Any) -> np.ndarray:
        """f(x) = k(x, x_s) k_ss⁻¹ y_s, not yet read as labels: (n, C) scores or (n, k) standardised targets."""
        check_is_fitted(self)
        _check_kind(X, self.X_support_)
        rows, _ = _validate.check_rows(self, X, fitting=False)
        _check_shape(rows, self.X_support_)
        x = self.space_.encode_features(rows)
        return krr.predict(self.kernels_[0], x, self.support_features_, self.alpha_)

    def fit_resample(self, X: Any, y: Any) -> tuple[Rows, np.ndarray]:
        """`fit`, then the support as a smaller dataset (X_support_, y_support_): imbalanced-learn's convention."""
        self.fit(X, y)
        return self.X_support_, self.y_support_

    def __sklearn_tags__(self) -> Tags:
        """Scikit-learn's tags: targets are required."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = isinstance(self, RegressorMixin)
        return tags

    @abstractmethod
    def _learn(self, data: _Data, start: _Support) -> _Support:
        """The learned support: rows, their label vectors, or both."""

    def _prepare(self, X: Any, y: Any) -> _Data:
        rows, y = _validate.check_rows(self, X, y, fitting=True)
        self._check_settings()
        if isinstance(self, ClassifierMixin):
            y = _validate.check_classes(y)
            self.labels_: label_maps.Labels = label_maps.ClassLabels.fit(y)
            self.classes_ = self.labels_.classes
            codes = self.labels_.codes(y)
        else:
            y = _validate.check_targets(y)
            self.labels_, codes = label_maps.RealTargets.fit(y), None
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.space_ = spaces.fit_space(rows, self.preprocess)
        _validate.check_memory(len(rows), self.space_.columns or int(np.prod(rows.shape[1:])))
        x = self.space_.encode_features(rows)
        self.kernels_ = tuple(k.resolve(x) for k in as_kernels(self.kernel or "fc1"))
        return _Data(rows, y, codes, self._as_targets(x, y), seed)

    def targets(self, X: Rows, y: np.ndarray) -> distil.Targets:
        """Rows and labels as a fitted estimator's kernel sees them."""
        return self._as_targets(self.space_.encode_features(X), y)

    def _as_targets(self, x: np.ndarray, y: np.ndarray) -> distil.Targets:
        codes = self.labels_.codes(y) if isinstance(self.labels_, label_maps.ClassLabels) else None
        return distil.Targets(x, self.labels_.encode(y), codes, bool(getattr(self, "class_balanced", False)))

    def _check_settings(self) -> None:
        _validate.check_between("reg", self.reg, 0)
        _validate.check_between("ridge", self.ridge, 0)

    def _budget(self, data: _Data) -> np.ndarray:
        """(C,) support rows for each class; one entry for regression."""
        if data.codes is None:
            wanted = self.n_support or DEFAULT_POINTS
            _validate.check_between("n_support", wanted, 1)
            return np.array([wanted])
        ipc = DEFAULT_IPC if self.ipc is None and self.n_support is None else self.ipc
        return sampling.budget_per_class(np.bincount(data.codes), ipc, self.n_support)

    def _initial_support(self, data: _Data) -> _Support:
        if isinstance(self.init, (SupportSet, tuple, list)):
            return self._given_support(data)
        if self.init not in ("random", "noise"):
            raise InputError(f'Got init={self.init!r}; expected "random", "noise", a SupportSet or a pair (X_s, y_s).')
        codes = np.zeros(len(data.y), int) if data.codes is None else data.codes
        learns_rows = isinstance(self, _KIP)
        indices = sampling.rows_per_class(codes, self._budget(data), data.seed, replace=learns_rows)
        z = self.space_.encode(_take(data.rows, indices))
        if self.init == "noise":
            z = self._noise(z.shape, data.seed)
        own = None if data.codes is None else data.codes[indices]
        return _Support(z, data.targets.y[indices], own, indices if self.init == "random" else None)

    def _given_support(self, data: _Data) -> _Support:
        x_s, y_s = (self.init.x, self.init.y) if isinstance(self.init, SupportSet) else self.init
        y_s = np.asarray(y_s)
        _check_kind(x_s, data.rows)
        _check_shape(x_s, data.rows)
        if len(x_s) != len(y_s) or not len(x_s):
            raise InputError(
                f"Got init with {len(x_s)} rows and {len(y_s)} labels; expected the same number, 1 or more."
            )
        codes = self.labels_.codes(y_s) if isinstance(self.labels_, label_maps.ClassLabels) else None
        return _Support(self.space_.encode(x_s), self.labels_.encode(y_s), codes, None)

    def _noise(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        noise = sampling.rng(seed, 5).standard_normal(shape).astype(np.float32)
        return np.asarray(self.space_.clip(noise), np.float32)

    def problem(self) -> kip.Problem:
        """What a fitted estimator minimises: its kernels, penalties and labels."""
        return kip.Problem(
            kernels=self.kernels_,
            features=self.space_.features,
            labels="solve",
            optimiser=optax.identity(),
            penalties=Penalties(float(self.reg), float(self.ridge)),
        )

    def _finish(self, data: _Data, support: _Support) -> None:
        """Fix the support in the user's own space, and solve the regression on exactly what is handed out."""
        if support.indices is not None:
            self.sample_indices_ = support.indices
            self.X_support_ = _take(data.rows, support.indices)
        else:
            self.X_support_ = self.space_.decode(support.z, in_range=getattr(self, "keep_range", True))
        self.support_features_ = self.space_.encode_features(self.X_support_)
        vectors = np.asarray(support.vectors, np.float64)
        if self._solves_labels():
            problem = self.problem()
            solved = distil.solve_labels(problem, self.support_features_, data.targets, data.seed)
            vectors, self.training_loss_ = solved.y_s, solved.loss
        self.soft_labels_ = vectors
        self.alpha_ = krr.fit(self.kernels_[0], self.support_features_, vectors, self.reg)
        self.y_support_ = self.labels_.decode(vectors) if support.codes is None else self.classes_[support.codes]

    def _solves_labels(self) -> bool:
        return True

    def _settings(self) -> dict[str, Any]:
        """The parameters that decide the result, as JSON values."""
        parameters = self.get_params(deep=False).items()
        return {k: _plain(v) for k, v in parameters if k not in ("checkpoint", "verbose")}

    def _describe(self, data: _Data, seconds: float) -> SupportSet:
        classes = self.classes_ if isinstance(self, ClassifierMixin) else None
        provenance = {
            "method": type(self).__name__,
            "settings": self._settings(),
            "kernels": [repr(k) for k in self.kernels_],
            "seed": data.seed,
            "n_train": len(data.y),
            "digest": {"x": digest(data.rows), "y": digest(data.y)},
            "seconds": round(seconds, 3),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("datastill", "jax", "numpy", "scikit-learn")},
        }
        if classes is not None:
            agreement = np.mean(self.classes_[self.soft_labels_.argmax(axis=1)] == self.y_support_)
            provenance["label_agreement"] = float(agreement)
        return SupportSet(
            x=self.X_support_,
            y=self.y_support_,
            classes=classes,
            soft_labels=self.soft_labels_,
            indices=getattr(self, "sample_indices_", None),
            preprocessing={"space": spaces.state(self.space_), "labels": label_maps.state(self.labels_)},
            provenance=provenance,
        )


class _LabelSolve(_Distiller):
    """Real rows (or given ones) with labels in closed form."""

    def _learn(self, data: _Data, start: _Support) -> _Support:
        return start


class LabelSolve(ClassifierMixin, _LabelSolve):
    """Label Solve: real rows whose label vectors are the best possible for kernel ridge regression.

        y_s = (k_ts k_ss⁻¹)⁺ y_t        (with ridge = 0; least norm)

    Args:
        ipc: support rows per class; 10 when neither budget is given.
        n_support: support rows in all, spread over the classes.
        kernel: a kernel, its short name ("fc1", "fc2-erf-nngp", "rbf", "linear", "poly3"), or several.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        ridge: weight of the squared norm of the predictor, as a fraction of the mean diagonal of k_ss; 0 is Label
            Solve as published.
        init: "random" rows of each class, "noise", a `SupportSet`, or a pair (X_s, y_s).
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
        ipc: int | None = None,
        *,
        n_support: int | None = None,
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
        n_support: int | None = None,
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


class _KIP(_Distiller):
    """Examples learned by gradient descent through kernel ridge regression."""

    def _check_settings(self) -> None:
        super()._check_settings()
        for name, least in (("max_iter", 0), ("learning_rate", 0), ("memory", 1)):
            _validate.check_between(name, getattr(self, name), least)
        if self.batch_size != "auto":
            _validate.check_between("batch_size", self.batch_size, 1)
        _validate.check_between("validation_fraction", self.validation_fraction, 0, 0.9)
        if self.learn_labels not in (True, False, "gradient"):
            raise InputError(f'Got learn_labels={self.learn_labels!r}; expected True, False or "gradient".')

    def _solves_labels(self) -> bool:
        return self.learn_labels is not False

    def problem(self) -> kip.Problem:
        """What a fitted estimator minimises, over what and how."""
        labels = "solve" if self.learn_labels is True else (self.learn_labels or "fixed")
        how = Augmentation.parse(self.augment) if isinstance(self.augment, str) else self.augment
        return kip.Problem(
            kernels=self.kernels_,
            features=self.space_.features,
            labels=str(labels),
            optimiser=kip.optimiser(float(self.learning_rate), int(self.max_iter)),
            project=self.space_.clip if self.keep_range else None,
            penalties=Penalties(float(self.reg), float(self.ridge)),
            augmentation=how or Augmentation(),
            memory=int(self.memory),
        )

    def _learn(self, data: _Data, start: _Support) -> _Support:
        problem = self.problem()
        if problem.augmentation and data.targets.x.ndim < 3:
            raise InputError("Got augment for rows that are not images; expected images; try augment=None.")
        z = start.z
        if self.corruption:
            mask = kip.corruption_mask(z.shape, self.corruption, sampling.rng(data.seed, 6))
            z = np.where(mask == 1, z, self._noise(z.shape, data.seed))
            problem = replace(problem, learned=mask)
        rest, kept_out = sampling.split(data.codes, len(data.y), self.validation_fraction, data.seed)
        targets = data.targets.take(rest)
        held = data.targets.take(kept_out) if len(kept_out) else None
        subspace = self._subspace(targets.x, data.seed)
        if subspace is not None:
            z = subspace.coordinates(np.asarray(self.space_.features(z)))
            problem, targets, held = distil.embed(problem, targets, held, subspace, data.seed)
            if self.keep_range:
                problem = replace(problem, project=lambda c: self.clip_coordinates(subspace, c))
        schedule = loop.Schedule(int(self.max_iter), validation_interval(int(self.max_iter)), self.patience)
        vectors = start.vectors
        if problem.labels == "gradient":
            x_s = np.asarray(problem.features(jnp.asarray(z)))
            vectors = distil.solve_labels(problem, x_s, targets, data.seed).y_s
        score = "accuracy" if isinstance(self, ClassifierMixin) else "R²"
        with bar(f"{type(self).__name__}: {len(z)} examples", schedule.steps, score, bool(self.verbose)) as watch:
            progress = distil.learn(
                problem,
                z,
                vectors,
                targets,
                held,
                distil.rows_per_step(len(z)) if self.batch_size == "auto" else int(self.batch_size),
                schedule,
                data.seed,
                None if self.checkpoint is None else Path(self.checkpoint),
                self._identity(data),
                watch,
            )
        self.n_iter_, self.history_, self.converged_ = progress.step, progress.history, progress.converged
        self.best_iter_ = progress.best_step

        def rows(z: np.ndarray) -> np.ndarray:
            return z if subspace is None else np.asarray(self.space_.from_features(subspace.rows(z)))

        in_range = bool(self.keep_range)
        self.snapshots_ = [(step, self.space_.decode(rows(z), in_range)) for step, z in progress.snapshots]
        z, vectors = progress.best
        z = np.asarray(self.space_.clip(rows(z))) if in_range else rows(z)
        return _Support(z, vectors, start.codes, None)

    def _subspace(self, x: np.ndarray, seed: int) -> Subspace | None:
        """The span to learn in, if there is to be one."""
        d = int(np.prod(x.shape[1:]))
        if not self.learns_in_subspace(d):
            return None
        wanted = COMPONENTS if self.components == "auto" else self.components
        return Subspace.fit(x, min(int(wanted), len(x)), seed)

    def learns_in_subspace(self, d: int) -> bool:
        """Whether rows of d numbers are learned within the span of their principal components."""
        if self.components is None or (self.components == "auto" and d < WIDE):
            return False
        rotatable = not self.corruption and all(k.embedded(d, d) is not None for k in self.kernels_)
        if self.components != "auto":
            _validate.check_between("components", self.components, 1, d)
            if not rotatable:
                raise InputError(
                    f"Got components={self.components} with corruption or a kernel that depends on more than inner "
                    "products; try components=None."
                )
        return rotatable

    def clip_coordinates(self, subspace: Subspace, coordinates: Array) -> Array:
        """Coordinates after one projection of their rows on the data's range."""
        z = self.space_.clip(self.space_.from_features(subspace.rows(coordinates)))
        return self.space_.features(z).reshape(len(z), -1) @ subspace.basis

    def _identity(self, data: _Data) -> str:
        """A digest of the settings and the data: two runs with the same one end in the same bits."""
        parts = (self._settings(), repr(self.kernels_), data.seed, digest(data.rows), digest(data.y))
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


class KIP(ClassifierMixin, _KIP):
    """Kernel Inducing Points: a few learned examples on which kernel ridge regression does as on all the data.

    Minimises ½ mean ‖k_ts k_ss⁻¹ y_s − y_t‖² over the examples x_s (and their label vectors y_s), by Muon with a
    cosine schedule, keeping the step with the least validation loss.

    Args:
        ipc: learned examples per class; 10 when neither budget is given.
        n_support: learned examples in all, spread over the classes.
        kernel: a kernel, its short name ("fc1", "fc2-erf-nngp", "rbf", "linear", "poly3"), or several, of which one
            is drawn for each step.
        learn_labels: True solves the labels in closed form at every step; "gradient" starts from solved labels, learns
            them by gradient beside the examples and solves them again at the end (better where a batch has fewer than
            ten rows for each example); False keeps them at the class of each example.
        max_iter: steps at most.
        batch_size: training rows in a step, all of them when there are no more; "auto" takes 5,000, and at least 20
            for each example.
        learning_rate: root mean square of the first step, in units of the standardised data; falls by a cosine.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        ridge: weight of the squared norm of the predictor when labels are solved, as a fraction of the mean diagonal.
        init: where examples start: "random" rows of each class, "noise", a `SupportSet`, or a pair (X_s, y_s).
        preprocess: "standardise", "zca" (images), "zca-unit-norm" (images) or "none".
        components: learn within the span of this many principal components, where the kernel costs as much less; None
            for all coordinates; "auto" takes 400 for rows of 600 numbers or more. The result is judged, and its labels
            solved, under the full kernel.
        keep_range: whether examples stay within the data's range, and in its dtype. Without, they are floats.
        augment: of training images: an `Augmentation` or its text form, such as "flip,shift=2"; None for none.
        corruption: ρ, the fraction of every example's coordinates that is noise and never learned.
        class_balanced: whether every class counts the same, rather than every row.
        validation_fraction: of the rows, held out of learning to judge the steps; 0 keeps the last step.
        patience: validations (every max_iter/40 steps, and at least 20) without improvement before stopping; None
            never stops early.
        memory: bytes for the working arrays of one tile of targets.
        checkpoint: file to resume from and to keep up to date; an interrupted fit that is started again ends in the
            same bits as one that was not.
        verbose: whether to draw a progress bar, when standard error is a terminal.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the learned examples, in X's own space.
        y_support_: (s,) the class each was learned for.
        soft_labels_: (s, C) their label vectors; columns in the order of `classes_`.
        n_iter_: steps done.
        best_iter_: the step that was kept.
        converged_: whether patience ran out.
        history_: records (step, loss, validation_loss, validation_score).
        snapshots_: pairs (step, examples) from start to end.
        support_set_: all of it as a `SupportSet`.

    Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050.
    """

    def __init__(
        self,
        ipc: int | None = None,
        *,
        n_support: int | None = None,
        kernel: KernelLike = "fc1",
        learn_labels: bool | str = True,
        max_iter: int = 1000,
        batch_size: int | str = "auto",
        learning_rate: float = 0.1,
        reg: float = 1e-6,
        ridge: float = 1e-6,
        init: Any = "random",
        preprocess: str = "standardise",
        components: int | str | None = "auto",
        keep_range: bool = True,
        augment: Augmentation | str | None = None,
        corruption: float = 0.0,
        class_balanced: bool = False,
        validation_fraction: float = 0.1,
        patience: int | None = 10,
        memory: float = 2**30,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.kernel = kernel
        self.learn_labels = learn_labels
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.reg = reg
        self.ridge = ridge
        self.init = init
        self.preprocess = preprocess
        self.components = components
        self.keep_range = keep_range
        self.augment = augment
        self.corruption = corruption
        self.class_balanced = class_balanced
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.memory = memory
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state


class KIPRegressor(RegressorMixin, _KIP):
    """Kernel Inducing Points for real targets, one or several columns; see `KIP`.

    The budget is `n_support` examples (20 when left out). `y_support_` are target values in their own units.
    """

    def __init__(
        self,
        n_support: int | None = None,
        *,
        kernel: KernelLike = "fc1",
        learn_labels: bool | str = True,
        max_iter: int = 1000,
        batch_size: int | str = "auto",
        learning_rate: float = 0.1,
        reg: float = 1e-6,
        ridge: float = 1e-6,
        init: Any = "random",
        preprocess: str = "standardise",
        components: int | str | None = "auto",
        keep_range: bool = True,
        augment: Augmentation | str | None = None,
        corruption: float = 0.0,
        validation_fraction: float = 0.1,
        patience: int | None = 10,
        memory: float = 2**30,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_support = n_support
        self.kernel = kernel
        self.learn_labels = learn_labels
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.reg = reg
        self.ridge = ridge
        self.init = init
        self.preprocess = preprocess
        self.components = components
        self.keep_range = keep_range
        self.augment = augment
        self.corruption = corruption
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.memory = memory
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state


def validation_interval(max_iter: int) -> int:
    """Steps between validations: a fortieth of the run, but at least 20."""
    return max(LEAST_BETWEEN, max_iter // VALIDATIONS)


def _take(rows: Rows, indices: np.ndarray) -> Rows:
    return rows.iloc[indices].reset_index(drop=True) if isinstance(rows, pd.DataFrame) else rows[indices]


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
        return {"support_set": digest(value.x)}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, pd.DataFrame)):
        return {"digest": digest(value)}
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
