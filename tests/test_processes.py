"""`sharded` over processes that find each other by `jax.distributed`: two on this machine, and one that is lost."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import os, sys
import jax, numpy as np
from sklearn.datasets import load_digits

number, count, port, out, checkpoint, leave = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6])
if count > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", count, number)
from datastill import KIP
from datastill.data import sampling
from datastill.gram import sharded, tiled
from datastill.kernels import ConvNet

drawn = sampling.batch
def batch(n, size, seed, step, codes=None):
    if number == 1 and step == leave:
        os._exit(7)
    return drawn(n, size, seed, step, codes)
sampling.batch = batch
x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8)
kernel = sharded(tiled(ConvNet(1)))
kip = KIP(1, kernel=kernel, max_iter=8, batch_size=32, random_state=0, validation_fraction=0, checkpoint=checkpoint)
kip.fit(x[:200], y[:200])
if count > 1:
    assert jax.process_count() == count and len(jax.devices()) > len(jax.local_devices())
np.savez(out, x=kip.X_support_, y=kip.soft_labels_, block=np.asarray(kernel(x[:7], x[200:205])))
"""


def started(folder: Path, number: int, count: int, port: int, checkpoint: Path, leave: int = -1) -> subprocess.Popen:
    words = [number, count, port, folder / f"{number}-of-{count}.npz", checkpoint, leave]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Its code, and what it said."""
    said = process.communicate(timeout=400)[1]
    return process.returncode, said


def agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Kernels to float64 rounding; what eight steps of Adam made of float32 gradients within 1e-3 of the largest entry.

    Adam divides a gradient by its own size, so a pixel whose gradient is almost nothing keeps its rounding (3e-4 here).
    """
    for name, bound in (("block", 1e-12), ("x", 1e-3), ("y", 1e-3)):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=bound * np.abs(expected[name]).max())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    code, said = ended(started(folder, 0, 1, 0, folder / "checkpoint"))
    assert code == 0, said
    return dict(np.load(folder / "0-of-1.npz"))


def test_two_processes_find_what_one_finds(alone, tmp_path):
    port = free_port()
    both = [started(tmp_path, number, 2, port, tmp_path / f"checkpoint-{number}") for number in range(2)]
    for code, said in map(ended, both):
        assert code == 0, said
    first, second = (dict(np.load(tmp_path / f"{number}-of-2.npz")) for number in range(2))
    for name in alone:
        np.testing.assert_array_equal(first[name], second[name])
    agree(first, alone)


def test_a_lost_process_leaves_a_checkpoint_from_which_one_goes_on(alone, tmp_path):
    port, checkpoint = free_port(), tmp_path / "checkpoint"
    both = [started(tmp_path, number, 2, port, checkpoint, leave=5) for number in range(2)]
    (code, said), (lost, _) = map(ended, both)
    assert code != 0 and lost == 7
    assert "at step 5" in said and "with fewer processes" in said
    assert checkpoint.exists()
    # It must go on from step 5: a process that would draw step 4 again leaves.
    code, said = ended(started(tmp_path, 1, 1, 0, checkpoint, leave=4))
    assert code == 0, said
    agree(dict(np.load(tmp_path / "1-of-1.npz")), alone)
