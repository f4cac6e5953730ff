"""Verdicts are right as often as they say, whatever is asked at once."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE, holm, verdicts


def table(draw, scores, seeds=5, n_test=300, spread=0.02):
    """Accuracies of sets and one learner each: a mean, a spread over seeds, and test rows drawn anew."""
    rows = []
    for name, mean in scores.items():
        for learner in ("a", "b"):
            for seed in range(seeds):
                risk = np.clip(mean + spread * draw.standard_normal(), 0, 1)
                rows.append(
                    {"set": name, "learner": learner, "seed": seed, "accuracy": draw.binomial(n_test, risk) / n_test}
                )
    return pd.DataFrame(rows)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(p):
    p = np.array(p)
    expected, order, running = np.empty(len(p)), np.argsort(p), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p) - rank) * p[i]))
        expected[i] = running
    np.testing.assert_allclose(holm(p), expected)


def test_a_clear_difference_is_named_and_a_small_one_is_not():
    draw = np.random.default_rng(0)
    scores = {"random": 0.7, "good": 0.9, "bad": 0.4, "same": 0.7}
    found = verdicts(table(draw, scores), dict.fromkeys(["good", "bad", "same"], "random"), 300)
    said = found.groupby("set", sort=False)["verdict"].agg(set).to_dict()
    assert said == {"good": {BETTER}, "bad": {WORSE}, "same": {UNCLEAR}}
    assert (found.set_index("set").loc["good", "difference"] > 0.1).all()


@pytest.mark.slow
def test_all_verdicts_together_are_seldom_wrong():
    draw, wrong = np.random.default_rng(1), 0
    rivals = {f"set {i}": "random" for i in range(3)}
    for _ in range(200):
        made = table(draw, dict.fromkeys(("random", *rivals), 0.8), seeds=3, n_test=200)
        wrong += (verdicts(made, rivals, 200)["verdict"] != UNCLEAR).any()
    assert wrong / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_one_seed_leaves_the_noise_of_the_test_rows():
    draw = np.random.default_rng(0)
    for n_test, verdict in ((2000, BETTER), (20, UNCLEAR)):
        made = table(draw, {"random": 0.7, "set": 0.8}, seeds=1, n_test=n_test, spread=0)
        assert set(verdicts(made, {"set": "random"}, n_test)["verdict"]) == {verdict}


def test_a_learner_that_failed_decides_nothing():
    made = table(np.random.default_rng(0), {"random": 0.1, "set": 0.9})
    made.loc[(made["learner"] == "a") & (made["set"] == "set"), "accuracy"] = np.nan
    found = verdicts(made, {"set": "random"}, 300).set_index("learner")
    assert found.loc["a", "verdict"] == UNCLEAR
    assert np.isnan(found.loc["a", "difference"])
    assert found.loc["b", "verdict"] == BETTER
    none = verdicts(made, {}, 300)
    assert len(none) == 0
