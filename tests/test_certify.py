"""Certificates hold as often as they say; what would void them is refused; what was written can be recomputed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_digits, make_blobs

from datastill import Coreset, CoresetRegressor, Dataset, SupportSet
from datastill._errors import InputError
from datastill.certify import CAP, Certificate, Losses, certify, guessing, state
from datastill.certify.overlap import overlap
from datastill.data.archive import read_tensors, write_json, write_tensors
from datastill.data.task import with_test
from datastill.evaluate.protocol import Examples, HeldOut
from datastill.workflows.certificate_files import read, write
from datastill.workflows.certify import CertificateSettings, certify_set, evaluate, held_out_rows, without_seen
from datastill.workflows.compare import ComparisonSettings
from datastill.workflows.find_budget import HALVINGS, find_budget
from datastill.workflows.saved_set import Artefact, open_artefact, row_digests, write_row_digests
from datastill.workflows.verify import ALWAYS, verify

REPETITIONS = 2000
SLACK = 3 * (0.05 * 0.95 / REPETITIONS) ** 0.5


class Impatient(ClassifierMixin, BaseEstimator):
    """A learner that refuses many rows."""

    def fit(self, X, y):
        if len(X) > 500:
            raise ValueError("too many")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


@pytest.fixture(scope="module")
def digits():
    return with_test(Dataset("digits", *load_digits(return_X_y=True)), 0, "classification")


@pytest.fixture(scope="module")
def saved(digits, tmp_path_factory):
    """A set of digits on disk, its training data, and held-out rows."""
    folder = tmp_path_factory.mktemp("sets") / "a"
    made = Coreset(2, method="kmeans", random_state=0).fit(digits.x, digits.y)
    made.support_set_.save(folder)
    write_row_digests(folder, made.space_.encode(digits.x))
    return folder, digits


def both(saved) -> tuple[Artefact, Dataset]:
    return open_artefact(saved[0], saved[1]), saved[1]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["zero-one", "brier"])
@pytest.mark.parametrize(("small", "full", "n"), [(0.3, 0.25, 200), (0.02, 0.0, 60), (0.0, 0.0, 30), (0.9, 0.1, 100)])
def test_all_statements_together_fail_as_seldom_as_promised(loss, small, full, n):
    draw, failed = np.random.default_rng(0), 0
    for _ in range(REPETITIONS):
        said = []
        for _ in range(2):  # learners, on the same rows
            shared = draw.random(n)
            losses = [(shared < risk).astype(float) for risk in (small, full)]
            if loss == "brier":
                losses = [draw.beta(0.5, 0.5, n) * values for values in losses]
            said.append(state("learner", Losses(*losses, "hard"), 0.05 / 4, loss))
        scale = 1 if loss == "zero-one" else 0.5
        gap = scale * (small - full)
        failed += any(s.bound < scale * small or not s.low <= gap <= s.high for s in said)
    assert failed / REPETITIONS <= 0.05 + SLACK


@pytest.mark.slow
def test_certificates_of_trained_learners_hold():
    """The whole way: data are drawn, learners trained and certified, and the true risk measured on very many rows."""
    x, y = make_blobs([20_600] * 3, 2, centers=[[0, 0], [2, 0], [0, 2]], random_state=0, cluster_std=1.0)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    vectors = (np.eye(3) - 1 / 3)[y]
    small, every, truth = Examples(x[:9], vectors[:9]), Examples(x[:900], vectors[:900]), slice(1000, 41_000)
    true = {}
    for name in ("logistic", "knn"):
        _, losses = certify(small, every, HeldOut(x[truth], y[truth]), [name])
        true[name] = losses[name].small.mean(), losses[name].small.mean() - losses[name].full.mean()
    rest, failed = np.arange(41_000, len(x)), 0
    for i in range(200):
        rows = np.random.default_rng(i).choice(rest, 150, replace=False)
        made, _ = certify(small, every, HeldOut(x[rows], y[rows]), ["logistic", "knn"])
        failed += any(
            s.bound < true[s.learner][0] or not s.low <= true[s.learner][1] <= s.high for s in made.statements
        )
    assert failed / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_statements_are_their_definitions(rng):
    small, full = (rng.random((2, 400)) < [[0.3], [0.2]]).astype(np.float64)
    said = state("a", Losses(small, full, "hard"), 0.01, "zero-one")
    assert (said.risk, said.full_risk) == (small.mean(), full.mean())
    assert said.risk < said.bound < said.bernstein < 1
    assert said.low < small.mean() - full.mean() < said.high
    assert said.epsilon == max(abs(said.low), abs(said.high))
    assert said.bound_by == "Clopper–Pearson"
    tighter = state("a", Losses(small, full, "hard"), 0.2, "zero-one")
    assert tighter.bound < said.bound
    assert tighter.high - tighter.low < said.high - said.low
    alone = state("a", Losses(small, None, "hard", "why"), 0.01, "zero-one")
    assert (alone.epsilon, alone.low, alone.full_risk, alone.note) == (None, None, None, "why")
    assert alone.bound == said.bound


def test_equal_sets_are_near_and_a_bound_no_better_than_guessing_is_vacuous(rng):
    x = rng.standard_normal((300, 3)).astype(np.float32)
    y = np.arange(300) % 2
    noise = Examples(x[:100], (np.eye(2) - 0.5)[y[:100]])
    made, losses = certify(noise, noise, HeldOut(x[100:], y[100:]), ["logistic", "knn"], 0.1)
    assert made.each == 0.1 / 4
    for said in made.statements:
        np.testing.assert_array_equal(losses[said.learner].small, losses[said.learner].full)
        assert said.epsilon < 0.1
        assert made.vacuous(said)
    assert Certificate.from_dict(json.loads(json.dumps(made.as_dict()))) == made.__class__(
        **{**made.__dict__, "about": {}}
    )


def test_guessing_is_the_best_constant_answer():
    y = np.array([0, 0, 0, 1])
    held = HeldOut(np.zeros((4, 1)), y)
    assert guessing(held, "zero-one") == 0.25
    p = np.array([0.75, 0.25])
    assert guessing(held, "brier") == pytest.approx(np.mean([np.sum((p - np.eye(2)[c]) ** 2) / 2 for c in y]))
    targets = HeldOut(np.zeros((3, 1)), np.array([[1.0], [-1.0], [9.0]]), True)
    assert guessing(targets, "squared") == pytest.approx((1 + 1 + CAP) / 3 / CAP)


def test_losses_of_probabilities_and_of_targets(digits, tmp_path):
    made = Coreset(1, method="kmeans", random_state=0).fit(digits.x, digits.y)
    made.support_set_.save(tmp_path / "a")
    artefact = open_artefact(tmp_path / "a", digits)
    question = CertificateSettings(("logistic", "forest"), loss="brier")
    certificate = certify_set(artefact, digits.x_test, digits.y_test, question, tmp_path / "a")
    assert {s.bound_by for s in certificate.statements} == {"betting"}
    assert all(s.risk <= s.bound <= 1 for s in certificate.statements)
    with pytest.raises(InputError, match="'brier' for linear-svm, which gives no probabilities"):
        certify_set(artefact, digits.x_test, digits.y_test, question._replace(learners=("linear-svm",)), tmp_path / "b")

    x, _ = load_breast_cancer(return_X_y=True)
    data = with_test(Dataset("cancer", x[:, 1:], x[:, 0]), 0, "regression")
    CoresetRegressor(20, method="kmeans", random_state=0).fit(data.x, data.y).support_set_.save(tmp_path / "r")
    artefact = open_artefact(tmp_path / "r", data)
    certificate = certify_set(
        artefact, data.x_test, data.y_test, CertificateSettings(("krr", "forest")), tmp_path / "r"
    )
    assert certificate.loss == "squared"
    for said in certificate.statements:
        assert 0 < said.full_risk < said.risk < said.bound < certificate.guessing
    assert verify(artefact, tmp_path / "r", (data.x_test, data.y_test)).unverified == ALWAYS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delta": 0.0}, "delta=0.0"),
        ({"delta": 5e-324}, "delta=5e-324"),
        ({"loss": "squared"}, "expected zero-one or brier"),
        ({"loss": "hinge"}, "'hinge' for classes"),
        ({"learners": ()}, "no learners"),
        ({"learners": ("oracle",)}, "oracle"),
        ({"learners": ("sklearn.naive_bayes:MultinomialNB",)}, "failed on the set"),
        ({"distance": -1.0}, "--distance -1.0"),
        ({"distance": 3.0}, r"of which \d+ are within 3 standard deviations of one"),
    ],
)
def test_bad_questions_are_refused(saved, change, words, tmp_path):
    artefact, data = both(saved)
    with pytest.raises(InputError, match=words):
        certify_set(
            artefact, data.x_test, data.y_test, CertificateSettings(("knn",))._replace(**change), tmp_path / "c"
        )


def test_rows_that_were_seen_are_refused_or_left_out(saved, tmp_path):
    artefact, data = both(saved)
    x, y = np.concatenate([data.x_test, data.x[:3]]), np.concatenate([data.y_test, data.y[:3]])
    question = CertificateSettings(("knn",))
    for known in (artefact, open_artefact(saved[0])):
        with pytest.raises(InputError, match="of which 3 equal training rows"):
            certify_set(known, x, y, question, tmp_path / "c")
        made = certify_set(known, x, y, question._replace(drop_seen=True), tmp_path / "d")
        assert made.n == len(data.x_test)
        assert "3 that did were left out" in made.checks[0].found
    assert made.statements[0].epsilon is None
    assert "not at hand" in made.statements[0].note
    with pytest.raises(InputError, match="--distance without the training rows"):
        certify_set(open_artefact(saved[0]), data.x_test, data.y_test, question._replace(distance=0.1), tmp_path / "e")
    leaky = Dataset("digits", data.x, data.y, x, y)
    with pytest.raises(InputError, match="of which 3 equal"):
        without_seen(leaky, question)
    kept, check = without_seen(leaky, question._replace(drop_seen=True))
    assert len(kept.x_test) == len(data.x_test)
    assert "3 that did were left out" in check.found


def test_rows_that_were_rounded_are_no_new_ones_and_repeats_are_told(tmp_path):
    x, y = load_breast_cancer(return_X_y=True)
    data = Dataset("cancer", x[:400], y[:400], x[400:], y[400:])
    made = Coreset(2, method="kmeans", random_state=0).fit(data.x, data.y)
    made.support_set_.save(tmp_path / "a")
    write_row_digests(tmp_path / "a", made.space_.encode(data.x))
    question, rounded = CertificateSettings(("knn",)), x[:400].astype(np.float32).astype(np.float64)
    with pytest.raises(InputError, match=r"within 0\.001 standard deviations of one"):
        certify_set(open_artefact(tmp_path / "a", data), rounded, y[:400], question, tmp_path / "c")
    with pytest.raises(InputError, match="equal training rows"):
        certify_set(open_artefact(tmp_path / "a"), rounded, y[:400], question, tmp_path / "c")
    twice = np.concatenate([x[400:], x[400:]]), np.concatenate([y[400:], y[400:]])
    made = certify_set(open_artefact(tmp_path / "a", data), *twice, question, tmp_path / "c")
    found = {check.name: check.found for check in made.checks}
    assert "169 of 338 held-out rows repeat another" in found["repeats"]
    assert "338 of these rows also served" in found["used before"]
    assert made.about["distance"] == 0.001


def test_left_out_rows_are_left_out_when_it_is_verified(saved, tmp_path):
    artefact, data = both(saved)
    rows = np.concatenate([data.x_test, data.x[:3]]), np.concatenate([data.y_test, data.y[:3]])
    certify_set(artefact, *rows, CertificateSettings(("knn",), drop_seen=True), tmp_path / "c")
    assert verify(artefact, tmp_path / "c", rows).unverified == ALWAYS
    with pytest.raises(InputError, match="none is left"):
        certify_set(artefact, data.x[:50], data.y[:50], CertificateSettings(("knn",), drop_seen=True), tmp_path / "d")


def test_near_rows_are_found_within_the_distance_and_not_beyond(rng):
    train = rng.standard_normal((500, 6, 6)).astype(np.float32)
    held = rng.standard_normal((40, 6, 6)).astype(np.float32)
    held[0] = train[7]
    held[1] = train[8] + 0.04
    held[2] = train[9] + 0.06
    found = overlap(held, train, 0.05)
    assert (found.equal.tolist(), found.near.tolist()) == ([0], [1])
    assert overlap(held, train).near.tolist() == []
    np.testing.assert_array_equal(overlap(-np.zeros((1, 2)), np.zeros((1, 2))).equal, [0])


def test_digests_of_rows_are_those_of_equal_rows(rng):
    z = rng.standard_normal((50, 4)).astype(np.float32)
    z[3] = z[2]
    found = row_digests(z)
    assert len(np.unique(found)) == 49
    assert found[3] == found[2]
    np.testing.assert_array_equal(row_digests(z[::-1])[::-1], found)
    np.testing.assert_array_equal(row_digests(-np.zeros((1, 3))), row_digests(np.zeros((1, 3))))


def test_too_few_rows_and_absent_classes_are_refused(saved, tmp_path):
    artefact, data = both(saved)
    x, y = data.x_test, data.y_test
    with pytest.raises(InputError, match="without 1 of 10 classes"):
        certify_set(artefact, x[y != 4], y[y != 4], CertificateSettings(("knn",)), tmp_path / "c")
    x, codes = make_blobs([10, 10], 2, random_state=0)
    examples = Examples(x, (np.eye(2) - 0.5)[codes])
    with pytest.raises(InputError, match="Got 4 held-out rows; expected at least 7"):
        certify(examples, None, HeldOut(x[[0, 1, 2, 3]], np.array([0, 1, 0, 1])), ["knn"])
    with pytest.raises(InputError, match="one constant answer"):
        certify(examples, None, HeldOut(x, np.zeros((20, 1)), True), ["knn"])


def test_a_certificate_is_recomputed_and_a_false_one_is_found_out(saved, tmp_path):
    artefact, data = both(saved)
    folder, rows = tmp_path / "c", (data.x_test, data.y_test)
    made = certify_set(artefact, *rows, CertificateSettings(("knn", "logistic")), folder)
    assert read(folder)[0] == made
    alone, whole = verify(artefact, folder), verify(artefact, folder, rows)
    assert [check.name for check in alone.checks] == ["the set", "the statements"]
    assert alone.sentence.startswith("NOT verified: that the losses are those of these learners")
    assert [check.name for check in whole.checks][2:] == ["the held-out rows", "the learners"]
    assert whole.unverified == ALWAYS
    assert whole.sentence.startswith("Verified from the rows.")
    without = verify(open_artefact(saved[0]), folder, rows).sentence
    assert "the losses of knn trained on all rows; the losses of logistic trained on all rows" in without
    assert "never seen" in without
    with pytest.raises(InputError, match="held-out labels"):
        verify(artefact, folder, (rows[0][1:], rows[1][1:]))

    said = json.loads((folder / "certificate.json").read_text())
    for change, words in (
        (lambda s: s["statements"][1].update(bound=0.01), "bound of logistic is 0.01; recomputed"),
        (lambda s: s.update(delta=0.01), "bound of knn is"),
        (lambda s: s.update(n=10_000), "n is 10000"),
        (lambda s: s["about"].update(digest="0"), "about.digest is '0'"),
        (lambda s: s.update(guessing=0.99), "guessing is 0.99"),
        (lambda s: (s["statements"].pop(), s.update(delta=0.025)), "losses of other learners"),
        (lambda s: s["statements"][0].update(note="no gap at all"), "note of knn is 'no gap at all'"),
        (lambda s: s["statements"][0].update(vacuous=True), "do not follow"),
        (lambda s: s["about"].update(price="free"), "about is "),
        (lambda s: s.update(statements=[]), "lacks a part"),
        (lambda s: s.update(statements=[1]), "lacks a part"),
        (lambda s: s.update(delta=None), "lacks a part"),
        (lambda s: s.pop("each"), "lacks a part"),
        (lambda s: s.update(schema="other"), "no certificate of the schema"),
    ):
        false = json.loads(json.dumps(said))
        change(false)
        write_json(folder / "certificate.json", false)
        with pytest.raises(InputError, match=words):
            verify(artefact, folder)
    write_json(folder / "certificate.json", said)
    tensors = dict(read_tensors(folder / "certificate.safetensors")[0])
    assert certify_set(artefact, *rows, CertificateSettings(("knn", "logistic")), tmp_path / "other") == made
    # Losses made better, and the statements with them, are consistent: training again finds them out.
    tensors["0.small"] = np.where(np.arange(made.n) % 2, 0, tensors["0.small"]).astype(np.float32)
    better = state("knn", Losses(tensors["0.small"], tensors["0.full"], "soft"), made.each, made.loss)
    better = replace(better, labels=made.statements[0].labels)
    losses = {
        said.learner: Losses(tensors[f"{i}.small"], tensors[f"{i}.full"], said.labels)
        for i, said in enumerate(made.statements)
    }
    forged = replace(made, statements=(better, made.statements[1]))
    write(forged, losses, tensors["held_out"], folder)
    verify(artefact, folder)
    with pytest.raises(InputError, match="losses of knn on the set differ"):
        verify(artefact, folder, rows)
    tensors["0.small"] = np.zeros_like(tensors["0.small"])
    write_tensors(folder / "certificate.safetensors", tensors)
    with pytest.raises(InputError, match="risk of knn"):
        verify(artefact, folder)
    with pytest.raises(InputError, match="holds no certificate"):
        verify(artefact, tmp_path)


def test_other_data_and_other_rows_are_refused(saved, tmp_path):
    folder, data = saved
    with pytest.raises(InputError, match="whose digest is not that of the rows"):
        open_artefact(folder, Dataset("other", data.x + 1, data.y))
    with pytest.raises(InputError, match="holds no support set"):
        open_artefact(tmp_path)
    SupportSet(np.zeros((2, 3)), np.arange(2)).save(tmp_path / "bare")
    with pytest.raises(InputError, match="no preprocessing"):
        open_artefact(tmp_path / "bare")
    artefact = open_artefact(folder, data)
    with pytest.raises(InputError, match=r"rows of shape \(5,\); expected \(64,\)"):
        artefact.held_out(np.zeros((3, 5)), np.zeros(3))
    with pytest.raises(InputError, match="rows that are a table; expected arrays"):
        artefact.held_out(pd.DataFrame(data.x_test), data.y_test)
    with pytest.raises(InputError, match="labels that the training data does not have"):
        artefact.held_out(data.x_test[:2], np.array([3, 11]))
    made = Coreset(1, method="kmeans", random_state=0).fit(data.x, data.y)
    made.support_set_.save(tmp_path / "no-digests")
    with pytest.raises(InputError, match="without digests of its training rows"):
        certify_set(
            open_artefact(tmp_path / "no-digests"), data.x_test, data.y_test, CertificateSettings(("knn",)), tmp_path
        )


def test_held_out_rows_are_those_that_are_meant(saved):
    folder, data = saved
    known, unknown = open_artefact(folder, data), open_artefact(folder)
    whole = Dataset("digits", *load_digits(return_X_y=True))
    other = Dataset("other", data.x_test, data.y_test)
    assert held_out_rows(known, None, "--test")[0] is data.x_test
    assert held_out_rows(known, data, "--test")[0] is data.x_test
    for artefact in (known, unknown):
        np.testing.assert_array_equal(held_out_rows(artefact, whole, "--test")[0], data.x_test)
    same_size = Dataset("other", whole.x + 1, whole.y)
    assert held_out_rows(known, same_size, "--test")[0] is same_size.x
    assert held_out_rows(unknown, other, "--test")[0] is data.x_test
    with pytest.raises(InputError, match="try --test DATA"):
        held_out_rows(unknown, None, "--test")


def test_a_saved_set_is_judged_beside_random_and_all_rows(saved, tmp_path):
    artefact, data = both(saved)
    rows = data.x_test, data.y_test
    table = evaluate(artefact, *rows, ["knn", "krr"], 2, "soft", 1, tmp_path / "rows").table
    sizes = {"this set": 20, "random rows": 20, "all rows": len(data.x), "constant prediction": 0}
    assert dict(table.groupby("set")["n"].first()) == sizes
    assert table["error"].eq("").all()
    alone = evaluate(open_artefact(saved[0]), *rows, ["knn"], 1, "soft", 1, tmp_path / "rows").table
    assert set(alone["set"]) == {"this set", "constant prediction"}
    assert alone["accuracy"][0] == table["accuracy"][0]


def test_the_smallest_budget_is_found_and_its_looks_are_paid_for(digits, tmp_path):
    entrants = ComparisonSettings(("kmeans",), (), ("krr", "knn"))
    found = find_budget(digits, "classification", entrants, 0.17, 16, tmp_path / "s")
    budgets = [look.budget for look in found.looks]
    assert budgets[:2] == [1, 2]
    assert found.budget == min(look.budget for look in found.looks if look.epsilon <= 0.17)
    assert all(look.epsilon > 0.17 for look in found.looks if look.budget < found.budget)
    # All that the search could come to: 1 2 4 8 16, the middles of their gaps, three halvings deep.
    assert found.planned == len({1, 2, 4, 8, 16, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15})
    assert HALVINGS == 3
    for look in found.looks:
        assert look.certificate.each == pytest.approx(0.05 / found.planned / 4)
    assert json.loads((tmp_path / "s" / "budget.json").read_text())["budget"] == found.budget
    none = find_budget(digits, "classification", entrants, 1e-3, 2, tmp_path / "s")
    assert (none.budget, [look.budget for look in none.looks]) == (None, [1, 2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epsilon": 0.0}, "--epsilon 0.0"),
        ({"largest": 0}, "largest budget"),
        ({"delta": 1.5}, "delta=1.5"),
        ({"comparison": ComparisonSettings(("kmeans", "kip"), (), ("knn",))}, "2 methods"),
        ({"comparison": ComparisonSettings(("random",), (), ("test_certify:Impatient",))}, "for which there is no gap"),
    ],
)
def test_bad_searches_are_refused(digits, arguments, words, tmp_path):
    arguments = {"epsilon": 0.1, "largest": 2, "comparison": ComparisonSettings(("random",), (), ("knn",)), **arguments}
    with pytest.raises(InputError, match=words):
        find_budget(digits, "classification", folder=tmp_path / "s", **arguments)
