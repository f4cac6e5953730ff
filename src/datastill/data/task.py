"""The task of a dataset, and the rows that are held out to judge it."""

from dataclasses import replace

import numpy as np

from datastill.data import sampling
from datastill.data.dataset import Dataset, take
from datastill.data.labels import class_values, guess_task

__all__ = ["guess_task", "with_test"]

TEST_FRACTION = 0.25


def with_test(data: Dataset, seed: int, task: str) -> Dataset:
    """Return the dataset with test rows: its own, or a quarter of its rows, each class in proportion.

    Args:
        data: as it was loaded.
        seed: of the rows that are held out.
        task: "classification", where one-hot labels become the numbers of their classes, or "regression".

    Raises:
        InputError: for rows of labels that are no classes, in classification.
    """
    if task == "classification":
        data = _with_classes(data)
    if data.x_test is not None:
        return data
    codes = np.unique(data.y, return_inverse=True)[1] if task == "classification" else None
    rest, held = sampling.split(codes, len(data.x), TEST_FRACTION, seed)
    return replace(data, x=take(data.x, rest), y=data.y[rest], x_test=take(data.x, held), y_test=data.y[held])


def _with_classes(data: Dataset) -> Dataset:
    y, y_test = class_values(data.y), None if data.y_test is None else class_values(data.y_test)
    return data if y is data.y and y_test is data.y_test else replace(data, y=y, y_test=y_test)
