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


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("preprocess.encoder", "Space", "FeatureEncoder"),
        ("preprocess.encoder", "fit_space", "fit_encoder"),
        ("preprocess.labels", "RealTargets", "TargetScaler"),
        ("report", "Exhibit", "ExampleGrid"),
        ("evaluate.leaderboard", "standings", "leaderboard"),
        ("evaluate.leaderboard", "Rivals", "Baselines"),
        ("evaluate.verdicts", "settle", "verdicts_of"),
        ("workflows.compare", "Entrants", "ComparisonSettings"),
        ("workflows.certify", "Question", "CertificateSettings"),
        ("workflows.certify", "rivals_of", "baselines_of"),
        ("workflows.find_budget", "Look", "Trial"),
        ("distill.finite_convnet", "Body", "FiniteConvNet"),
        ("certify.overlap", "usual_distance", "typical_distance"),
        ("gram.fallback", "Room", "MemoryBudget"),
    ],
)
def test_an_old_member_gives_the_new_one(module, old, new):
    found = importlib.import_module(f"datastill.{module}")
    with pytest.warns(DeprecationWarning, match=f"datastill.{module}.{old} is now {new}; "):
        assert getattr(found, old) is getattr(found, new)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = found.nothing
