"""Label vectors as distributions over the classes.

Label vectors that were learned are scores, not probabilities: p_ic is the positive part of y_ic + 1/C, normalised,
which gives centred one-hot vectors their class back.
"""

import numpy as np

from datastill._typing import Float


def probabilities(vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Label vectors as distributions over the classes; the class of the largest where none is positive."""
    positive = np.maximum(vectors + 1 / vectors.shape[1], 0).astype(np.float64)
    total = positive.sum(axis=1, keepdims=True)
    return np.where(
        total > 0, positive / np.where(total > 0, total, 1), np.eye(vectors.shape[1])[vectors.argmax(axis=1)]
    )
