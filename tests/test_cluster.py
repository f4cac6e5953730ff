"""The pass on real schedulers and workers: the same sums, whatever happens on the way."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datastill._errors import InputError
from datastill.cli.app import run
from datastill.data.sharding import shards_of
from datastill.features import RandomFourier
from datastill.moments import collect_all, load, survey
from datastill.moments.cluster import _session, collect_on

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
SHARDS = 24
SUMS = ("second", "cross", "first", "counts")


@pytest.fixture
def work(tmp_path):
    """(recipe, shards, folder for parts) of some thousand rows."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 400 * SHARDS)
    np.savez(tmp_path / "data.npz", x_train=(draw.normal(size=(len(y), 5)) + y[:, None]).astype(np.float32), y_train=y)
    shards = shards_of([tmp_path / "data.npz"], rows=400)
    assert len(shards) == SHARDS
    return survey(shards, RandomFourier(600), kept=20), shards, tmp_path / "parts"


class Grid:
    """A scheduler and workers, each a process of its own."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers = []
        self.start_scheduler()

    def start_scheduler(self):
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )

    def start_worker(self):
        settings = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")
        self.workers.append(self._start("dask_worker", self.address, *settings))
        return self.workers[-1]

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    @staticmethod
    def _start(module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def grid():
    made = Grid()
    yield made
    made.stop()


def parts(folder):
    return len(list(folder.glob("*.safetensors"))) - 1 if folder.exists() else 0  # without the recipe


def when(condition, act, seconds=90):
    """Do something in the background once a condition holds; the thread, which has failed if it never does."""

    def wait():
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        act()
        done.set()

    done = threading.Event()
    threading.Thread(target=wait, daemon=True).start()
    return done


def assert_same(found, recipe, shards):
    """As the pass of one process."""
    whole = collect_all(recipe, shards)
    for side in ("train", "held"):
        for name in SUMS:
            ours, alone = (getattr(getattr(made, side), name) for made in (found, whole))
            np.testing.assert_allclose(ours, alone, rtol=0, atol=2e-6 * np.abs(alone).max())
        assert getattr(found, side).shards == getattr(whole, side).shards
    np.testing.assert_array_equal(found.starts.hashes, whole.starts.hashes)
    np.testing.assert_array_equal(found.checks.z, whole.checks.z)


def test_local_workers_find_what_one_process_finds(work):
    recipe, shards, folder = work
    rows = []
    assert_same(collect_on("local:2", recipe, shards, folder, rows.append), recipe, shards)
    assert sum(rows) == 400 * SHARDS
    assert parts(folder) == 2 * SHARDS - 1  # each shard, and each sum of two


def test_a_killed_worker_costs_nothing_that_was_finished(work, grid):
    recipe, shards, folder = work
    victim = grid.start_worker()
    killed = when(lambda: parts(folder) > 2, lambda: (grid.start_worker(), victim.kill()))
    assert_same(collect_on(grid.address, recipe, shards, folder), recipe, shards)
    assert killed.is_set()


def test_a_slow_worker_is_waited_for_or_worked_around(work, grid):
    recipe, shards, folder = work
    slow = grid.start_worker()
    grid.start_worker()
    woken = threading.Event()

    def doze():
        slow.send_signal(signal.SIGSTOP)
        time.sleep(8)
        slow.send_signal(signal.SIGCONT)
        woken.set()

    dozed = when(lambda: parts(folder) > 2, doze)
    assert_same(collect_on(grid.address, recipe, shards, folder), recipe, shards)
    assert woken.wait(20)
    assert dozed.wait(5)


def test_a_worker_that_stands_still_for_good_costs_its_shard_alone(work, grid):
    recipe, shards, folder = work
    still = grid.start_worker()
    grid.start_worker()
    stopped = when(lambda: parts(folder) > 2, lambda: still.send_signal(signal.SIGSTOP))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert_same(collect_on(grid.address, recipe, shards, folder, limit=12), recipe, shards)
    assert stopped.is_set()
    assert any("take longer than 12 s at tcp://" in str(one.message) for one in told)


def test_ctrl_c_ends_a_pass_whose_worker_stands_still(work, tmp_path):
    out = tmp_path / "m.safetensors"
    command = ["moments", tmp_path / "data.npz", "--features", "fourier:600", "--shard-rows", "400"]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # lest it is ignored, as by `&`
    code = heard + "from datastill.cli.app import main; main()"
    words = [sys.executable, "-c", code, *map(str, command), "--cluster", "local:2", "--out", str(out)]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = out.with_name(out.name + ".parts")
    deadline = time.monotonic() + 120
    while parts(folder) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = [child for child in children(run.pid) if b"spawn_main" in (child / "cmdline").read_bytes()]
    os.kill(int(workers[0].name), signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.splitlines()[-1].startswith("datastill: Interrupted;")
    assert parts(folder) >= 3 and not out.exists()
    assert not any(worker.exists() for worker in workers)


def children(pid):
    """Of a process, as folders of /proc."""
    every = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    return [path for path in every if (path / "stat").read_text().rpartition(")")[2].split()[1] == str(pid)]


def test_a_scheduler_that_is_lost_and_starts_again_is_taken_up_again(work, grid):
    recipe, shards, folder = work
    grid.start_worker()

    def restart():
        for process in (grid.scheduler, *grid.workers):
            process.kill()
            process.wait()
        grid.workers.clear()
        grid.start_scheduler()
        grid.start_worker()

    restarted = when(lambda: parts(folder) > 2, restart)
    assert_same(collect_on(grid.address, recipe, shards, folder), recipe, shards)
    assert restarted.is_set()


def test_a_shard_that_cannot_be_read_is_named_and_the_rest_is_kept(tmp_path, grid):
    draw = np.random.default_rng(0)
    for i in range(4):
        frame = pd.DataFrame({"a": draw.normal(size=50), "b": draw.normal(size=50), "class": draw.integers(0, 2, 50)})
        frame.to_parquet(tmp_path / f"{i}.parquet")
    shards = shards_of(sorted(tmp_path.glob("*.parquet")), "class")
    recipe = survey(shards, RandomFourier(8), target="class")
    grid.start_worker()
    whole = (tmp_path / "2.parquet").read_bytes()
    (tmp_path / "2.parquet").write_bytes(whole[: len(whole) // 2])
    folder = tmp_path / "parts"
    with pytest.raises(InputError, match=r"1 of 4 shards .*2\.parquet") as caught:
        collect_on(grid.address, recipe, shards, folder)
    assert "\n" not in str(caught.value)
    assert parts(folder) == 3
    (tmp_path / "2.parquet").write_bytes(whole)
    assert_same(collect_on(grid.address, recipe, shards, folder), recipe, shards)


def test_a_worker_that_stays_makes_the_pass_that_is_asked_for(work, grid):
    recipe, shards, folder = work
    other = survey(shards, RandomFourier(5, seed=3), kept=7)
    grid.start_worker()
    for how in (recipe, other):
        assert_same(collect_on(grid.address, how, shards, folder), how, shards)


def test_workers_may_have_another_working_folder(work, grid, tmp_path, monkeypatch):
    recipe, _, folder = work
    grid.start_worker()
    monkeypatch.chdir(tmp_path)
    shards = shards_of(["data.npz"], rows=2000)
    assert_same(collect_on(grid.address, recipe, shards, folder), recipe, shards)


def test_what_kills_every_worker_is_named():
    with _session("local:1") as session, pytest.raises(InputError, match="Got the shard, at which worker after"):
        session.run({"the shard": (os._exit, 1)})


def test_a_scheduler_without_workers_is_not_waited_for(work, grid, monkeypatch):
    monkeypatch.setattr("datastill.moments.cluster.SECONDS_TO_CONNECT", 8)
    recipe, shards, folder = work
    with pytest.raises(InputError, match="no worker joined in 8 s"):
        collect_on(grid.address, recipe, shards, folder)


def test_the_command_line_takes_workers(tmp_path, capsys):
    found = []
    for name, words in (("one", []), ("two", ["--cluster", "local:2"])):
        out = tmp_path / f"{name}.safetensors"
        command = ["moments", "digits", "--features", "relu:32", "--shard-rows", "500", *words, "--out", str(out)]
        assert run([*command, "--json"]) == 0
        found.append(load(out))
    np.testing.assert_allclose(found[1].train.second, found[0].train.second, rtol=0, atol=1e-4)
    assert found[1].train.shards == found[0].train.shards and len(found[0].train.shards) == 4


def test_shards_of_equal_rows_are_named(tmp_path, work):
    folder = work[2]
    (tmp_path / "copy.npz").write_bytes((tmp_path / "data.npz").read_bytes())
    twice = shards_of([tmp_path / "data.npz", tmp_path / "copy.npz"], rows=4800)
    recipe = survey(twice, RandomFourier(8))
    for collect in (collect_on, lambda _, *arguments: collect_all(*arguments)):
        with pytest.raises(InputError, match=r"copy\.npz\[0:4800\], whose rows equal those of .*data\.npz"):
            collect("local:1", recipe, twice, folder)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("local:0", "local:N"),
        ("local:many", "local:N"),
        ("tcp://127.0.0.1:1", "no scheduler answers"),
        ("x", "scheduler"),
    ],
)
def test_addresses_that_are_none_are_refused(work, where, message, monkeypatch):
    monkeypatch.setattr("datastill.moments.cluster.SECONDS_TO_CONNECT", 1)
    recipe, shards, folder = work
    with pytest.raises(InputError, match=message) as caught:
        collect_on(where, recipe, shards, folder)
    assert "\n" not in str(caught.value)
