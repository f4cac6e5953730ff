"""What several processes cost: blocks and derivatives of `sharded` kernels in two, beside half the rows in one.

    python benchmarks/processes.py

Two processes on this machine find each other by `jax.distributed` (gloo), each on a core of its own. What they take
longer than one of them takes for its half of the rows, on one core with nothing beside it, is the cost of gathering and
waiting. The linear kernel has next to no work, so that its seconds are those of gathering.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import machine, seconds_of

from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.gram import sharded
from datastill.gram.names import named

RESULT = Path(__file__).parent / "results" / "processes.json"
# name -> shape of a row, rows of both sides
CASES = {"convnet2": ((16, 16, 1), 96), "conv-vec3": ((16, 16, 1), 512), "fc3": ((784,), 2048), "linear": ((16,), 2048)}


def child(number: int, count: int, port: int) -> None:
    """One process: seconds of each case, printed as JSON by the first."""
    os.sched_setaffinity(0, {number})
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", count, number)
    found = {}
    for name, (shape, n) in CASES.items():
        kernel, draw = named(name), np.random.default_rng(0)
        x1, x2 = (jnp.asarray(draw.standard_normal((n, *shape)), jnp.float32) for _ in range(2))
        if count > 1:
            kernel = sharded(kernel)
        else:  # what one process of two does of the whole
            x1 = x1[: n // 2]

        def total(b: Any, a: Any, kernel: Any = kernel) -> Any:
            return jnp.sum(jnp.sin(kernel.block(a, b)))

        found[name] = {
            "block": seconds_of(jax.jit(kernel.block), x1, x2),
            "derivative": seconds_of(jax.jit(jax.grad(total)), x2, x1),
        }
    if number == 0:
        print(json.dumps(found))


def run(count: int) -> dict[str, dict[str, float]]:
    """The cases in so many processes."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1", "JAX_PLATFORMS": "cpu"}
    words = [[sys.executable, __file__, str(number), str(count), str(port)] for number in range(count)]
    running = [subprocess.Popen(w, env=environment, stdout=subprocess.PIPE, text=True) for w in words]
    said = [process.communicate(timeout=600)[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"A process ended with {[process.returncode for process in running]}.")
    found: dict[str, dict[str, float]] = json.loads(said[0].splitlines()[-1])
    return found


def main() -> None:
    """Half the rows in one process, then all in two."""
    half, both = run(1), run(2)
    rows = [
        {
            "kernel": name,
            "rows": n,
            "mib_gathered": n**2 * 4 / 2 / 2**20,  # the other half of the block
            "block_half": half[name]["block"],
            "block_two_processes": both[name]["block"],
            "derivative_half": half[name]["derivative"],
            "derivative_two_processes": both[name]["derivative"],
        }
        for name, (_, n) in CASES.items()
    ]
    write_json(RESULT, {"rows": rows, "machine": machine(), "versions": versions()})
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(*map(int, sys.argv[1:]))
    else:
        main()
