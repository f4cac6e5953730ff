"""The base of estimators that learn under a pool of models."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill._memory import memory_present
from datastill.distill import kip, model_pool
from datastill.distill.model_pool import Learned, ModelPool, Objective
from datastill.estimators.base import Data, Support
from datastill.estimators.on_networks import OnNetworks, in_colour, judging_kernels

MAPS = 2
"""Of the first layer's size, that features of a batch hold at least."""


class OnModelPool(OnNetworks):
    """The networks of `model_pool`, and one objective."""

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises."""
        return replace(
            super().problem(),
            labels="gradient" if self.learn_labels else "fixed",
            project=self.space_.clip if self.keep_range else kip.anywhere,
        )

    @abstractmethod
    def _pool(self, depth: int, flip: bool) -> ModelPool:
        """The networks."""

    @abstractmethod
    def _objective(self, problem: kip.Problem) -> Objective:
        """Return the loss of a step."""

    def _others(self) -> Learned:
        """Return the variables besides examples and labels."""
        return {}

    def _vectors(self, y: np.ndarray) -> np.ndarray:
        """The label vectors that examples start with, from those of their classes."""
        return y

    def _prepare(self, X: Any, y: Any) -> Data:
        data = super()._prepare(X, y)
        row = data.targets.x.shape[1:]
        depth = self._depth_for(row)
        self.pool_ = self._pool(depth, in_colour(row) if self.flip is None else bool(self.flip))
        self.kernels_ = judging_kernels(depth, row)
        self._check_batch(row, len(data.y))
        return data

    def _check_batch(self, row: tuple[int, ...], rows: int) -> None:
        """InputError for a batch of which the first layer alone does not fit in memory."""
        (h, w, *_), width = row, self.pool_.body.width
        needed, present = MAPS * 4 * min(self.pool_.batch, rows) * h * w * width, memory_present()
        if needed > present:
            raise InputError(
                f"Got batch_size={self.pool_.batch} with networks of {width} channels on images of {h}×{w} pixels, "
                f"which hold {needed / 2**30:.1f} GiB or more; this machine has {present / 2**30:.1f} GiB; try a "
                "smaller batch_size or width."
            )

    def _learn(self, data: Data, start: Support) -> Support:
        problem = self.problem()
        objective = self._objective(problem)
        vectors = self._vectors(start.vectors)
        state = model_pool.init(
            problem, self.pool_, objective, start.z, vectors, data.targets, data.seed, self._others()
        )
        step = model_pool.step(problem, self.pool_, objective, data.targets, data.seed)
        return self._run(data, start, state, step, model_pool.examples)
