"""Smaller tiles where a device has no memory left."""

import warnings
from collections.abc import Callable
from typing import Any

import jax

SMALLER = 4
LEAST = 2**20  # bytes
SIGNS = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory")


def within_memory(make: Callable[[int], Callable[..., Any]], memory: int) -> Callable[..., Any]:
    """A function whose tiles shrink to what the device has memory for.

    Args:
        make: bytes for working arrays -> a function of that budget, with equal results for all budgets.
        memory: bytes to begin with.

    Returns:
        The function; when the device has no memory left it is made for a quarter of the budget, down to 1 MiB, and
        called again. It warns of the first time.

    Raises:
        RuntimeError: of the device, when the least budget is too much as well, or for other reasons.
    """
    budget, function = memory, make(memory)

    def run(*arguments: Any) -> Any:
        nonlocal budget, function
        while True:
            try:
                return jax.block_until_ready(function(*arguments))
            except RuntimeError as error:
                if budget // SMALLER < LEAST or not any(sign in str(error) for sign in SIGNS):
                    raise
            if budget == memory:
                warnings.warn(
                    f"The device has no memory left for working arrays of {memory / 2**20:,.0f} MiB; going on with "
                    "smaller tiles, which are slower; try a smaller memory to begin with.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            budget //= SMALLER
            function = make(budget)

    return run
