"""The interface of a surrogate: a differentiable stand-in for a family of learners, trained on the set inside the loss.

    loss(S) = mean over surrogates m, over rows (x, y) of  ℓ(A_m(S)(x), y)

A_m(S) is what learner m predicts once it has been trained on the set S; ℓ is the cross-entropy of exp(t_m) · A_m(S)(x)
with a temperature t_m that is learned, for real targets half the squared error.

Source: learning examples through the training of a learner: Wang et al. (2018), arXiv:1811.10959; through kernel ridge
regression: Nguyen, Chen, Lee (2021), arXiv:2011.00050.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float

CONSTANT = 1e-10
"""Variance up to which a column of the set counts as constant, and is divided by 1."""


class Pair(NamedTuple):
    """The set's rows (s, d), and the rows (t, d) that are predicted from it, as one learner sees them.

    Attributes:
        weights: of the set's rows, 1 on average, for surrogates of learners that take weights; None for equal ones.
    """

    s: Float[Array, "s d"]
    t: Float[Array, "t d"]
    weights: Float[Array, " s"] | None = None


@dataclass(frozen=True)
class Surrogate(ABC):
    """A family of learners.

    Attributes:
        scaled: whether the learner standardises the columns by mean and deviation of the set it is trained on.
        sharp: the initial logarithm of its temperature.
    """

    scaled: bool = False
    sharp: float = 1.0

    @abstractmethod
    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """Train on the set and predict the rows.

        Args:
            pair: the set's rows, and the rows.
            y: of the set: one-hot classes less 1/C, or standardised targets.
            sharp: the logarithm of the temperature.

        Returns:
            Logits of the classes, or targets.
        """


def standardised(pair: Pair) -> Pair:
    """Both, less the mean of the set's columns and over their deviation, as a learner's own standardiser does.

    Differentiable in the set's rows, mean and deviation included; weights have no part.
    """
    mean = pair.s.mean(axis=0)
    variance = jnp.mean((pair.s - mean) ** 2, axis=0)
    deviation = jnp.sqrt(jnp.where(variance <= CONSTANT, 1.0, variance))
    return Pair((pair.s - mean) / deviation, (pair.t - mean) / deviation, pair.weights)


def losses(
    surrogates: Sequence[Surrogate],
    sharp: Float[Array, " m"],
    pair: Pair,
    y_s: Float[Array, "s c"],
    y_t: Float[Array, "t c"],
    regression: bool,
) -> Float[Array, " m"]:
    """Return the loss on the rows of each surrogate trained on the set.

    Args:
        surrogates: m of them.
        sharp: the logarithms of their temperatures.
        pair: the set's rows and the rows, as given.
        y_s: of the set: one-hot classes less 1/C, or standardised targets.
        y_t: of the rows: one-hot classes, or standardised targets.
        regression: which of the two.
    """
    own = standardised(pair)
    outputs = (
        member.outputs(own if member.scaled else pair, y_s, t) for member, t in zip(surrogates, sharp, strict=True)
    )
    return jnp.stack([loss_of(found, y_t, regression) for found in outputs])


def loss_of(outputs: Float[Array, "t c"], y_t: Float[Array, "t c"], regression: bool) -> Float[Array, ""]:
    """The mean cross-entropy of logits; for real targets half the mean squared error."""
    if regression:
        return 0.5 * jnp.mean(jnp.sum((outputs - y_t) ** 2, axis=1))
    return -jnp.mean(jnp.sum(y_t * jax.nn.log_softmax(outputs, axis=1), axis=1))


def square_distances(pair: Pair) -> Float[Array, "t s"]:
    """‖t_i − s_j‖², 0 or more."""
    centre = pair.s.mean(axis=0)
    s, t = pair.s - centre, pair.t - centre
    return jnp.maximum(jnp.sum(t * t, axis=1)[:, None] + jnp.sum(s * s, axis=1) - 2 * t @ s.T, 0)
