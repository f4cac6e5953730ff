"""Verdicts are right as often as they say, whatever is asked at once; scores are put beside the right rivals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from datastill.evaluate.leaderboard import Baselines, leaderboard, normalised, robustness
from datastill.evaluate.means import Prior, crossed, prior_of
from datastill.evaluate.protocol import Judged
from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE, Duel, holm, p_of, verdicts_of


def judged(draw, scores, seeds=5, n_test=300, spread=0.02, labels="hard", asked=("soft",)):
    """Losses of sets and two learners: a mean, a spread over seeds, and test rows of their own difficulty."""
    rows, losses = [], []
    difficulty = draw.random(n_test)
    for name, mean in scores.items():
        for learner in ("a", "b"):
            for seed in range(seeds):
                for way in asked:
                    accuracy = np.clip(mean + spread * draw.standard_normal(), 0, 1)
                    # Half of the chance is shared by all sets: rows are hard or easy for all alike.
                    shared = draw.random(n_test) < 0.5
                    loss = np.where(shared, difficulty, draw.random(n_test)) > accuracy
                    row = {"set": name, "learner": learner, "asked": way, "seed": seed, "n": 10, "labels": labels}
                    rows.append(row | {"error": "", "accuracy": 1 - loss.mean()})
                    losses.append({"losses": loss.astype(np.float32)})
    return Judged(pd.DataFrame(rows), losses, "accuracy")


def against(rival, *names):
    return {name: Baselines(rival, rival) for name in names}


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(p):
    p = np.array(p)
    expected, order, running = np.empty(len(p)), np.argsort(p), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p) - rank) * p[i]))
        expected[i] = running
    np.testing.assert_allclose(holm(p), expected)


def test_a_mean_over_seeds_and_rows_has_the_error_of_both(rng):
    values = rng.standard_normal((4, 50))
    found = crossed(values)
    assert found.mean == pytest.approx(values.mean())
    seeds, rows = values.mean(axis=1).var(ddof=1) / 4, values.mean(axis=0).var(ddof=1) / 50
    assert (found.seeds, found.rows) == (pytest.approx(seeds), pytest.approx(rows))
    assert found.error == pytest.approx((seeds + rows) ** 0.5)
    assert (found.seed_freedom, found.row_freedom) == (3, 49)
    low, high = found.interval()
    assert (high - found.mean, found.mean - low) == (pytest.approx(oracles.graybill_wang(values)),) * 2
    assert crossed(values[:1]).error == pytest.approx(values[0].std(ddof=1) / 50**0.5)
    assert np.isnan(crossed(np.zeros((0, 0))).mean)
    assert crossed(np.zeros((0, 0))).p == 1
    assert crossed(np.zeros((3, 9))).p == 1


@given(seed=st.integers(0, 10**6), m=st.integers(2, 5), n=st.integers(2, 60), shift=st.floats(0.01, 3))
def test_the_p_value_is_where_the_interval_reaches_zero(seed, m, n, shift):
    found = crossed(np.random.default_rng(seed).standard_normal((m, n)) + shift)
    if found.p > 1e-90:
        low, high = found.interval(1 - found.p)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6 * max(abs(low), abs(high)))
    low, high = found.interval()
    assert (low <= 0 <= high) == (found.p >= 0.05)


def test_two_seeds_that_agree_leave_the_rows_as_certain_as_they_are():
    """A learner without chance scores 0.9044 twice: the interval is that of its rows, and not of one degree."""
    wrong = np.repeat([[1.0] * 43 + [0.0] * 407], 2, axis=0)
    found = crossed(wrong)
    low, high = found.interval()
    one = crossed(wrong[:1])
    assert (low, high) == one.interval()
    assert 0.12 < high < 0.13 and 0.06 < low < 0.07
    np.testing.assert_allclose(found.p, one.p)


def test_a_seed_that_differs_widens_the_part_of_the_seeds_alone(rng):
    values = (rng.random((2, 2000)) < 0.1).astype(float)
    found = crossed(values)
    assert found.half(0.025) == pytest.approx((12.706**2 * found.seeds + 1.961**2 * found.rows) ** 0.5, rel=1e-3)
    assert found.half(0.025) < 12.706 * found.error


def test_equal_differences_on_few_rows_prove_little():
    assert crossed(np.ones((3, 2))).p > 0.3
    assert crossed(np.ones((3, 100))).p < 0.02
    assert crossed(np.ones((5, 1))).p == 1
    assert crossed(np.array([[1.0], [1], [1], [1], [0]])).p == 1


def test_a_clear_difference_is_named_and_a_small_one_is_not(rng):
    scores = {"random": 0.7, "good": 0.9, "bad": 0.4, "same": 0.7, "all": 0.95}
    found = leaderboard(judged(rng, scores), against("random", "good", "bad", "same"), "all")
    said = found.groupby("set", sort=False)["verdict"].agg(set).to_dict()
    assert said == {"random": {""}, "good": {BETTER}, "bad": {WORSE}, "same": {UNCLEAR}, "all": {""}}
    assert (found.set_index("set").loc["good", "difference"] > 0.1).all()
    assert ((found["low"] < found["mean"]) & (found["mean"] < found["high"])).all()
    shares = found[found["learner"] == "a"].set_index("set")["relative_to_full"]
    assert shares["all"] == 1
    assert shares["bad"] == pytest.approx(0.4 / 0.95, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(0.02,) * 8, (0.002, 0.01, 0.02, 0.05) * 2])
def test_all_verdicts_together_are_seldom_wrong(spreads):
    """Whether the sets' variances over seeds are equal or differ much; as with 16 comparisons of five seeds."""
    draw, wrong = np.random.default_rng(1), 0
    rivals = {f"set {i}": Baselines(f"random {i}", f"random {i}") for i in range(8)}
    for _ in range(200):
        parts = [
            judged(draw, dict.fromkeys((name, rival.given), 0.8), n_test=200, spread=spread)
            for (name, rival), spread in zip(rivals.items(), spreads, strict=True)
        ]
        table = pd.concat([part.table for part in parts], ignore_index=True)
        made = Judged(table, [a for part in parts for a in part.arrays], "accuracy")
        wrong += leaderboard(made, rivals, "set 0")["verdict"].isin([BETTER, WORSE]).any()
    assert wrong / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_variances_lend_each_other_strength(rng):
    equal = 0.3 * rng.chisquare(4, 200) / 4
    found = prior_of(equal, 4)
    assert found.variance == pytest.approx(0.3, rel=0.15)
    assert found.freedom > 20
    apart = 0.3 * 6 / rng.chisquare(6, 2000) * rng.chisquare(4, 2000) / 4
    found = prior_of(apart, 4)
    assert found.variance == pytest.approx(0.3, rel=0.15)
    assert found.freedom == pytest.approx(6, rel=0.3)
    assert prior_of(equal[:4], 4).freedom == 0
    assert prior_of(np.zeros(9), 4).freedom == 0
    values = rng.standard_normal((5, 1)) + np.zeros((5, 40))
    known = crossed(values, Prior(1.0, 10.0))
    variance = (10 * 1.0 + 4 * values[:, 0].var(ddof=1)) / 14
    assert (known.error, known.seed_freedom) == (pytest.approx((variance / 5) ** 0.5), pytest.approx(14))


@pytest.mark.slow
def test_intervals_hold_the_true_score():
    draw, held = np.random.default_rng(2), 0
    for _ in range(200):
        made = judged(draw, {"set": 0.8}, seeds=4, n_test=100, spread=0.05)
        row = leaderboard(made, {}, "set").iloc[0]
        held += row["low"] <= 0.8 <= row["high"]
    assert held / 200 >= 0.95 - 3 * (0.05 * 0.95 / 200) ** 0.5


def test_one_seed_says_nothing_of_the_draw_of_a_set(rng):
    made = judged(rng, {"random": 0.5, "set": 0.9}, seeds=1, n_test=2000)
    found = leaderboard(made, against("random", "set"), "random").set_index("set").loc["set"]
    assert set(found["verdict"]) == {UNCLEAR}
    assert set(found["p"]) == {1.0}
    assert ((found["low"] < found["mean"]) & (found["mean"] < found["high"])).all()


def test_a_perfect_score_is_not_certain(rng):
    found = leaderboard(judged(rng, {"set": 1.0}, seeds=2, n_test=20, spread=0), {}, "set").iloc[0]
    assert (found["mean"], found["high"]) == (1, 1)
    assert 0.8 < found["low"] < 0.9


def test_a_learner_that_failed_decides_nothing(rng):
    made = judged(rng, {"random": 0.1, "set": 0.9})
    failed = (made.table["learner"] == "a") & (made.table["set"] == "set")
    made.table.loc[failed, ["accuracy", "error"]] = [np.nan, "broken"]
    for i in np.flatnonzero(failed):
        made.arrays[i] = {}
    found = leaderboard(made, against("random", "set"), "random").set_index(["set", "learner"])
    assert found.loc[("set", "a"), "verdict"] == UNCLEAR
    assert np.isnan(found.loc[("set", "a"), "mean"])
    assert found.loc[("set", "b"), "verdict"] == BETTER


def test_regression_is_compared_by_squared_errors(rng):
    truth = rng.standard_normal(200)
    rows, losses = [], []
    for name, noise in (("random", 0.9), ("set", 0.3)):
        for seed in range(3):
            loss = ((noise * rng.standard_normal(200)) ** 2).astype(np.float32)
            row = {"set": name, "learner": "a", "asked": "soft", "seed": seed, "n": 5, "labels": "targets", "error": ""}
            rows.append(row | {"r2": 1 - loss.mean() / truth.var()})
            losses.append({"losses": loss})
    found = leaderboard(Judged(pd.DataFrame(rows), losses, "r2"), against("random", "set"), "random")
    row = found.set_index("set").loc["set"]
    assert row["verdict"] == BETTER
    assert row["low"] < row["mean"] < row["high"] < 1
    assert row["difference"] == pytest.approx((0.81 - 0.09) / truth.var(), abs=0.15)


def test_a_score_and_losses_that_point_apart_are_no_verdict(rng):
    rows, losses = [], []
    for name, r2, size in (("random", 0.2, 0.005), ("set", 0.6, 0.1)):
        for seed in range(5):
            row = {"set": name, "learner": "a", "asked": "soft", "seed": seed, "n": 5, "labels": "targets", "error": ""}
            rows.append(row | {"r2": r2 + 0.001 * seed})
            losses.append({"losses": (size * rng.random(200)).astype(np.float32)})
    found = leaderboard(Judged(pd.DataFrame(rows), losses, "r2"), against("random", "set"), "random")
    assert found.set_index("set").loc["set", "verdict"] == UNCLEAR


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_sets_whose_draws_differ_much_are_seldom_called_better(seeds):
    """Random rows against random rows, whose accuracies differ by ten points between draws."""
    draw, wrong = np.random.default_rng(3), 0
    rivals = against("random", *(f"set {i}" for i in range(6)))
    for _ in range(150):
        made = judged(draw, dict.fromkeys(("random", *rivals), 0.7), seeds=seeds, n_test=300, spread=0.1)
        wrong += leaderboard(made, rivals, "random")["verdict"].isin([BETTER, WORSE]).any()
    assert wrong / 150 <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_rivals_have_the_labels_that_the_learner_used(rng):
    scores = {"given": 0.5, "learned": 0.9, "set": 0.7}
    for labels, rival, verdict in (("hard", "given", BETTER), ("soft", "learned", WORSE)):
        made = judged(rng, scores, labels=labels)
        found = leaderboard(made, {"set": Baselines("given", "learned")}, "set").set_index("set").loc["set"]
        assert set(found["rival"]) == {rival}
        assert set(found["verdict"]) == {verdict}


def test_robust_scores_are_their_definitions(rng):
    scores = {"random": 0.3, "set": 0.6, "all": 0.9}
    made = judged(rng, scores, labels="soft", asked=("soft", "hard"), spread=0)
    rivals = against("random", "set")
    found = leaderboard(made, rivals, "all")
    means = found.set_index(["set", "learner", "asked"])["mean"]
    row = robustness(found, rivals, "all", {"a": ("a", "b")}).set_index("learner").loc["a"]
    assert row["hlr"] == pytest.approx(means["all", "a", "hard"] - means["set", "a", "hard"])
    assert row["ior"] == pytest.approx(means["set", "a", "soft"] - means["random", "a", "soft"])
    alpha = 0.5 * row["ior"] - 0.5 * row["hlr"]
    assert row["lrs"] == pytest.approx((np.e**alpha - 1 / np.e) / (np.e - 1 / np.e))
    gains = [means["set", k, "soft"] - means["random", k, "soft"] for k in "ab"]
    assert row["ars"] == pytest.approx(normalised(np.mean(gains)))
    assert robustness(found, rivals, "all", {})["ars"].isna().all()
    assert normalised(-1) == 0
    assert normalised(1) == pytest.approx(1)


def losses_of(draw, m, n, mean=0.8, spread=0.0, shared=None):
    """(m, n) errors of sets that are right on a share of rows, half of which are hard or easy for all alike."""
    accuracy = np.clip(mean + spread * draw.standard_normal((m, 1)), 0, 1)
    shared = draw.random(n) if shared is None else shared
    return (np.where(draw.random((m, n)) < 0.5, shared, draw.random((m, n))) > accuracy).astype(float)


CELLS = [(m, n, spread) for m in (2, 3, 5) for n in (50, 300, 2000) for spread in (0.0, 0.02, 0.1)]
TRIALS = 400
BY_CHANCE = 3 * (0.05 * 0.95 / TRIALS) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "spread"), CELLS)
def test_intervals_cover_a_known_mean(m, n, spread):
    """At least 95 % of the time, but for the error of so many trials."""
    draw = np.random.default_rng(m * n)
    truth = 1 - np.clip(0.8 + spread * draw.standard_normal(10**6), 0, 1).mean()
    ends = [crossed(losses_of(draw, m, n, 0.8, spread)).interval() for _ in range(TRIALS)]
    assert np.mean([low <= truth <= high for low, high in ends]) >= 0.95 - BY_CHANCE


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "spread"), CELLS)
def test_a_set_as_good_as_random_rows_is_seldom_called_better_or_worse(m, n, spread):
    """One set, whose draw is not at stake, against draws of random rows; with and without a spread between draws."""
    draw, claimed = np.random.default_rng(m * n + 1), 0
    for _ in range(TRIALS):
        shared = draw.random(n)
        gains = losses_of(draw, m, n, 0.8, spread, shared) - losses_of(draw, 1, n, 0.8, 0.0, shared)
        claimed += p_of(float(gains.mean()), gains) < 0.05
    assert claimed / TRIALS <= 0.05 + BY_CHANCE


@pytest.mark.parametrize(("better", "least"), [(0.05, 0.75), (0.1, 0.99)])
def test_a_set_that_is_better_is_found_so(better, least):
    """Power with five draws of random rows whose accuracies spread by two points, on 1,000 rows."""
    draw, found = np.random.default_rng(5), 0
    for _ in range(100):
        shared = draw.random(1000)
        gains = losses_of(draw, 5, 1000, 0.8, 0.02, shared) - losses_of(draw, 1, 1000, 0.8 + better, 0.0, shared)
        found += p_of(float(gains.mean()), gains) < 0.05
    assert found / 100 >= least


@given(seed=st.integers(0, 10**6), m=st.integers(1, 5), n=st.integers(1, 50))
def test_identical_sets_are_never_better(seed, m, n):
    losses = losses_of(np.random.default_rng(seed), m, n)
    assert verdicts_of([Duel("a", 0.0, losses - losses), Duel("b", 0.0, np.zeros((0, 0)))]) == {
        "a": UNCLEAR,
        "b": UNCLEAR,
    }


def test_the_best_of_the_random_rows_is_the_rival(rng):
    made = judged(rng, {"random": 0.5, "proportional": 0.8, "set": 0.65})
    rivals = {"set": Baselines("random", "random", ("proportional",))}
    found = leaderboard(made, rivals, "set").set_index("set").loc["set"]
    assert set(found["rival"]) == {"proportional"} and set(found["verdict"]) == {WORSE}
    alone = leaderboard(made, against("random", "set"), "set").set_index("set").loc["set"]
    assert set(alone["rival"]) == {"random"} and set(alone["verdict"]) == {BETTER}
