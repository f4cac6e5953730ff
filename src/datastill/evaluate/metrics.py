"""What a prediction on held-out rows is worth, as numbers by name."""

import numpy as np

from datastill._typing import Float, Int
from datastill.evaluate.intervals import r2

BINS = 15
LEAST = 1e-15
"""Probabilities are kept this far from 0 in the log-loss."""


def of_classes(codes: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Accuracy, and its mean over the classes that occur."""
    right = predicted == codes
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[codes == c].mean() for c in np.unique(codes)])),
    }


def of_probabilities(codes: Int[np.ndarray, " n"], p: Float[np.ndarray, "n c"]) -> dict[str, float]:
    """Log-loss −mean ln p_iy, Brier score mean ‖p_i − onehot(y_i)‖², and the expected calibration error.

        ece = Σ_bins |bin|/n · |accuracy of the bin − mean confidence of the bin|

    over 15 bins of equal width in the confidence max_c p_ic.

    Source: Brier (1950); Guo et al. (2017), arXiv:1706.04599, eq. (3).
    """
    own = p[np.arange(len(p)), codes]
    confidence, right = p.max(axis=1), p.argmax(axis=1) == codes
    which = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.maximum(np.bincount(which, minlength=BINS), 1)
    gaps = (np.bincount(which, right, BINS) - np.bincount(which, confidence, BINS)) / counts
    return {
        "log_loss": float(-np.log(np.maximum(own, LEAST)).mean()),
        "brier": float(np.sum((p - np.eye(p.shape[1])[codes]) ** 2, axis=1).mean()),
        "ece": float(np.sum(np.bincount(which, minlength=BINS) / len(p) * abs(gaps))),
    }


def of_targets(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Root mean squared error, mean absolute error and R², each averaged over columns."""
    y, predicted = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (y, predicted))
    return {
        "rmse": float(np.sqrt(((y - predicted) ** 2).mean(axis=0)).mean()),
        "mae": float(abs(y - predicted).mean()),
        "r2": r2(y, predicted),
    }
