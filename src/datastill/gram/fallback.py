"""Smaller tiles where a device has no memory left."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from datastill import _moved
from datastill._errors import DatastillWarning

SMALLER = 4
LEAST = 2**20  # bytes
SIGNS = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory")


class MemoryBudget:
    """Bytes for working arrays, less of them whenever the device has no memory left; shared by what works there."""

    def __init__(self, memory: int) -> None:
        self.memory = self._first = memory

    def shrink(self) -> bool:
        """To a quarter, with a warning the first time; False where that would be below the least."""
        if self.memory // SMALLER < LEAST:
            return False
        if self.memory == self._first:
            warnings.warn(
                f"The device has no memory left for working arrays of {self.memory / 2**20:,.0f} MiB; going on with "
                "smaller tiles, which are slower; try a smaller memory to begin with.",
                DatastillWarning,
                stacklevel=3,
            )
        self.memory //= SMALLER
        return True


def within_memory(make: Callable[[int], Callable[..., Any]], room: MemoryBudget) -> Callable[..., Any]:
    """A function whose tiles shrink to what the device has memory for.

    Args:
        make: bytes for working arrays -> a function of that budget, with equal results for all budgets.
        room: the budget.

    Returns:
        The function; when the device has no memory left the room shrinks, and it is made for what is left of it and
        called again.

    Raises:
        RuntimeError: of the device, when the least budget is too much as well, or for other reasons.
    """
    made, function = room.memory, make(room.memory)

    def run(*arguments: Any) -> Any:
        nonlocal made, function
        while True:
            if made != room.memory:
                made, function = room.memory, make(room.memory)
            try:
                return jax.block_until_ready(function(*arguments))
            except RuntimeError as error:
                if not any(sign in str(error) for sign in SIGNS) or not room.shrink():
                    raise

    return run


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Room": "MemoryBudget"})
