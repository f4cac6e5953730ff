"""How benchmarks time what JAX compiles, and how they name the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

REPETITIONS = 5


def seconds_of(f: Callable[..., Any], *arguments: Any) -> float:
    """Median over repetitions, after the first, which compiles."""
    jax.block_until_ready(f(*arguments))
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        jax.block_until_ready(f(*arguments))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def run_for(seconds: float, state: Any, step: Callable[[Any, int], tuple[Any, Any]]) -> tuple[Any, dict[str, Any]]:
    """Steps for so long: the last state, and how many there were, with their seconds and losses.

    The time is that of the median step by their number, so that a pause costs nothing.
    """
    took: list[float] = []
    losses: list[float] = []
    while not took or statistics.median(took) * len(took) < seconds:
        began = time.perf_counter()
        state, loss = step(state, len(took))
        losses.append(float(loss))
        took.append(time.perf_counter() - began)
        print(len(took), f"{took[-1]:.2f} s", losses[-1], flush=True)
    each = statistics.median(took)
    return state, {"steps": len(took), "seconds_a_step": each, "seconds": each * len(took), "losses": losses}


def machine() -> str:
    """Its architecture and its cores."""
    return f"{platform.machine()}, {os.cpu_count()} cores"
