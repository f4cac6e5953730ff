"""Memory in bytes: what this process may have, what it may still take, and what it has held at most."""

from contextlib import suppress
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux states the limit of a container: version 2 of its control groups, and version 1."""


def memory_present() -> int:
    """Return what this process may have: the machine's memory, or less under a limit of its own or of a container."""
    limits = [psutil.virtual_memory().total]
    for place in CONTAINERS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            limits.append(int(Path(place).read_text()))
    if resource is not None:
        space, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [space] if space != resource.RLIM_INFINITY else []
    return min(limits)


def memory_left() -> int:
    """Return what this process may still take: of what it may have, and of what no process uses."""
    own = psutil.Process().memory_info().rss
    return max(min(memory_present() - own, psutil.virtual_memory().available), 0)


def peak_memory() -> int:
    """Return the most that this process has held."""
    if resource is None:
        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if psutil.MACOS else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
