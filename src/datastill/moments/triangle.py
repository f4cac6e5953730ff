"""Symmetric matrices by their upper triangle, row after row: half the memory, and no chance to be asymmetric."""

import numpy as np

from datastill._typing import Float


def entries(columns: int) -> int:
    """Numbers in the triangle of an (F, F) matrix: F(F + 1)/2."""
    return columns * (columns + 1) // 2


def side(entries: int) -> int:
    """F of a triangle of F(F + 1)/2 numbers."""
    return int(((8 * entries + 1) ** 0.5 - 1) / 2 + 0.5)


def offsets(columns: int) -> np.ndarray:
    """(F,) where each row, which begins with its diagonal entry, starts."""
    row = np.arange(columns)
    return row * columns - row * (row - 1) // 2


def add(triangle: Float[np.ndarray, " e"], upper: Float[np.ndarray, "f f"]) -> None:
    """Add a matrix, of which the upper triangle is read, in place."""
    for row, start in enumerate(offsets(len(upper))):
        part = upper[row, row:]
        triangle[start : start + len(part)] += part


def diagonal(triangle: Float[np.ndarray, "*g e"]) -> Float[np.ndarray, "*g f"]:
    """The diagonal of each matrix."""
    return triangle[..., offsets(side(triangle.shape[-1]))]


def full(triangle: Float[np.ndarray, " e"]) -> Float[np.ndarray, "f f"]:
    """The whole matrix."""
    columns = side(len(triangle))
    matrix = np.empty((columns, columns), triangle.dtype)
    for row, start in enumerate(offsets(columns)):
        matrix[row, row:] = matrix[row:, row] = triangle[start : start + columns - row]
    return matrix
