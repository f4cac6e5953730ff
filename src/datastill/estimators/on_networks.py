"""The base of estimators that learn under finite convolutional networks."""

from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags

from datastill import _validate
from datastill._errors import InputError
from datastill.data.dataset import Rows
from datastill.distill import loop
from datastill.estimators.base import Data, Distiller, Support
from datastill.estimators.kip import validation_interval
from datastill.features.conv import RandomConv, deepest
from datastill.gram.features import FeatureKernel
from datastill.kernels.base import Kernel
from datastill.progress import bar

DEEPEST = 3
"""Layers of networks whose depth nobody gave."""
WHOLE = dict.fromkeys(
    ("width", "depth", "networks", "at_once", "renewal", "oldest", "target_rows", "batch_size", "judges"), 1
) | {"max_iter": 0}
"""Settings that are whole numbers, and the least that each may be."""
JUDGING_WIDTH = 128
JUDGING_SEED = 1


class OnNetworks(ClassifierMixin, Distiller):
    """Images, and the loop around a step that learns them."""

    kernel = None

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: images are required."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def check_settings(self) -> None:
        """See `Distiller.check_settings`."""
        super().check_settings()
        _validate.check_between("learning_rate", self.learning_rate, 0)
        for name, least in WHOLE.items():
            if getattr(self, name, None) is not None:
                _validate.check_whole(name, getattr(self, name), least)

    def _solves_labels(self) -> bool:
        return False

    def _check(self, X: Any, y: Any) -> tuple[Rows, np.ndarray, np.ndarray | None]:
        rows, y, codes = super()._check(X, y)
        _validate.check_channels_last(rows.shape[1:])  # before they are whitened
        return rows, y, codes

    def _preprocessing(self, rows: Rows) -> str:
        if self.preprocess is not None:
            return str(self.preprocess)
        return "zca" if in_colour(rows.shape[1:]) else "standardise"

    def _depth_for(self, row: tuple[int, ...]) -> int:
        """Layers of the networks, each of which halves the image.

        Raises:
            InputError: for rows that are no images, or of one pixel.
        """
        if len(row) < 2:
            raise InputError(f"Got rows of {row[0]} numbers; expected images, (n, h, w) or (n, h, w, c); try KIP.")
        if deepest(row) < 1:
            raise InputError(f"Got images of {row[0]}×{row[1]} pixels; expected 2×2 at least; try KIP.")
        return min(DEEPEST, deepest(row)) if self.depth is None else int(self.depth)

    def _run(
        self,
        data: Data,
        start: Support,
        state: Any,
        step: Callable[[Any, int], tuple[Any, Any]],
        examples: Callable[[Any], tuple[np.ndarray, np.ndarray]],
        validate: loop.Validator | None = None,
        patience: int | None = None,
        every: int | None = None,
    ) -> Support:
        """The loop, and what it found; validations come every so many steps, or as `validation_interval` has it."""
        steps = int(self.max_iter)
        with bar(f"{type(self).__name__}: {len(start.z)} examples", steps, "accuracy", bool(self.verbose)) as watch:
            progress = loop.run(
                state,
                step,
                examples,
                validate,
                loop.Schedule(steps, every or validation_interval(steps), patience),
                None if self.checkpoint is None else Path(self.checkpoint),
                self._identity(data),
                watch,
            )
        self._record(progress)
        in_range = bool(self.keep_range)
        self.snapshots_ = [(step, self.space_.decode(z, in_range)) for step, z in progress.snapshots]
        z, vectors = progress.best
        return Support(np.asarray(self.space_.clip(z)) if in_range else z, vectors, start.codes, None, start.chosen)


def in_colour(row: tuple[int, ...]) -> bool:
    """Return whether rows of this shape are images with several channels."""
    return len(row) == 3 and row[2] > 1


def judging_kernels(depth: int, row: tuple[int, ...], norms: tuple[str, ...] = ("none",)) -> tuple[Kernel, ...]:
    """Return the kernel of one network of each kind, under which a set learned under many others predicts by KRR.

    Raises:
        InputError: for images that are too small for so many layers.
    """
    maps = [RandomConv(JUDGING_WIDTH, depth, seed=JUDGING_SEED, norm=norm) for norm in norms]
    together = reduce(add, maps)
    together.columns(row)
    return (FeatureKernel(together),)
