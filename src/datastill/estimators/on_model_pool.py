"""What estimators that learn under a pool of models share."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from datastill.distill import kip, model_pool
from datastill.distill.model_pool import Learned, ModelPool, Objective
from datastill.estimators.base import Data, Support
from datastill.estimators.on_networks import OnNetworks, in_colour, judging_kernels


class OnModelPool(OnNetworks):
    """The networks of `model_pool`, and one objective."""

    def problem(self) -> kip.Problem:
        """What a fitted estimator minimises, over what and how."""
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
        """What a step descends."""

    def _others(self) -> Learned:
        """What is learned beside examples and labels."""
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
        return data

    def _learn(self, data: Data, start: Support) -> Support:
        problem = self.problem()
        objective = self._objective(problem)
        vectors = self._vectors(start.vectors)
        state = model_pool.init(
            problem, self.pool_, objective, start.z, vectors, data.targets, data.seed, self._others()
        )
        step = model_pool.step(problem, self.pool_, objective, data.targets, data.seed)
        return self._run(data, start, state, step, model_pool.examples)
