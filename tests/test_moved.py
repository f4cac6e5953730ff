"""Old names: for one release they work, and say what to use."""

import importlib
import sys

import pytest

from datastill._moved import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_gives_the_module_of_the_new_one(old, new, monkeypatch):
    module = importlib.import_module(f"datastill.{new}")
    monkeypatch.delitem(sys.modules, f"datastill.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=f"datastill.{old} is now datastill.{new}; "):
        found = importlib.import_module(f"datastill.{old}")
    assert found is module
    assert found.__spec__.name == found.__name__ == f"datastill.{new}"


def test_names_that_never_were_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("datastill.nothing")
