"""The result of one pass over the data: the moments of training and of held-out rows, and a few rows of both."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import archive
from datastill.data.dataset import Dataset
from datastill.data.reading import Reading
from datastill.moments.record import Moments
from datastill.moments.sample import Sample
from datastill.moments.source import Source
from datastill.preprocess import encoder as encoders
from datastill.preprocess.augment import Augmentation
from datastill.preprocess.labels import ClassLabels


@dataclass(frozen=True, eq=False)
class Recipe:
    """The settings of a pass, which two passes must share for their results to be added.

    Attributes:
        source: the feature map, the space of rows and the labels.
        held: the fraction of rows that are held out, by their hashes.
        kept: rows of each class (in regression, in all) that are kept of either side: to start from, and to judge by.
        by_class: whether Σ φφᵀ is kept apart by class.
        target: the target column, of tables.
        augment: of the images to learn from: each counts as its augmented versions, in equal parts.
        versions: how many of each image, itself among them.
        reading: how the data are read: numbers in text, images of 16 bits.
    """

    source: Source
    held: float = 0.1
    kept: int = 200
    by_class: bool = False
    target: str | None = None
    augment: Augmentation = Augmentation()
    versions: int = 1
    reading: Reading = field(default_factory=Reading)

    @cached_property
    def space(self) -> encoders.FeatureEncoder:
        """Where the user's rows become numbers."""
        return encoders.from_state(self.source.preprocessing)

    @cached_property
    def like(self) -> Dataset:
        """A made-up row of the data's kind: what is text in it is text, and images have its size."""
        row = np.zeros((1, *self.source.row), np.float32)
        labels = self.source.labels
        y = labels.classes[:1] if isinstance(labels, ClassLabels) else labels.decode(np.zeros((1, len(labels.mean))))
        return Dataset("like", self.space.decode(row), y, reading=self.reading)

    def require_same(self, other: "Recipe") -> None:
        """InputError, naming both, unless results of the other may be added to results of this."""
        self.source.require_same(other.source)
        for name in ("held", "by_class", "augment", "versions"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise InputError(f"Got moments made with {name}={mine} and with {name}={theirs}; expected the same.")


@dataclass(frozen=True, eq=False)
class Collected:
    """The result of a pass. `a + b` is that of the rows of both, `a - b` that of the rows of a without those of b.

    Attributes:
        recipe: how it was made.
        train: moments of the rows to learn from.
        held: moments of the rows to judge by.
        starts: some of the former, a random sample.
        checks: some of the latter.
    """

    recipe: Recipe
    train: Moments
    held: Moments
    starts: Sample
    checks: Sample

    @property
    def whole(self) -> Moments:
        """Return the number of all rows, held-out rows included."""
        return self.train + replace(self.held, shards={})

    @property
    def count(self) -> float:
        """n, rows of both."""
        return self.train.count + self.held.count

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class; of regression, their number."""
        return self.train.counts + self.held.counts

    @property
    def digest(self) -> str:
        """SHA-256 of what it is of, and of the sums."""
        sums = [[m.second, m.cross, m.counts] for m in (self.train, self.held)]
        return archive.tree_digest([self.recipe.source.digests, *sums])

    def __add__(self, other: "Collected") -> "Collected":
        self.recipe.require_same(other.recipe)
        return self._with(other, operator.add)

    def __sub__(self, other: "Collected") -> "Collected":
        """Without the rows of `other`; see `Moments.__sub__`."""
        self.recipe.require_same(other.recipe)
        return self._with(other, operator.sub)

    def _with(self, other: "Collected", combine: Callable[[Any, Any], Any]) -> "Collected":
        parts = ("train", "held", "starts", "checks")
        return Collected(self.recipe, *(combine(getattr(self, part), getattr(other, part)) for part in parts))
