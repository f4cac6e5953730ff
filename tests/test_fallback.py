"""Smaller tiles where a device has no memory left; a device that says so is made up."""

import warnings

import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from datastill import KIP, NetworkKIP
from datastill._errors import DatastillWarning, SolveError
from datastill.distill import kernel_objective, kip, pool
from datastill.gram.fallback import LEAST, MemoryBudget, within_memory

FULL = JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


def made(room, tried):
    def make(memory):
        def function(x):
            tried.append(memory)
            if memory > room:
                raise FULL
            return x + 1

        return function

    return make


def test_tiles_shrink_to_what_fits_and_it_is_said_once():
    tried = []
    run = within_memory(made(2**26, tried), MemoryBudget(2**30))
    with pytest.warns(DatastillWarning, match=r"working arrays of 1,024 MiB; going on with smaller tiles") as said:
        assert run(1) == 2
    assert len(said) == 1 and tried == [2**30, 2**28, 2**26]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(2) == 3
    assert tried[3:] == [2**26]


def test_what_shares_a_room_shrinks_together_and_it_is_said_once():
    tried, room = [], MemoryBudget(2**30)
    steps, validations = (within_memory(made(2**26, tried), room) for _ in range(2))
    with pytest.warns(DatastillWarning) as said:
        assert steps(1) == 2 and validations(1) == 2
    assert len(said) == 1 and tried == [2**30, 2**28, 2**26, 2**26]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert within_memory(made(2**24, tried), room)(1) == 2 and steps(1) == 2
    assert tried[4:] == [2**26, 2**24, 2**24]


@pytest.mark.filterwarnings("ignore::datastill._errors.DatastillWarning")
def test_the_least_budget_is_tried_and_the_devices_error_passed_on():
    tried = []
    with pytest.raises(JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        within_memory(made(0, tried), MemoryBudget(2**24))(1)
    assert tried == [2**24, 2**22, LEAST]


def test_other_errors_are_passed_on_at_once():
    def make(memory):
        def function():
            raise RuntimeError("a lost process")

        return function

    with pytest.raises(RuntimeError, match="a lost process"):
        within_memory(make, MemoryBudget(2**30))()


def short_of_memory(room):
    """`kip.step` on a device with room for so many bytes."""
    true = kip.step

    def step(problem):
        advance = true(problem)

        def run(*arguments):
            if problem.memory > room:
                raise FULL
            return advance(*arguments)

        return run

    return step


def learned(**settings):
    x = np.random.default_rng(0).normal(size=(60, 4))
    return KIP(1, max_iter=3, memory=2**28, random_state=0, **settings).fit(x, np.arange(60) % 2)


def test_kip_goes_on_with_smaller_tiles(monkeypatch):
    whole = learned()
    monkeypatch.setattr(kip, "step", short_of_memory(2**25))
    with pytest.warns(DatastillWarning, match="256 MiB"):
        found = learned()
    np.testing.assert_allclose(found.X_support_, whole.X_support_, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::datastill._errors.DatastillWarning")
def test_where_nothing_fits_the_steps_before_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(kip, "step", short_of_memory(0))
    with pytest.raises(
        SolveError, match=r"at step 0: RESOURCE_EXHAUSTED.*has the steps before; try again with smaller"
    ):
        learned(checkpoint=tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").exists()


def test_a_device_that_fails_outside_the_steps_is_told_in_one_line(monkeypatch, tmp_path):
    def fails(*arguments, **settings):
        raise FULL

    monkeypatch.setattr(pool, "init", fails)
    images = np.random.default_rng(0).normal(size=(20, 8, 8))
    with pytest.raises(SolveError, match="error of the device: RESOURCE_EXHAUSTED"):
        NetworkKIP(1, max_iter=1, random_state=0).fit(images, np.arange(20) % 2)
    monkeypatch.setattr(kernel_objective, "solve_labels", fails)
    with pytest.raises(SolveError, match="a checkpoint, where there is one, has the steps"):
        learned(checkpoint=tmp_path / "checkpoint")
