"""Whatever interrupts a command, the same command goes on and ends in the same bits; and damage is noticed.

Most kills here are simulated: at one point of one write (the temporary file is made; half of it is written; it is
whole; it is in its place) an exception that nothing catches is raised, and from then on nothing can be written or
deleted, as in a process that is gone. What the process held in memory is thrown away, so that what follows meets just
the files that SIGKILL would have left there. It takes no new interpreter, so that every such point of every command is
gone through, one after the other in one folder, until the command ends. Some real SIGKILLs at random moments, which
also strike outside of writes, follow at the end: they start from a process that has imported everything and forks.
"""

import contextlib
import errno
import io
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from datastill import Dataset, SupportSet
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.data import archive, claims
from datastill.data.task import with_test
from datastill.distill import checkpoints, loop
from datastill.workflows import distill as workflow
from datastill.workflows import run_files

STAGES = ("made", "half written", "written", "in place")


class Killed(BaseException):
    """A process that is gone."""


class Death:
    """Kills at one stage of one write; from then on the file system can no longer be changed."""

    def __init__(self, monkeypatch, write, stage):
        self.write, self.stage, self.count, self.dead = write, stage, 0, False
        real = tempfile.mkstemp, os.fsync, Path.replace, Path.unlink, Path.rmdir, shutil.rmtree

        def gone(*_, **__):
            raise OSError(errno.EIO, "a process that is gone writes nothing")

        def mkstemp(*arguments, **named):
            if self.dead:
                gone()
            found = real[0](*arguments, **named)
            self.count += 1
            self.at(0, found[0])
            if self.count == self.write and self.stage == 1:
                os.write(found[0], b"half")
                self.at(1, found[0])
            return found

        def fsync(descriptor):
            real[1](descriptor)
            self.at(2)

        def replace(path, target):
            if self.dead:
                gone()
            found = real[2](path, target)
            if Path(path).name.startswith("."):
                self.at(3)
            return found

        monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)
        for owner, name, do in ((Path, "unlink", real[3]), (Path, "rmdir", real[4]), (shutil, "rmtree", real[5])):
            monkeypatch.setattr(owner, name, lambda *a, do=do, **k: gone() if self.dead else do(*a, **k))

    def at(self, stage, descriptor=None):
        if (self.count, stage) == (self.write, self.stage) and not self.dead:
            self.dead = True
            if descriptor is not None:
                os.close(descriptor)
            raise Killed


def killed(do, write, stage):
    """Whether a call was killed there; if not, it has ended."""
    with pytest.MonkeyPatch.context() as patch:
        death = Death(patch, write, stage)
        try:
            do()
        except Killed:
            return True
        assert not death.dead
        return False


def kill_everywhere(do, folder, most=1000):
    """Kill a call at each stage of each of its writes, one after the other; how many kills it took until it ended.

    Where a file was new, its place among the writes is the next file's in the call that follows.
    """
    kills, write, stage, files = 0, 1, 0, count(folder)
    while kills < most and killed(do, write, stage):
        kills += 1
        stage = (stage + 1) % len(STAGES)
        if stage == 0:
            before, files = files, count(folder)
            write += files == before
    do()
    return kills


def count(folder):
    """Files in it that are none of a write's own."""
    return sum(not path.name.startswith(".") for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a few rows as arrays, in several files, and as a table."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    y = np.arange(120) % 2
    x = (draw.normal(size=(120, 3)) + 2 * y[:, None]).astype(np.float32)
    np.savez(folder / "rows.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    np.savez(folder / "more.npz", x=x[60:], y=y[60:])
    cells = [f"{a:.3f},{'uv'[i % 3 % 2]},{'pq'[k]}" for i, (a, k) in enumerate(zip(x[:, 0], y, strict=True))]
    (folder / "table.csv").write_text("\n".join(["a,b,class", *cells]))
    return folder


def told(words, place):
    """What a command says, run in a folder of its own; the lines that name files are left out."""
    said, wrong = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(place),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(wrong),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of damaged checkpoints
        assert run([str(word) for word in words]) == 0, wrong.getvalue()
    return [line for line in said.getvalue().splitlines() if "html" not in line and "rows/s" not in line]


def content(folder, names):
    """The bytes of files by name."""
    return {name: (folder / name).read_bytes() for name in names}


RANDOM = ("distill", "table.csv", "--target", "class", "--method", "random", "--ipc", "1", "--out", "run")
SOLVED = ("distill", "rows.npz", "--method", "label-solve", "--kernel", "rbf", "--ipc", "1", "--out", "run")
LEARNED = ("distill", "rows.npz", "--kernel", "linear", "--ipc", "1", "--steps", "6", "--out", "run")
TAUGHT = (
    *(
        "distill",
        "rows.npz",
        "--method",
        "universal",
        "--for",
        "knn",
        "--ipc",
        "1",
        "--steps",
        "4",
        "--learners",
        "none",
    ),
    *("--out", "run"),
)
SUMMED = ("moments", "rows.npz", "more.npz", "--features", "relu:8", "--shard-rows", "10", "--out", "sums")
OF_RUN = ("run/support.safetensors", "run/metrics.json")
KNN = ("--learners", "knn")
COMMANDS = {
    "chosen rows": ([RANDOM], (*OF_RUN, "run/support.csv", "run/rows.safetensors"), 32),
    "for some": ([TAUGHT], OF_RUN, 32),
    "judged": ([(*SOLVED, "--learners", "knn", "--judge-seeds", "1")], OF_RUN, 32),
    "compared": (
        [("compare", "rows.npz", "--methods", "kmeans", "--ipc", "1", *KNN, "--seeds", "1", "--out", "both")],
        ("both/standings.json", "both/sets/kmeans-1-0/support.safetensors"),
        32,
    ),
    "searched": (
        [("certify", "rows.npz", "--find-budget", "--epsilon", "0.5", "--largest", "2", *KNN, "--out", "search")],
        ("search/budget.json",),
        12,
    ),
    "evaluated": ([SOLVED, ("evaluate", "run", "--train", "rows.npz", *KNN, "--seeds", "2")], (), 12),
    "certified": ([SOLVED, ("certify", "run", "--train", "rows.npz", *KNN)], ("run/certificate.json",), 20),
    "summed": ([SUMMED], ("sums.safetensors",), 32),
    "added": (
        [SUMMED[:2] + SUMMED[3:], ("moments", "sums.safetensors", "--add", "more.npz", "--out", "sums.safetensors")],
        ("sums.safetensors",),
        4,
    ),
}
"""Name -> commands, of which the last is killed, the files that must be the same, and how many kills it takes."""
MOST = 36
LOOP = 100
KIP = 8
SIGKILLS = 22


def test_there_are_enough_kills():
    assert sum(least for _, _, least in COMMANDS.values()) + LOOP + KIP + SIGKILLS >= 300


@pytest.fixture
def places(data, tmp_path):
    """Two folders with the same data, for a command that is killed and for one that is not."""
    for name in ("killed", "whole"):
        shutil.copytree(data, tmp_path / name)
    return tmp_path / "killed", tmp_path / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_at_every_write_goes_on(name, places):
    commands, files, least = COMMANDS[name]
    for place in places:
        for words in commands[:-1]:
            told(words, place)
    whole = told(commands[-1], places[1])
    assert kill_everywhere(lambda: told(commands[-1], places[0]), places[0], MOST) >= least
    assert content(places[0], files) == content(places[1], files)
    for left in places[0].rglob(".*"):
        os.utime(left, (0, 0))
    again = told(commands[-1], places[0])
    assert again == whole or name == "added"  # which was done when it was killed for the last time
    assert not list(places[0].rglob(".*"))


@pytest.mark.slow
def test_a_run_that_learns_is_killed_at_some_writes_and_goes_on(places, monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -np.inf)
    told(LEARNED, places[1])
    points = [(1, 1), (2, 3), (3, 1), (3, 2), (4, 0), (2, 2), (3, 0), (5, 2)]
    assert sum(killed(lambda: told(LEARNED, places[0]), *point) for point in points) == len(points) == KIP
    told(LEARNED, places[0])
    assert content(places[0], OF_RUN) == content(places[1], OF_RUN)


SERVER = """
import json, os, sys
import jax
from datastill.workflows import certify, compare, find_budget, moments
from datastill.cli.app import run
from datastill.distill import loop
loop.SECONDS_BETWEEN_CHECKPOINTS = 0.01
loop.SAVINGS_BETWEEN = 0.1
print("ready", flush=True)
for line in sys.stdin:
    place, words = json.loads(line)
    child = os.fork()  # before JAX has any threads
    if not child:
        os.chdir(place)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(run(words))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """A process from which commands are forked, with everything imported."""

    def __init__(self):
        words = [sys.executable, "-W", "ignore", "-c", SERVER]
        # Unbuffered: `select` sees no line that a buffer has already taken.
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout.readline() == b"ready\n"

    def run(self, words, place, seconds=None):
        """The exit code of a command, which is killed after so many seconds."""
        self.process.stdin.write(json.dumps([str(place), words]).encode() + b"\n")
        child = int(self.process.stdout.readline())
        if seconds is not None and not select.select([self.process.stdout], [], [], seconds)[0]:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.process.stdin.close()
    made.process.wait()
    made.process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "files", "kills"),
    [
        (LEARNED, OF_RUN, 8),
        (COMMANDS["compared"][0][0], COMMANDS["compared"][1], 5),
        (COMMANDS["searched"][0][0], COMMANDS["searched"][1], 4),
        (SUMMED, COMMANDS["summed"][1], 5),
    ],
    ids=["learned", "compared", "searched", "summed"],
)
def test_sigkill_at_any_moment_costs_nothing(words, files, kills, places, server):
    began, draw, done = time.monotonic(), random.Random(0), 0
    assert server.run(words, places[1]) == 0
    whole = time.monotonic() - began
    for _ in range(10 * kills):
        code = server.run(words, places[0], draw.uniform(0.1, 0.9) * whole)
        assert code in (0, -signal.SIGKILL)
        done += code < 0
        if done == kills:
            break
        if code == 0:
            shutil.rmtree(places[0] / words[-1], ignore_errors=True)
    assert done == kills
    assert server.run(words, places[0]) == 0
    assert content(places[0], files) == content(places[1], files)


# The loop, and the files it keeps.


STEPS = 20


def learn(path=None, steps=STEPS):
    """A run of the loop, with a checkpoint at every step."""

    def step(state, number):
        noise = np.random.default_rng(number).standard_normal(2).astype(np.float32)
        return (state[0] * np.float32(0.9) + noise, state[1] + 1), np.float32(number)

    start = (np.array([1, -2], np.float32), np.array(0))
    schedule = loop.Schedule(steps, 3, None)
    return loop.run(start, step, lambda state: (np.asarray(state[0]),), None, schedule, path, "this")


def same(a, b):
    """Whether two runs ended alike."""
    assert repr((a.step, a.loss, a.best_step, a.history)) == repr((b.step, b.loss, b.best_step, b.history))
    np.testing.assert_array_equal(a.best[0], b.best[0])


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -np.inf)


@pytest.mark.slow
def test_the_loop_goes_on_from_a_kill_at_any_point_of_any_save(tmp_path, every_step):
    whole, kills = learn(), 0
    for write in range(1, STEPS + 2):
        for stage in range(len(STAGES)):
            path = tmp_path / f"{write}-{stage}" / "checkpoint"
            path.parent.mkdir()
            kills += killed(lambda path=path: learn(path), write, stage)
            same(learn(path), whole)
    assert kills == 4 * (STEPS + 1)
    path = tmp_path / "checkpoint"
    again = kill_everywhere(lambda: learn(path), tmp_path)
    same(learn(path), whole)
    assert kills + again >= LOOP


@pytest.fixture
def kept(tmp_path, every_step):
    """A checkpoint of a few steps, and the one before it."""
    path = tmp_path / "checkpoint"
    assert killed(lambda: learn(path), 9, 3)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint", "checkpoint.previous"}
    return path


def goes_on(path, after):
    """A run that finds damage says so in one line, goes on, and ends as one that was never stopped."""
    with pytest.warns(UserWarning, match=f"damaged; the run {after}") as said:
        same(learn(path), learn())
    assert len(said) == 1 and "\n" not in str(said[0].message)


def test_a_bit_that_is_wrong_anywhere_in_a_checkpoint_is_noticed(kept):
    whole, before, draw = kept.read_bytes(), kept.with_name("checkpoint.previous").read_bytes(), random.Random(0)
    start = (np.array([1, -2], np.float32), np.array(0))
    right = checkpoints.resume(kept, start, "this")[1]
    for at in range(len(whole)):
        wrong = bytearray(whole)
        wrong[at] ^= 1 << draw.randrange(8)
        kept.write_bytes(wrong)
        kept.with_name("checkpoint.previous").write_bytes(before)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = checkpoints.resume(kept, start, "this")[1]
        assert found.step == right.step - bool(said)  # nothing of what was kept was changed, or it was noticed
        assert said or kept.read_bytes() == wrong
        if not said:
            same(found, right)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: bytes(len(content)),
        lambda content: content.replace(b"best_step", b"best_stop"),
        lambda content: content.replace(b'"step\\": ', b'"step\\": -'),
    ],
    ids=["empty", "few bytes", "half", "shorter", "zeros", "a key missing", "another header"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_or_to_the_start(damage, kept):
    before = kept.with_name("checkpoint.previous")
    whole = content(kept.parent, ("checkpoint", "checkpoint.previous"))
    kept.write_bytes(damage(whole["checkpoint"]))
    goes_on(kept, r"goes on after step 7, from the one before")
    for path, name in ((kept, "checkpoint"), (before, "checkpoint.previous")):
        path.write_bytes(damage(whole[name]))
    goes_on(kept, "begins again")


@pytest.mark.parametrize("wrong", [{}, {"step": "8"}, {"identity": "this"}, {"identity": "this", "step": 1}, []])
def test_a_checkpoint_whose_header_lacks_something_gives_way_too(wrong, kept):
    whole = archive.read_tensors(kept)[0]
    archive.write_tensors(kept, whole, json.dumps(wrong))
    goes_on(kept, "goes on after step 7")


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"PK\x03\x04-\0\0\0\x08", b"\x80\x04\x95\x05\0\0\0\0\0\0\0"])
def test_a_file_of_the_users_is_no_damaged_checkpoint(content, tmp_path, every_step):
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(InputError, match="another kind of file"):
        learn(path)
    assert path.read_bytes() == content
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        learn(tmp_path / "folder")


def test_a_checkpoint_without_a_checksum_is_one_of_an_earlier_version(kept, monkeypatch):
    tensors, header = archive.read_tensors(kept)
    import safetensors.numpy

    kept.write_bytes(safetensors.numpy.save(tensors, {archive.HEADER: header}))
    same(learn(kept), learn())


# Folders.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A function from a folder to a finished run in it, and the data of the run."""
    draw = np.random.default_rng(0)
    y = np.arange(80) % 2
    blobs = Dataset("blobs", draw.normal(size=(80, 3)) + 2 * y[:, None], y)
    split = with_test(blobs, 0, "classification")
    folder = tmp_path_factory.mktemp("finished") / "run"

    def distill(folder):
        return workflow.distill(
            split, workflow.Request("random", "classification", {"ipc": 1}, 0, workflow.NO_JUDGES), folder
        )

    distill(folder)
    return lambda place: shutil.copytree(folder, place), distill


FILES = ("support.safetensors", "manifest.json", "rows.safetensors", "metrics.json", "support.png", "report.html")
DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"~" + path.read_bytes()[-8:]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_any_files_that_a_finished_run_lacks_are_told(damage, finished, tmp_path, capsys):
    make, _ = finished
    for number in range(1, 2 ** len(FILES)):
        lacks = [name for i, name in enumerate(FILES) if number >> i & 1]
        folder = make(tmp_path / str(number))
        for name in lacks:
            DAMAGE[damage](folder / name)
        with pytest.warns(UserWarning, match="missing or damaged; the run is made again"):
            assert run_files.finished(folder) is None
        with pytest.raises(InputError, match=r"missing or damaged|holds no finished run"):
            workflow.read_summary(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["support.safetensors", "manifest.json", "metrics.json", "report.html"])
def test_a_finished_run_that_lacks_a_file_is_made_again(name, damage, finished, tmp_path):
    make, distill = finished
    folder = make(tmp_path / "run")
    whole = content(folder, ("support.safetensors", "metrics.json"))
    DAMAGE[damage](folder / name)
    with pytest.warns(UserWarning, match=f"{name} is missing or damaged; the run is made again"):
        assert not distill(folder).resumed
    assert content(folder, whole) == whole
    assert distill(folder).resumed
    assert len(SupportSet.load(folder)) == 2


def test_a_finished_run_of_an_earlier_version_stays_finished(finished, tmp_path):
    make, distill = finished
    folder = make(tmp_path / "run")
    claim = archive.read_object(folder / "run.json")
    del claim["files"]
    archive.write_json(folder / "run.json", claim)
    (folder / "checkpoint.safetensors").write_bytes(b"")  # the run was killed before it could delete it
    assert distill(folder).resumed
    assert "files" in archive.read_object(folder / "run.json")
    assert not (folder / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("claim", ["[1]", "null", "1", '"a"', "", "{", "[" * 10**5 + "]" * 10**5])
def test_a_claim_that_is_none_is_refused_in_a_line_unless_it_is_alone(claim, finished, tmp_path):
    make, distill = finished
    folder = make(tmp_path / "run")
    (folder / "run.json").write_text(claim)
    with pytest.raises(InputError, match=r"Got .*run\.json.*expected") as caught:
        distill(folder)
    assert "\n" not in str(caught.value)
    for name in FILES:
        (folder / name).unlink()
    assert not distill(folder).resumed


def test_only_leftovers_of_ours_are_deleted_and_only_when_they_are_old(finished, tmp_path):
    make, distill = finished
    folder = make(tmp_path / "run")
    ours = [folder / ".run.json.abcdefgh", folder / ".support.safetensors.x_y0z123"]
    others = [folder / ".run.json", folder / ".notes.abcdefgh", folder / "run.json.abcdefgh", folder / ".a.json.short"]
    for path in (*ours, *others):
        path.write_text("")
    archive.sweep(folder)
    assert all(path.exists() for path in ours)  # a write may be going on
    distill(folder)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("")
    (tmp_path / "mine" / ours[0].name).write_text("")
    with pytest.raises(InputError, match="other files"):
        distill(tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_a_folder_is_held_by_one_at_a_time(finished, tmp_path):
    _, distill = finished
    with claims.held(tmp_path / "run"), pytest.raises(InputError, match="another run is writing"):
        distill(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not distill(tmp_path / "run").resumed


def test_without_locks_nothing_is_held(finished, tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.fcntl, "flock", none)
    with claims.held(tmp_path / "run") as stale:
        assert stale > 0  # others may be writing
        finished[1](tmp_path / "run")
    monkeypatch.setattr(claims, "fcntl", None)  # Windows
    with claims.held(tmp_path / "run"):
        assert finished[1](tmp_path / "run").resumed


@pytest.mark.slow
def test_of_two_runs_that_claim_a_folder_at_once_one_is_refused(data, tmp_path):
    code = textwrap.dedent("""
        import sys, time
        from datastill.workflows import run_files
        from datastill.cli.app import main
        write = run_files.write_json
        run_files.write_json = lambda path, value: (time.sleep(1), write(path, value))
        sys.stdin.readline()
        main()
    """)
    words = [sys.executable, "-c", code, *RANDOM[:-1], str(tmp_path / "run"), "--seed"]
    for seeds in (("0", "1"), ("0", "0")):
        both = [subprocess.Popen([*words, seed], cwd=data, stdin=-1, stdout=-3, stderr=-1, text=True) for seed in seeds]
        for one in both:
            one.stdin.write("\n")
            one.stdin.flush()
        said = [one.communicate(timeout=120)[1] for one in both]
        assert sorted(one.returncode for one in both) == [0, 2]
        refused = said[[one.returncode for one in both].index(2)].splitlines()
        assert "another run" in refused[-1]
        shutil.rmtree(tmp_path / "run")


FULL = {errno.ENOSPC: "No space left", errno.EACCES: "denied", errno.EROFS: "Read-only"}


@pytest.mark.parametrize("number", FULL)
def test_what_cannot_be_written_is_a_line_and_the_same_command_goes_on(number, finished, tmp_path, monkeypatch):
    make, distill = finished
    whole = content(make(tmp_path / "whole"), ("support.safetensors", "metrics.json"))
    real, written = os.fsync, []
    folder = tmp_path / "run"
    for most in range(7):
        written.clear()

        def full(descriptor, most=most):
            written.append(descriptor)
            if len(written) > most:
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"Could not write .*{FULL[number]}") as caught:
            distill(folder)
        assert "\n" not in str(caught.value)
        monkeypatch.setattr(os, "fsync", real)
    distill(folder)
    assert content(folder, whole) == whole


def test_a_folder_that_is_removed_while_it_is_written_to_is_a_line(finished, tmp_path, monkeypatch):
    real = SupportSet.save

    def save(support, folder):
        real(support, folder)
        shutil.rmtree(folder)

    monkeypatch.setattr(SupportSet, "save", save)
    with pytest.raises(OSError, match="Could not write"):
        finished[1](tmp_path / "run")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Could not write"):
        finished[1](tmp_path / "file")
