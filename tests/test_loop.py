"""The loop: an interrupted run that goes on ends in the same bits as one that was never stopped."""

import math
import shutil
import signal
import threading
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastill._errors import InputError, OutputError, SolveError
from datastill.data import archive
from datastill.distill import loop

STEPS = 12
SCHEDULE = loop.Schedule(STEPS, 3, None)


class State(NamedTuple):
    """Two arrays, one of whole numbers, so that a checkpoint holds more than one kind."""

    x: jax.Array
    count: jax.Array


START = State(jnp.array([1.0, -2.0]), jnp.array(0))


def step(state, number):
    noise = np.random.default_rng(number).standard_normal(2).astype(np.float32)
    moved = State(state.x * 0.9 + 0.1 * noise, state.count + 1)
    return moved, jnp.sum(moved.x**2)


def held_out(state):
    """A validation loss that goes down and up again."""
    return abs(int(state.count) - 6) + 0.5, 1.0 - abs(int(state.count) - 6) / 10


def examples(state):
    return (np.asarray(state.x),)


def run(checkpoint=None, watch=None, validate=held_out, schedule=SCHEDULE, advance=step, identity="this", start=START):
    return loop.run(start, advance, examples, validate, schedule, checkpoint, identity, watch)


def equal(a, b):
    """Whether two runs ended alike, bit for bit."""
    assert repr((a.step, a.loss, a.best_step, a.best_loss, a.history, a.converged)) == repr(
        (b.step, b.loss, b.best_step, b.best_loss, b.history, b.converged)
    )
    assert [at for at, _ in a.snapshots] == [at for at, _ in b.snapshots]
    for one, two in zip((*a.best, *(x for _, x in a.snapshots)), (*b.best, *(x for _, x in b.snapshots)), strict=True):
        assert one.dtype == two.dtype
        assert one.tobytes() == two.tobytes()


def test_of_equal_validations_the_first_is_kept():
    found = run(validate=lambda state: (1.0, 0.5))
    assert found.best_step == 0 and len(found.history) == 1 + STEPS // 3
    equal_first = run(validate=lambda state: (1.0, 0.5), schedule=loop.Schedule(STEPS, 3, 2))
    assert equal_first.step == 6 and equal_first.converged  # an equal one is no improvement


class Stop(Exception):
    """What the tests raise to end a run."""


def never(state, number):
    raise AssertionError("a finished run took a step")


def stop_at(number):
    def watch(progress):
        if progress.step == number:
            raise Stop

    return watch


@pytest.fixture(scope="module")
def uninterrupted():
    return run()


@pytest.fixture
def every_step(monkeypatch):
    """Checkpoints after every step rather than by the clock."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -np.inf)


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_a_run_that_failed_at_any_step_goes_on_as_if_it_had_not(number, tmp_path, every_step, uninterrupted):
    path = tmp_path / "checkpoint"
    with pytest.raises(Stop):
        run(path, stop_at(number))
    seen = []
    equal(run(path, lambda progress: seen.append(progress.step)), uninterrupted)
    assert seen[0] == number  # the step that failed is the first to be done again


def test_a_run_that_was_killed_goes_on_from_any_copy_of_its_checkpoint(tmp_path, every_step, uninterrupted):
    path = tmp_path / "checkpoint"
    copies = []

    def copy(progress):
        copies.append(tmp_path / f"copy{progress.step}")
        shutil.copy(path, copies[-1])

    equal(run(path, copy), uninterrupted)
    for old in copies:
        equal(run(old), uninterrupted)


def test_many_interruptions_add_up_to_nothing(tmp_path, every_step, uninterrupted):
    path = tmp_path / "checkpoint"
    for number in (2, 3, 7, 11):
        with pytest.raises(Stop):
            run(path, stop_at(number))
    equal(run(path), uninterrupted)


def test_a_finished_run_is_read_and_does_no_step(tmp_path, uninterrupted):
    path = tmp_path / "checkpoint"
    run(path)
    equal(run(path, stop_at(STEPS), advance=never), uninterrupted)


@pytest.fixture
def heeded():
    """Ctrl-C, although whoever started the tests may ignore it, as a shell does with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.01)  # until Python has met it: two that wait together would be one


@pytest.mark.parametrize("number", [1, 5, STEPS - 1])
def test_ctrl_c_waits_for_the_step_and_leaves_a_checkpoint(number, tmp_path, uninterrupted, heeded):
    path = tmp_path / "checkpoint"
    seen = []

    def watch(progress):
        seen.append(progress.step)
        if progress.step == number:
            ctrl_c()
            seen.append("still here")

    with pytest.raises(KeyboardInterrupt):
        run(path, watch)
    assert seen[-2:] == [number, "still here"]
    assert signal.getsignal(signal.SIGINT) is heeded
    seen.clear()
    equal(run(path, lambda progress: seen.append(progress.step)), uninterrupted)
    assert seen[0] == number + 1  # nothing was lost


def test_ctrl_c_without_a_checkpoint_still_interrupts(heeded):
    with pytest.raises(KeyboardInterrupt):
        run(None, lambda progress: ctrl_c())


def test_a_second_ctrl_c_does_not_wait(heeded):
    seen = []

    def watch(progress):
        ctrl_c()
        seen.append("first")
        ctrl_c()
        seen.append("second")

    with pytest.raises(KeyboardInterrupt):
        run(None, watch)
    assert seen == ["first"]


def test_where_ctrl_c_is_ignored_it_stays_so(heeded, uninterrupted):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    equal(run(watch=lambda progress: ctrl_c()), uninterrupted)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_leave_signals_alone(uninterrupted):
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        found.append(run(watch=lambda progress: found.append(signal.getsignal(signal.SIGINT))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] is before
    equal(found[-1], uninterrupted)


def test_the_checkpoint_of_another_run_is_ignored(tmp_path, every_step, uninterrupted):
    path = tmp_path / "checkpoint"
    with pytest.raises(Stop):
        run(path, stop_at(5), identity="other", start=State(jnp.array([9.0, 9.0, 9.0]), jnp.array(0)), advance=fade)
    equal(run(path), uninterrupted)


def fade(state, number):
    return State(state.x * 0.5, state.count + 1), jnp.sum(state.x)


@pytest.mark.parametrize("header", ["", "{}", "words"])
def test_a_file_of_another_kind_is_no_checkpoint(header, tmp_path, every_step):
    path = tmp_path / "checkpoint"
    archive.write_tensors(path, {"x": np.ones(2)}, header)
    with pytest.raises(InputError, match="another kind") as caught:
        run(path)
    assert str(path) in str(caught.value)


def test_a_device_that_fails_in_validation_leaves_a_checkpoint(tmp_path, every_step, uninterrupted):
    def failing(state):
        if state.count == 6:
            raise jax.errors.JaxRuntimeError("no memory left\nand more")
        return held_out(state)

    path = tmp_path / "checkpoint"
    with pytest.raises(SolveError, match=r"at step 6: no memory left; .* has the steps before"):
        run(path, validate=failing)
    equal(run(path), uninterrupted)


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Could not write"):
        run(tmp_path / "file" / "checkpoint")


def test_checkpoints_follow_the_clock(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(loop, "_save", lambda *a: written.append(a))
    run(tmp_path / "checkpoint")
    assert len(written) == 1  # at the end only: the run takes less than the time between checkpoints


def test_the_best_step_is_kept(uninterrupted):
    assert uninterrupted.best_step == 6
    assert uninterrupted.best_loss == 0.5
    assert [record.step for record in uninterrupted.history] == [0, 3, 6, 9, 12]
    assert [record.validation_loss for record in uninterrupted.history] == [6.5, 3.5, 0.5, 3.5, 6.5]
    at = START
    for number in range(6):
        at, _ = step(at, number)
    np.testing.assert_array_equal(uninterrupted.best[0], at.x)


def test_without_validation_the_last_step_is_kept():
    found = run(validate=None)
    assert found.best_step == found.step == STEPS
    assert found.best_loss == found.loss
    assert math.isnan(found.history[-1].validation_loss)
    assert not found.converged


@pytest.mark.parametrize(("patience", "stops_at"), [(1, 9), (2, 12), (None, 12)])
def test_patience_counts_validations_since_the_best(patience, stops_at):
    found = run(schedule=loop.Schedule(STEPS, 3, patience))
    assert found.step == stops_at
    assert found.converged == (patience is not None)
    assert found.best_step == 6


def test_a_stopped_run_resumes_as_stopped(tmp_path):
    schedule = loop.Schedule(STEPS, 3, 1)
    path = tmp_path / "checkpoint"
    equal(run(path, schedule=schedule), run(path, schedule=schedule, advance=never))


def test_no_steps_keep_the_start():
    found = run(schedule=loop.Schedule(0, 1, None))
    assert found.step == found.best_step == 0
    np.testing.assert_array_equal(found.best[0], START.x)


@pytest.mark.parametrize("validate", [held_out, None])
def test_a_loss_that_is_not_finite_ends_the_run_and_the_checkpoint_keeps_the_best(validate, tmp_path):
    def explode(state, number):
        state, loss = step(state, number)
        return state, loss if number < 7 else jnp.nan

    path = tmp_path / "checkpoint"
    with pytest.raises(SolveError, match=r"at step 9.*checkpoint has.*step 6; try.*learning_rate") as caught:
        run(path, advance=explode, validate=validate)
    assert "\n" not in str(caught.value)
    assert "best.0" in archive.read_tensors(path)[0]


def test_a_validation_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(SolveError, match=r"non-finite loss at step 0; expected a number; try a larger reg"):
        run(validate=lambda _: (float("nan"), 0.5))


def test_examples_that_are_not_finite_end_the_run():
    def explode(state, number):
        return State(state.x * jnp.inf, state.count + 1), jnp.array(1.0)

    with pytest.raises(SolveError, match="non-finite"):
        run(advance=explode)


@given(steps=st.integers(0, 10_000))
def test_snapshots_span_the_run(steps):
    at = loop.snapshot_steps(steps)
    assert {0, steps} <= at
    assert len(at) <= 10
    assert min(at) >= 0
    assert max(at) == steps


def test_snapshots_are_of_their_steps(uninterrupted):
    assert {at for at, _ in uninterrupted.snapshots} == loop.snapshot_steps(STEPS)
    np.testing.assert_array_equal(uninterrupted.snapshots[0][1], START.x)
    np.testing.assert_array_equal(uninterrupted.snapshots[1][1], step(START, 0)[0].x)


def test_watchers_see_every_step():
    seen = []
    run(watch=lambda progress: seen.append((progress.step, len(progress.history))))
    assert [at for at, _ in seen] == list(range(1, STEPS + 1))
    assert [count for _, count in seen][:4] == [1, 1, 1, 2]
