"""KIP under a pool of networks as an estimator: `NetworkKIP`, whose sets are made to teach networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optax
from sklearn.base import ClassifierMixin

from datastill import _validate
from datastill._errors import InputError
from datastill.distill import kip, loop, pool
from datastill.estimators.base import Data, Distiller, Support
from datastill.estimators.kip import validation_interval
from datastill.features.conv import RandomConv
from datastill.gram.features import FeatureKernel
from datastill.progress import bar

DEEPEST = 3
JUDGING_WIDTH = 128
"""Channels of the random network under whose kernel `predict` works."""
SEED = 1
"""Of that network."""


class NetworkKIP(ClassifierMixin, Distiller):
    """Images learned under a pool of small convolutional networks that are trained on them: sets that teach networks.

    Minimises ½ mean ‖φ(x_t) φ(x_s)ᵀ α − y_t‖², α = (φ(x_s) φ(x_s)ᵀ + reg)⁻¹ y_s, over images x_s and label vectors
    y_s, averaged over networks drawn from a pool, by Adam with a cosine schedule; see `distill.pool`. The labels are
    those that were learned beside the images: give them to networks as they are.

    Args:
        ipc: learned examples per class; 10 when neither budget is given.
        n_support: learned examples in all, spread over the classes.
        width: channels of each layer of the networks.
        depth: their layers, each of which halves the image; None takes 3, or fewer where images are small.
        networks: in the pool.
        at_once: networks whose losses a step averages.
        renewal: steps between two renewals, each of one network.
        training: training steps on the set at a renewal.
        oldest: training steps after which a network is drawn afresh.
        target_rows: training rows whose features a network keeps.
        learn_labels: whether label vectors are learned, or stay at the class of each example.
        max_iter: steps.
        learning_rate: of the first step, in units of the standardised data; falls by a cosine.
        reg: added to the diagonal of φ(x_s) φ(x_s)ᵀ, as a fraction of its mean.
        init: where examples start; as for `KIP`.
        keep_range: whether examples stay within the data's range, and in its dtype.
        checkpoint: file to resume from and to keep up to date.
        verbose: whether to draw a progress bar, when standard error is a terminal.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the learned images, in X's own space.
        y_support_: (s,) the class each was learned for.
        soft_labels_: (s, C) their label vectors.
        n_iter_: steps done.
        snapshots_: pairs (step, examples) from start to end.
        support_set_: all of it as a `SupportSet`.

    Source: Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719; Loo et al. (2022), arXiv:2210.12067; what differs is said in
    `distill.pool`.
    """

    kernel = None
    preprocess = "standardise"

    def __init__(
        self,
        ipc: int | None = None,
        *,
        n_support: int | None = None,
        width: int = 32,
        depth: int | None = None,
        networks: int = 10,
        at_once: int = 2,
        renewal: int = 6,
        training: int = 80,
        oldest: int = 800,
        target_rows: int = 2000,
        learn_labels: bool = True,
        max_iter: int = 1200,
        learning_rate: float = 0.03,
        reg: float = 5e-3,
        init: Any = "random",
        keep_range: bool = True,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.width = width
        self.depth = depth
        self.networks = networks
        self.at_once = at_once
        self.renewal = renewal
        self.training = training
        self.oldest = oldest
        self.target_rows = target_rows
        self.learn_labels = learn_labels
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.reg = reg
        self.init = init
        self.keep_range = keep_range
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def problem(self) -> kip.Problem:
        """What a fitted estimator minimises, over what and how."""
        rate = optax.cosine_decay_schedule(float(self.learning_rate), max(int(self.max_iter), 1))
        return replace(
            super().problem(),
            labels="gradient" if self.learn_labels else "fixed",
            optimiser=optax.adam(rate),
            project=self.space_.clip if self.keep_range else None,
        )

    def _check_settings(self) -> None:
        super()._check_settings()
        for name, least in (("max_iter", 0), ("learning_rate", 0), ("width", 1)):
            _validate.check_between(name, getattr(self, name), least)

    def _solves_labels(self) -> bool:
        return False

    def _prepare(self, X: Any, y: Any) -> Data:
        data = super()._prepare(X, y)
        row = data.targets.x.shape[1:]
        if len(row) < 2:
            raise InputError(f"Got rows of {row[0]} numbers; expected images, (n, h, w) or (n, h, w, c); try KIP.")
        side = min(row[:2])
        depth = min(DEEPEST, side.bit_length() - 1) if self.depth is None else int(self.depth)
        if side < 2:
            raise InputError(f"Got images of {row[0]}×{row[1]} pixels; expected 2×2 at least; try KIP.")
        self.nets_ = pool.Nets(
            map=RandomConv(int(self.width), depth),
            size=int(self.networks),
            at_once=int(self.at_once),
            every=int(self.renewal),
            trained=int(self.training),
            oldest=int(self.oldest),
            targets=int(self.target_rows),
        )
        self.nets_.map.columns(row)
        self.kernels_ = (FeatureKernel(RandomConv(JUDGING_WIDTH, depth, seed=SEED)),)
        return data

    def _learn(self, data: Data, start: Support) -> Support:
        problem, steps = self.problem(), int(self.max_iter)
        state = pool.init(problem, self.nets_, start.z, start.vectors, data.targets, data.seed)
        with bar(f"{type(self).__name__}: {len(start.z)} examples", steps, "accuracy", bool(self.verbose)) as watch:
            progress = loop.run(
                state,
                pool.step(problem, self.nets_, data.targets, data.seed),
                lambda state: (np.asarray(state.learned.z), np.asarray(state.learned.y)),
                None,
                loop.Schedule(steps, validation_interval(steps), None),
                None if self.checkpoint is None else Path(self.checkpoint),
                self._identity(data),
                watch,
            )
        self._record(progress)
        in_range = bool(self.keep_range)
        self.snapshots_ = [(step, self.space_.decode(z, in_range)) for step, z in progress.snapshots]
        z, vectors = progress.best
        return Support(z, vectors, start.codes, None, start.chosen)
