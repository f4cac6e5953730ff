"""Kernel Inducing Points as estimators: `KIP` for classes, `KIPRegressor` for real targets."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.utils import check_random_state

from datastill import _validate
from datastill._errors import InputError
from datastill._typing import Array
from datastill.data import sampling
from datastill.data.sampling import Budget
from datastill.distill import kernel_objective, kip, loop, moments_objective
from datastill.distill.from_moments import check_support
from datastill.distill.objectives import Penalties
from datastill.distill.subspace import Subspace
from datastill.estimators.base import Data, Distiller, Support, forget
from datastill.gram.features import FeatureKernel
from datastill.gram.names import KernelLike
from datastill.kernels.base import all_of
from datastill.moments import Collected, Sample
from datastill.preprocess import labels as label_maps
from datastill.preprocess import scales
from datastill.preprocess.augment import Augmentation
from datastill.progress import bar

COMPONENTS = 400
WIDE = 600
APART = 0.1  # standard deviations
VALIDATIONS = 40
LEAST_BETWEEN = 20
COARSER = 2
"""Times as many targets in a step at half the size, which then costs an eighth, and times the learning rate."""

MANY = 200
"""Examples from which on L-BFGS learns more from moments than Adam (docs/decisions/0028-l-bfgs-from-moments.md)."""


class _KIP(Distiller):
    """Examples learned by gradient descent through kernel ridge regression."""

    _starts = ("random", "noise", "coarse")

    def check_settings(self) -> None:
        """See `Distiller.check_settings`."""
        super().check_settings()
        for name, least in (("max_iter", 0), ("learning_rate", 0), ("memory", 1)):
            _validate.check_between(name, getattr(self, name), least)
        if self.batch_size != "auto":
            _validate.check_between("batch_size", self.batch_size, 1)
        _validate.check_between("validation_fraction", self.validation_fraction, 0, 0.9)
        _validate.check_between("corruption", self.corruption, 0, 1)
        if isinstance(self.augment, str):
            Augmentation.parse(self.augment)
        if self.learn_labels not in (True, False, "gradient"):
            raise InputError(f'Got learn_labels={self.learn_labels!r}; expected True, False or "gradient".')

    def _solves_labels(self) -> bool:
        return self.learn_labels is not False

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises."""
        labels = "solve" if self.learn_labels is True else (self.learn_labels or "fixed")
        how = Augmentation.parse(self.augment) if isinstance(self.augment, str) else self.augment
        return kip.Problem(
            kernels=self.kernels_,
            features=lambda z: self.space_.features(self.space_.straight_through_round(z)),
            labels=str(labels),
            optimiser=kip.optimiser(float(self.learning_rate), int(self.max_iter)),
            project=self.space_.clip if self.keep_range else kip.anywhere,
            penalties=Penalties(float(self.reg), float(self.ridge)),
            augmentation=how or Augmentation(),
            memory=int(self.memory),
        )

    def fit_moments(self, collected: Collected) -> Self:
        """Learn the support set from what a pass over the data left; the data can be gone.

        Examples start at a sample of rows that the pass kept, and at noise where it kept none. Otherwise as `fit` with
        the pass's feature map as the kernel; `kernel`, `preprocess`, `batch_size`, `augment` and `components` are not
        used. The rows that the pass held out judge the steps; with validation_fraction=0 they are learned from as well.

        Args:
            collected: of `moments.collect_all`, or `moments.load`.

        Raises:
            InputError: for moments of classes where targets are expected or the reverse, settings that cannot be used,
                or more examples than the moments can tell apart.
            SolveError: when the loss stops being finite or the kernel matrix cannot be inverted.
        """
        started = time.monotonic()
        self.check_settings()
        recipe = collected.recipe
        self.labels_, self.space_ = recipe.source.labels, recipe.space
        self.kernels_ = (FeatureKernel(recipe.source.map),)
        classes = isinstance(self.labels_, label_maps.ClassLabels)
        if classes != isinstance(self, ClassifierMixin):
            other = "KIP" if classes else "KIPRegressor"
            raise InputError(
                f"Got moments of {'classes' if classes else 'real targets'} for {type(self).__name__}; expected those "
                f"of {'real targets' if classes else 'classes'}; try {other}."
            )
        if isinstance(self.labels_, label_maps.ClassLabels):
            self.classes_ = self.labels_.classes
        names = [column.name for column in recipe.space.table.columns] if recipe.space.table else []
        self.n_features_in_ = len(names) or recipe.source.row[0]
        forget(self, "feature_names_in_")
        if names and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        data = self._sample(collected, int(check_random_state(self.random_state).randint(2**31 - 1)))
        self._warn_of(self._short(data.counts))
        support = self._learn(data, self._initial_support(data))
        self._finish(data, support)
        self.support_set_, self.sums_ = self._describe(data, time.monotonic() - started), data.sums
        return self

    def _sample(self, collected: Collected, seed: int) -> Data:
        """The rows that the pass kept to start from, or noise in their place, and the sums that stand for all."""
        balanced = bool(getattr(self, "class_balanced", False))
        sums = moments_objective.sums_in(collected, balanced, hold_out=self.validation_fraction > 0)
        sample = collected.starts
        row, labels = collected.recipe.source.row, self.labels_
        z, y = sample.z, sample.y
        if isinstance(labels, label_maps.ClassLabels):
            # A class none of whose training rows were kept starts at noise.
            absent = np.setdiff1d(np.flatnonzero(collected.counts), y)
            z = np.concatenate([z, self._noise((len(absent), *row), seed)])
            y = np.concatenate([y, absent])
        elif not len(y):
            z, y = self._noise((1, *row), seed), np.zeros((1, sums.train.cross.shape[1]), np.float32)
        targets = moments_objective.as_targets(collected, Sample(z, y, sample.hashes, sample.most))
        rows = self.space_.decode(z)
        origin = {
            "n_train": int(collected.count),
            "digest": {"moments": collected.digest},
            "moments": {"map": repr(collected.recipe.source.map), "digests": collected.recipe.source.digests},
        }
        y_rows = labels.decode(targets.y)
        in_all = np.rint(collected.counts).astype(int)
        return Data(rows, y_rows, targets.codes, targets, seed, origin, sums, in_all)

    def _prepare(self, X: Any, y: Any) -> Data:
        data = super()._prepare(X, y)
        self._check_pair(data.targets.x.shape[1:])
        kernel = self.kernels_[0]
        if len(self.kernels_) > 1 or not isinstance(kernel, FeatureKernel) or self.problem().augmentation:
            return data
        rest, held = self._split(data)
        return data._replace(sums=moments_objective.sums_of(kernel.map, rest, held))

    def _initial_support(self, data: Data) -> Support:
        return self._coarse_start(data) if self.init == "coarse" else super()._initial_support(data)

    def _coarse_start(self, data: Data) -> Support:
        """Examples learned at half the size, and there from half of that, as far as the kernel has a coarser one."""
        kernels, shape = all_of([kernel.coarser() for kernel in self.kernels_]), data.targets.x.shape[1:]
        if kernels is None or len(shape) < 2:
            raise InputError(
                f'Got init="coarse" for {self.kernels_} on rows of shape {shape}; expected images and a ConvNet with '
                'pooling and 2 blocks or more; try init="random".'
            )
        examples, pixels = int(self._budget(data.counts).sum()), np.asarray(data.rows)
        learner = clone(self).set_params(
            kernel=kernels,
            init="coarse" if all_of([kernel.coarser() for kernel in kernels]) else "random",
            batch_size=COARSER * self._batch(examples, shape),
            learning_rate=COARSER * float(self.learning_rate),
            augment=None,
            corruption=0.0,
            checkpoint=None if self.checkpoint is None else f"{self.checkpoint}.coarse",
            random_state=data.seed,
        )
        learner.fit(scales.halved(pixels), data.y)
        return self._start_at(scales.doubled(learner.X_support_, *pixels.shape[1:3]), learner.y_support_)

    def _batch(self, examples: int, shape: tuple[int, ...]) -> int:
        """Targets in a step."""
        if self.batch_size == "auto":
            return kernel_objective.rows_per_step(examples, self.kernels_, shape)
        return int(self.batch_size)

    def _label_rows(self, targets: kernel_objective.Targets, examples: int) -> int:
        return kernel_objective.label_rows(examples, self.kernels_, targets.x.shape[1:], len(targets.x))

    def _check_pair(self, shape: tuple[int, ...]) -> None:
        """InputError for a kernel that takes more than `memory` for one pair of rows, which is the smallest tile."""
        dearest = max(self.kernels_, key=lambda kernel: kernel.pair_bytes(shape))
        needed = dearest.pair_bytes(shape)
        if needed > self.memory:
            raise InputError(
                f"Got memory={self.memory:g} bytes for {dearest!r} on rows of shape {shape}; expected {needed} or "
                "more, which one pair of rows takes; try that, smaller images, or conv-vec3 or features:conv."
            )

    def _split(self, data: Data) -> tuple[kernel_objective.Targets, kernel_objective.Targets | None]:
        """Targets to learn from, and to judge steps by."""
        rest, kept_out = sampling.split(data.codes, len(data.y), self.validation_fraction, data.seed)
        return data.targets.take(rest), data.targets.take(kept_out) if len(kept_out) else None

    def _learn(self, data: Data, start: Support) -> Support:
        problem = self.problem()
        if problem.augmentation and data.targets.x.ndim < 3:
            raise InputError("Got augment for rows that are not images; expected images; try augment=None.")
        z, vectors, subspace = self._apart(start.z, data.seed), start.vectors, None
        z, problem = self._corrupted(z, data.seed), replace(problem, learned=self._mask(z.shape, data.seed))
        learn: Callable[..., loop.Progress]
        if data.sums is not None:
            check_support(data.sums.train, len(z))
            # A table's loss has jumps where its values are rounded.
            name = "lbfgs" if len(z) >= MANY and self.space_.table is None else "adam"
            rule = kip.optimiser(float(self.learning_rate), int(self.max_iter), name)
            problem = replace(problem, optimiser=rule)
            learn = partial(moments_objective.learn, sums=data.sums)
            solve = partial(moments_objective.solve_labels, data.sums, penalties=problem.penalties)
        else:
            targets, held = self._split(data)
            subspace = self._subspace(targets.x, data.seed)
            if subspace is not None:
                z = subspace.coordinates(np.asarray(self.space_.features(z)))
                problem, targets, held = kernel_objective.embed(problem, targets, held, subspace, data.seed)
                if self.keep_range:
                    problem = replace(problem, project=lambda c: self.clip_coordinates(subspace, c))
            size = self._batch(len(z), targets.x.shape[1:])
            learn = partial(kernel_objective.learn, targets=targets, held=held, batch_size=size, seed=data.seed)
            most = self._label_rows(targets, len(z))
            solve = partial(kernel_objective.solve_labels, problem, targets=targets, seed=data.seed, most=most)
        if problem.labels == "gradient":
            vectors = solve(x_s=np.asarray(problem.features(jnp.asarray(z)))).y_s
        schedule = loop.Schedule(int(self.max_iter), validation_interval(int(self.max_iter)), self.patience)
        score = "accuracy" if isinstance(self, ClassifierMixin) else "R²"
        pixels = f", {start.z.shape[1]}×{start.z.shape[2]}" if start.z.ndim > 2 else ""
        title = f"{type(self).__name__}: {len(z)} examples{pixels}"
        with bar(title, schedule.steps, score, bool(self.verbose)) as watch:
            progress = learn(
                problem,
                z,
                vectors,
                schedule=schedule,
                checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
                identity=self._identity(data),
                watch=watch,
            )
        self._record(progress)

        def rows(z: np.ndarray) -> np.ndarray:
            return z if subspace is None else np.asarray(self.space_.from_features(subspace.rows(z)))

        in_range = bool(self.keep_range)
        self.snapshots_ = [(step, self.space_.decode(rows(z), in_range)) for step, z in progress.snapshots]
        z, vectors = progress.best
        z = np.asarray(self.space_.clip(rows(z))) if in_range else rows(z)
        return Support(z, vectors, start.codes, None, start.chosen)

    def _apart(self, z: np.ndarray, seed: int) -> np.ndarray:
        """The rows, with a little noise on those that equal an earlier one: equal examples would stay equal."""
        _, first = np.unique(z.reshape(len(z), -1), axis=0, return_index=True)
        again = np.setdiff1d(np.arange(len(z)), first)
        if not len(again):
            return z
        moved = z.copy()
        moved[again] += APART * sampling.rng(seed, 8).standard_normal(moved[again].shape).astype(z.dtype)
        return np.asarray(self.space_.clip(moved)) if self.keep_range else moved

    def _subspace(self, x: np.ndarray, seed: int) -> Subspace | None:
        """The span to learn in, if there is to be one."""
        d = int(np.prod(x.shape[1:]))
        if not self.learns_in_subspace(d):
            return None
        wanted = COMPONENTS if self.components == "auto" else self.components
        return Subspace.fit(x, min(int(wanted), len(x)), seed)

    def learns_in_subspace(self, d: int) -> bool:
        """Return whether rows of d numbers are learned within the span of their principal components."""
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


class KIP(ClassifierMixin, _KIP):
    """Kernel Inducing Points: a few learned examples on which kernel ridge regression does as on all the data.

    Minimises ½ mean ‖k_ts k_ss⁻¹ y_s − y_t‖² over the examples x_s (and their label vectors y_s), keeping the step
    with the least validation loss: by Muon; from moments, whose loss has no noise, by L-BFGS for 200 examples and
    more, and by Adam for fewer, and for tables, where rounded values make the loss jump.

    Args:
        ipc: learned examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: learned examples in all, a number or a fraction of the rows, spread over the classes.
        kernel: a kernel, its short name ("fc1", "fc2-erf-nngp", "convnet3", "myrtle5", "rbf", "linear", "poly3",
            "features:conv"; see `gram.names.named`), or several, of which one is drawn for each step.
        learn_labels: True solves the labels in closed form at every step; "gradient" starts from solved labels, learns
            them by gradient beside the examples and solves them again at the end (better where a batch has fewer than
            ten rows for each example); False keeps them at the class of each example. Solves before and after
            the steps draw from all rows; under a kernel of pairs of pixels from fewer, at least 100 for each example.
        max_iter: steps at most.
        batch_size: training rows in a step, all of them when there are no more; "auto" takes 5,000, fewer
            under a kernel of pairs of pixels, and at least 20 for each example.
        learning_rate: root mean square of the first step, in units of the standardised data; falls by a cosine
            (L-BFGS finds its own after the first).
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        ridge: weight of the squared norm of the predictor when labels are solved, as a fraction of the mean diagonal.
        init: where examples start: "random" rows of each class, "noise", the name of a selector of `Coreset`, a
            `SupportSet`, a pair (X_s, y_s), or "coarse" (images, under a ConvNet with pooling): what is learned at half
            the size under a ConvNet with one block less, from half of that, and so on; a step there takes twice as
            many rows, costs an eighth and moves twice as far. Not augmented; a checkpoint of its own has `.coarse`
            after its name.
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
        verbose: whether to show progress on standard error: a bar on a terminal, elsewhere a line every half minute.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the learned examples, in X's own space.
        y_support_: (s,) the class each was learned for.
        soft_labels_: (s, C) their label vectors; columns in the order of `classes_`.
        weights_: (s,) with labels that stay fixed, how many rows each stood for where it started; else None.
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
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
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
        n_support: int | float | None = None,
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
