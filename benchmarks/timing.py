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


def machine() -> str:
    """Its architecture and its cores."""
    return f"{platform.machine()}, {os.cpu_count()} cores"
