"""A finite network as a learner: it takes label vectors as they are, and weights of rows."""

import math
from dataclasses import replace
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from datastill._errors import InputError
from datastill._typing import Float, Int
from datastill._validate import check_between, check_channels_last
from datastill.learners.augmentation import DSA
from datastill.learners.labels import probabilities
from datastill.learners.presets import Preset, preset

PREDICTION_BYTES = 2**25
"""Of the largest layer's outputs, for the rows that are predicted at a time; the fastest on two CPU cores."""


class Network(BaseEstimator):
    """A network trained on label vectors, as one of `presets.PRESETS` says.

    With cross-entropy, label vectors become distributions by `labels.probabilities`. Regression takes the preset's
    network and optimiser with the squared error.

    Args:
        preset: a key of `presets.PRESETS`.
        augment: whether images are augmented while it learns: as the preset does, or by `augmentation.DSA` if it does
            not; None leaves it to the preset. Gray images are never flipped.
        seed: of weights, order and augmentation.
        regression: whether `predict` gives the outputs themselves.
        steps: instead of the preset's number.
        width: of the first layer or block, the others in proportion; instead of the preset's.

    Attributes:
        steps_: that were taken.
        classes_: numbers of the columns of the label vectors.
    """

    takes_vectors = True

    def __init__(
        self,
        preset: str = "fast",
        augment: bool | None = None,
        seed: int = 0,
        regression: bool = False,
        steps: int | None = None,
        width: int | None = None,
    ) -> None:
        self.preset = preset
        self.augment = augment
        self.seed = seed
        self.regression = regression
        self.steps = steps
        self.width = width

    def fit(
        self,
        X: Float[np.ndarray, "s ..."],
        vectors: Float[np.ndarray, "s c"],
        sample_weight: Float[np.ndarray, " s"] | None = None,
    ) -> Self:
        """Train from fresh weights.

        Args:
            X: (s, h, w[, ch]) images or (s, d) vectors, of about mean 0 and variance 1.
            vectors: label vectors, or targets.
            sample_weight: of the rows; the losses are multiplied by it, after division by its mean.

        Raises:
            InputError: for an unknown preset, without flax, or for settings or rows that the network cannot take.
            SolveError: when the loss stops being finite.
        """
        plan = preset(self.preset)
        for name in ("steps", "width"):
            if getattr(self, name) is not None:
                check_between(name, getattr(self, name), 1)
        need_flax()
        from datastill.learners import descent

        x, y = _rows(X), np.asarray(vectors, np.float64).reshape(len(X), -1)
        self.how_ = _applied(self, plan, x.shape, y.shape[1])
        if self.how_.loss == "cross-entropy":
            y = probabilities(y)
        weights = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.steps_ = self.how_.length(len(x)) if self.steps is None else self.steps
        self.shape_, self.classes_ = x.shape[1:], np.arange(y.shape[1])
        parts = (part.astype(np.float32) for part in (x, y, weights / weights.mean()))
        examples = descent.Examples(*map(jnp.asarray, parts))
        self.weights_: Any = descent.descend(self.how_, examples, self.seed, self.steps_)
        return self

    def scores(self, X: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n c"]:
        """The outputs, in units of the label vectors; with cross-entropy, logarithms of probabilities up to a sum."""
        check_is_fitted(self)
        from datastill.learners import descent

        x = _rows(X)
        if x.shape[1:] != self.shape_:
            raise InputError(
                f"Got rows of shape {x.shape[1:]}; expected {self.shape_}, those the network learned from."
            )
        pixels = math.prod(self.shape_[:2]) if self.how_.architecture.convolutional else 1
        units = max(math.prod(self.shape_), self.how_.architecture.widths[0] * pixels)
        size = max(1, PREDICTION_BYTES // (4 * units))
        return descent.outputs(self.how_, self.weights_, x, len(self.classes_), size)

    def predict(self, X: Float[np.ndarray, "n ..."]) -> Int[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """(n,) class numbers, or (n, k) targets."""
        found = self.scores(X)
        return found if self.regression else found.argmax(axis=1)

    @available_if(lambda self: not self.regression and preset(self.preset).loss == "cross-entropy")
    def predict_proba(self, X: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n c"]:
        """Probabilities of the classes; only of presets that learn by cross-entropy."""
        return softmax(self.scores(X).astype(np.float64), axis=1)


def need_flax() -> None:
    """InputError, with what to install, unless flax can be imported."""
    try:
        import flax  # noqa: F401
    except ImportError:
        raise InputError(
            "Got a network as learner, but flax is not installed; try pip install 'datastill[networks]'."
        ) from None


def _rows(X: np.ndarray) -> np.ndarray:
    """(n, d) vectors or (n, h, w, ch) images, float32."""
    x = np.asarray(X, np.float32)
    if x.ndim == 3:
        return x[..., None]
    if x.ndim not in (2, 4):
        raise InputError(f"Got rows of shape {x.shape}; expected (n, d) vectors or (n, h, w[, c]) images.")
    return x


def _applied(learner: Network, how: Preset, shape: tuple[int, ...], outputs: int) -> Preset:
    """The preset with the learner's own settings, for rows of this shape.

    Raises:
        InputError: for rows that the network cannot take.
    """
    images, what = len(shape) == 4, how.architecture
    if learner.width is not None:
        what = what.resized(learner.width)
    if what.convolutional and not images:
        raise InputError(
            f"Got vectors of {shape[1]} numbers for net:{learner.preset}; expected images, (n, h, w[, c]); try net:mlp."
        )
    if learner.augment and not images:
        raise InputError(
            f"Got vectors of {shape[1]} numbers with augmentation; expected images; try net:{learner.preset}:plain."
        )
    if what.convolutional:
        check_channels_last(shape[1:])
    least = 2 ** len(what.widths)
    if what.convolutional and min(shape[1:3]) < least:
        raise InputError(
            f"Got images of {shape[1]}×{shape[2]} pixels for net:{learner.preset}, which halves them "
            f"{len(what.widths)} times; expected at least {least}×{least}; try net:mlp."
        )
    gray = images and shape[3] == 1
    transforms = None if learner.augment is False or not images else how.transforms
    if learner.augment and transforms is None:
        transforms = DSA
    if transforms is not None and gray:
        transforms = transforms.without_flip()
    return replace(
        how.settled(shape[0] / outputs, gray),
        architecture=what,
        transforms=transforms,
        loss="mse" if learner.regression else how.loss,
    )
