"""What is to be predicted, told from the labels, and the rows that are held out to judge it."""

from dataclasses import replace

import numpy as np
from sklearn.utils.multiclass import type_of_target

from datastill.data import sampling
from datastill.data.dataset import Dataset, take

MANY_CLASSES = 100
TEST_FRACTION = 0.25


def guess_task(y: np.ndarray) -> tuple[str, str]:
    """("classification" or "regression", why), from the labels alone."""
    if y.dtype.kind in "OUSb":
        return "classification", "the labels are true or false" if y.dtype.kind == "b" else "the labels are text"
    kind = type_of_target(y)
    if kind.startswith("continuous"):
        return "regression", "the targets are real numbers"
    distinct = len(np.unique(y))
    if y.ndim == 2 or distinct > MANY_CLASSES:
        return "regression", f"the targets take {distinct} different whole values"
    return "classification", f"the labels take {distinct} different values"


def with_test(data: Dataset, seed: int, task: str) -> Dataset:
    """The dataset with test rows: its own, or a quarter of its rows, each class in proportion."""
    if data.x_test is not None:
        return data
    codes = np.unique(data.y, return_inverse=True)[1] if task == "classification" else None
    rest, held = sampling.split(codes, len(data.x), TEST_FRACTION, seed)
    return replace(data, x=take(data.x, rest), y=data.y[rest], x_test=take(data.x, held), y_test=data.y[held])
