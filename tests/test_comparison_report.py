"""Comparisons and certificates: pages hold what they are given, sentences say what is true, on the safe side."""

import json
import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastill.certify import CAP, FULL, Certificate, Check, Statement
from datastill.cli.app import run
from datastill.evaluate.constant import CONSTANT
from datastill.evaluate.leaderboard import COLUMNS
from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE
from datastill.report import (
    Certified,
    ExampleGrid,
    certificate_markdown,
    certificate_sentences,
    comparison_markdown,
    render_certificate,
    render_comparison,
    rounding,
    statement_text,
    summarise_comparison,
)
from datastill.report.comparison.entries import mean_text, range_text, share_text
from datastill.report.comparison.html import outcome
from datastill.report.names import TAUGHT, SetName, spoken
from pages import HOSTILE, checked_page

LEARNERS = ("krr", "logistic")
NAN = math.nan


def row(name, learner, mean, rival="", verdict="", asked="soft", full=0.95, n=10):
    """A line of the standings."""
    known = {"set": name, "learner": learner, "asked": asked, "labels": "soft" if math.isfinite(mean) else "", "n": n}
    known |= {"mean": mean, "deviation": 0.01, "low": mean - 0.02, "high": mean + 0.02}
    known |= {"relative_to_full": mean / full, "verdict": verdict}
    return known | ({"rival": rival, "difference": mean - 0.6, "p": 0.01} if rival else {})


def leaderboard(*rows):
    return pd.DataFrame(list(rows)).reindex(columns=COLUMNS)


def usual(learners=LEARNERS, methods=("kmeans", "kip:rbf")):
    """Two budgets, random rows, Label Solve and all rows; `kip:rbf` fails with the last learner."""
    rows = []
    for i, learner in enumerate(learners):
        for budget in (1, 10):
            more = 0.02 * budget - 0.05 * i
            rows.append(row(f"random {budget}", learner, 0.5 + more))
            rows.append(row(f"label-solve:rbf {budget}", learner, 0.6 + more, f"random {budget}", UNCLEAR))
            for j, method in enumerate(methods):
                rival = f"random {budget}" if j == 0 else f"label-solve:rbf {budget}"
                mean = NAN if j == len(methods) - 1 and i == len(learners) - 1 and i else 0.65 + more + 0.01 * j
                verdict = UNCLEAR if math.isnan(mean) else (WORSE, BETTER)[j % 2]
                rows.append(row(f"{method} {budget}", learner, mean, rival, verdict))
        rows.append(row(FULL, learner, 0.95, n=60000))
    return leaderboard(*rows)


def bins():
    found = np.zeros((15, 3))
    found[9], found[14] = (40, 0.63, 0.5), (60, 0.97, 0.9)
    return found


def statement(learner="krr", **changes):
    known = {"labels": "soft", "risk": 0.098, "bound": 0.1231, "bound_by": "Clopper–Pearson", "bernstein": 0.15}
    known |= {"full_risk": 0.08, "low": -0.00411, "high": 0.0302, "epsilon": 0.0302}
    return Statement(learner, **(known | changes))


def comparison(found=None, **changes):
    found = usual() if found is None else found
    cells = dict.fromkeys(zip(found["set"], found["learner"], strict=True))
    said = {cell: statement(cell[1]) for cell in cells if cell[0] != FULL}
    known = {
        "dataset": "mnist",
        "task": "classification",
        "n_train": 60000,
        "n_test": 1000,
        "seeds": 3,
        "budgets": (1, 10),
        "methods": ("kmeans", "kip:rbf"),
        "learners": tuple(dict.fromkeys(found["learner"])),
        "reliability": dict.fromkeys(cells, bins()),
        "certified": Certified(0.05, 0.001, "zero-one", 1000, 0.88, said),
        "settings": {"steps": 60, "teacher": None},
        "warnings": ["logistic failed: ValueError"],
    }
    return summarise_comparison(found, **(known | changes))


def certificate(*statements, loss="zero-one", guessing=0.88, about=None, delta=0.05):
    return Certificate(delta, 0.0125, loss, 1000, guessing, statements, (Check("enough rows", "1,000"),), about)


# Numbers and words


def test_headline_names_the_best_of_each_budget():
    found = comparison()
    assert found.headline == (
        "Best of 10 examples a class: krr reaches 86.0 % (84.0–88.0) with KIP:rbf, 90.5 % of what all 60,000 rows, "
        "through 2,000 of them, give it; random rows give it 70.0 %, with solved labels 80.0 %."
    )
    assert [text[:26] for text in found.best] == ["Best of 1 example a class:"]
    assert found.tally == {"better": 2, "worse": 4, "unclear": 4, "failed": 2, "trivial": 0}
    assert "failed: 2 of 18" in " ".join(found.sentences)


def test_headline_admits_that_random_rows_are_best():
    found = comparison(leaderboard(row("random 10", "krr", 0.9), row("kmeans 10", "krr", 0.7)))
    assert "krr reaches 90.0 % (88.0–92.0) with random rows" in found.headline
    assert found.headline.endswith("No method does better; the best method, k-means, gives krr 70.0 %.")


def test_learners_that_take_all_rows_at_once_are_said_to():
    assert "90.5 % of what all 9,000 rows give it" in comparison(n_train=9000).headline


def test_a_best_set_that_is_no_better_than_a_constant_is_said_to_be_so():
    rows = [row("random 1", "knn", 0.6), row("kmeans 1", "knn", 0.7), row(CONSTANT, "knn", 0.764, n=0)]
    found = comparison(leaderboard(*rows, row(FULL, "knn", 0.95)))
    assert found.headline.endswith(" The constant prediction gives 76.4 %: the set is no better than it.")
    assert found.tally["trivial"] == 2 and "commonest class" in " ".join(found.sentences)
    text = checked_page(render_comparison(found)).text
    assert "constant prediction76.4" in text and "no rows" in text
    assert "| constant prediction | 76.4 %" in comparison_markdown(found)
    above = comparison(leaderboard(row("kmeans 1", "knn", 0.8), row(CONSTANT, "knn", 0.764)))
    assert "constant" not in above.headline and above.tally["trivial"] == 0
    assert outcome(found.tally | {"better": 9}) == "better" and outcome(found.tally | {"better": 2}) == "cannot-tell"


def test_sets_with_a_teachers_labels_are_compared_with_random_rows_so_labelled():
    rows = [row("random 1", "krr", 0.5), row(f"random 1{TAUGHT}", "krr", 0.6), row(f"kip 1{TAUGHT}", "krr", 0.8)]
    assert comparison(leaderboard(*rows)).headline == (
        "Best of 1 example a class: krr reaches 80.0 % (78.0–82.0) with KIP + teacher’s labels, 84.2 % of what all "
        "60,000 rows, through 2,000 of them, give it; random rows + teacher’s labels give it 60.0 %."
    )


def test_nothing_measured_is_said():
    found = comparison(leaderboard(row("kmeans 1", "krr", NAN), row(FULL, "krr", NAN)), certified=None, reliability={})
    assert found.headline == "Nothing was measured: every learner failed on every set."
    page = checked_page(render_comparison(found))
    assert page.text.count("failed") >= 3 and "nan" not in page.text.lower()
    assert "failed" in comparison_markdown(found)
    assert found.as_dict()["entries"][0]["mean"] is None


def test_one_set_one_learner_one_seed():
    found = comparison(leaderboard(row("kmeans 1", "krr", 0.8)), seeds=1, certified=None, reliability=None)
    assert found.headline == (
        "Best of 1 example a class: krr reaches 80.0 % (78.0–82.0) with k-means, 84.2 % of what all 60,000 rows, "
        "through 2,000 of them, give it."
    )
    page = checked_page(render_comparison(found))
    assert "of one seed" in page.text and "What more examples give" not in page.text
    assert "judged once" not in page.text


def test_regression_is_told_in_r2_and_negative_scores_have_no_share():
    rows = [row("random 5", "krr", -0.6), row("kmeans 5", "krr", 0.4, rival="random 5", verdict=UNCLEAR)]
    found = comparison(leaderboard(*rows, row(FULL, "krr", 0.95)), task="regression", exhibit=None)
    assert found.headline == (
        "Best of 5 examples: krr reaches an R² of 0.400 (0.380–0.420) with k-means; all 60,000 rows, through 2,000 of "
        "them, give it 0.950; random rows give it −0.600."
    )
    page = checked_page(render_comparison(found))
    assert "a class" not in page.text.split("What is guaranteed")[0]
    assert "Transfer" in page.text and "−63" not in page.text


@given(
    method=st.from_regex(r"[a-z][a-z-]{0,9}(:[a-z0-9.]{1,5})?", fullmatch=True),
    budget=st.integers(0, 10**6),
    taught=st.booleans(),
)
def test_names_of_sets_are_taken_apart(method, budget, taught):
    known = SetName.of(f"{method} {budget}{TAUGHT if taught else ''}")
    assert known == SetName(method, budget, taught)
    assert SetName.of(FULL) == SetName(FULL, None, False)


@given(st.text(max_size=40))
def test_a_spoken_name_is_one_visible_line(name):
    assert spoken(name).isprintable()


# The page of a comparison


def test_every_number_of_the_heat_map_is_that_of_the_summary():
    found = comparison()
    text = checked_page(render_comparison(found)).text
    page = text[text.index("Held-out accuracy") : text.index("What more examples give")]
    for entry in found.as_dict()["entries"]:
        if entry["mean"] is not None:
            mean, low, high = (f"{100 * entry[k]:.1f}" for k in ("mean", "low", "high"))
            assert f"{mean}{low}–{high}" in page
    assert page.count("failed") == 2 + 1 and page.count("▲") == 2 + 1 and page.count("▼") == 4 + 1


def test_every_line_of_the_standings_is_whole():
    found = comparison()
    text = checked_page(render_comparison(found)).text
    lines = text[text.index("Standings") :]
    for entry in found.entries:
        assert mean_text(entry, "accuracy") + "1.0" + (range_text(entry, "accuracy") or "—") in lines
        assert share_text(entry.relative_to_full) in lines


def test_numbers_of_the_statements_are_rounded_to_the_safe_side():
    found = comparison()
    text = checked_page(render_comparison(found)).text
    assert "at most 12.4 %" in text and "0.0980.124−0.005 to 0.0310.031" in text
    assert comparison_markdown(found).count("at most 12.4 %") == 2


def test_json_is_strict_and_holds_everything_but_the_pictures():
    exhibit = ExampleGrid({"random rows": np.zeros((2, 4, 4))}, ("a", "b"))
    found = comparison(exhibit=exhibit, robustness=pd.DataFrame([robust("kmeans 1"), robust("kmeans 10", NAN)]))
    saved = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert saved["exhibit"] == {"columns": ["random rows"], "classes": ["a", "b"]}
    assert len(saved["entries"]) == len(usual()) and saved["robustness"][1]["lrs"] is None
    assert saved["certified"]["statements"][0]["bound"] == 0.1231
    assert saved["reliability"][0]["ece"] == pytest.approx(0.4 * 0.13 + 0.6 * 0.07)
    assert saved["settings"] == {"steps": "60", "teacher": "none"}


def robust(name, lrs=0.4):
    return {"set": name, "learner": "krr", "hlr": 0.1, "ior": -0.2, "lrs": lrs, "ars": 0.5}


def test_robust_scores_reliability_and_pictures_are_shown():
    exhibit = ExampleGrid(
        {f"source {i}": np.random.default_rng(i).random((60, 4, 4)) for i in range(2)}, tuple("ab" * 30)
    )
    table = pd.DataFrame([robust("kmeans 1"), robust("kmeans 10", NAN)])
    page = checked_page(render_comparison(comparison(exhibit=exhibit, robustness=table)))
    assert "k-means, 1 example a classkrr0.100−0.2000.4000.500" in page.text
    assert page.tags["img"] == 100 + 2 + 2 and "10 more classes are not shown" in page.text
    assert "Mean distance from the dotted line: all rows 9.4 %" in page.text


def test_at_most_eight_methods_are_drawn():
    methods = tuple(f"method-{i}" for i in range(12))
    page = checked_page(render_comparison(comparison(usual(methods=methods))))
    assert "6 more methods are in the table above" in page.text


def test_a_page_is_the_same_every_time():
    assert render_comparison(comparison()) == render_comparison(comparison())


@pytest.mark.parametrize("text", HOSTILE)
def test_outside_text_is_escaped(text):
    learner = text or "x"
    rows = [row(f"{text} {budget}", learner, 0.1 * budget, rival=text, verdict=text) for budget in (1, 2)]
    exhibit = ExampleGrid({text: np.zeros((1, 4, 4))}, (text,))
    said = statement(learner, bound_by=text, note=text, low=None)
    certified = Certified(0.05, 0.01, "zero-one", 10, 0.5, {(rows[0]["set"], learner): said})
    found = comparison(
        leaderboard(*rows, row(FULL, learner, 0.9)),
        dataset=text,
        learners=(learner,),
        methods=(text,),
        exhibit=exhibit,
        certified=certified,
        warnings=[text],
        settings={text: text},
        robustness=pd.DataFrame([robust(text)]),
    )
    page = checked_page(render_comparison(found))
    assert page.tags["b"] == 0 and "49" not in page.text.replace("7 * 7", "")
    json.loads(found.to_json())
    markdown = comparison_markdown(found)
    assert not re.search(r"(?<!\\)[<>]", markdown) and markdown.encode()
    of = certificate(said, about={"dataset": text, text: {text: [text]}})
    assert checked_page(render_certificate(of)).tags["b"] == 0
    assert not re.search(r"(?<!\\)[<>]", certificate_markdown(of))
    assert all(sentence.isprintable() for sentence in certificate_sentences(of))


# Certificates


ABOUT = {"n_support": 10, "n_train": 60000, "dataset": "mnist", "versions": {"numpy": "2"}}


def test_sentences_of_a_usual_statement():
    said = statement_text(statement("logistic"), certificate(about=ABOUT))
    assert said == [
        "logistic, trained on the 10 examples with soft labels, is wrong on at most 12.4 % of new rows drawn as the "
        "held-out rows were (9.8 % of the held-out rows; Clopper–Pearson).",
        "On such rows it is wrong between 0.42 percentage points less and 3.1 more often than logistic trained on all "
        "60,000 rows (8.0 % of the held-out rows): the set is a 0.031-approximation of the data for logistic and the "
        "zero-one loss (arXiv:2011.00050, definition 1).",
    ]


def test_sentences_of_a_perfect_a_vacuous_and_a_lone_statement():
    perfect = statement_text(statement(risk=0.0, bound=0.0068, low=0.0, high=0.01), certificate())
    assert "is wrong on at most 0.68 % of new rows" in perfect[0] and "(none of the held-out rows;" in perfect[0]
    assert "trained on the set with soft labels" in perfect[0] and "than krr trained on all rows" in perfect[1]
    assert "between 0.00 and 1.0 percentage points more often" in perfect[1]
    vacuous = statement_text(statement(bound=0.9), certificate())
    assert vacuous[1] == "This bound says nothing: always answering the commonest class is wrong on 88.0 % of them."
    lone = statement_text(statement(low=None, note="the training data were not at hand"), certificate())
    assert lone[1] == "Nothing is said of the distance to learning from all rows: the training data were not at hand."
    better = statement_text(statement(low=-0.05, high=-0.0111), certificate())[1]
    assert "between 1.1 and 5.0 percentage points less often" in better


def test_sentences_of_the_other_losses():
    brier = statement_text(statement(bound_by="betting"), certificate(loss="brier", guessing=0.45))
    assert (
        "has a Brier loss of at most 0.124 on new rows" in brier[0]
        and "(0.098 on the held-out rows; betting)" in brier[0]
    )
    assert "it loses between 0.005 less and 0.031 more than krr" in brier[1]
    squared = statement_text(statement(labels="targets"), certificate(loss="squared", guessing=0.11))
    assert f"squared error of at most {rounding.at_most(0.1231 * CAP)} variances on" in squared[0]
    assert "This bound says nothing: always answering the mean of the training targets" in squared[1]
    assert "0.031-approximation of the data for krr and the squared loss divided by 9" in squared[2]


def test_all_sentences_say_how_sure_what_it_rests_on_and_what_is_not_said():
    said = certificate_sentences(certificate(statement(), statement("forest"), about=ABOUT))
    assert said[0] == (
        "With probability at least 95 % over the draw of the 1,000 held-out rows, all of the statements below hold "
        "together."
    )
    told = " ".join(said)
    for word in ("forest", "0.0125", "privacy", "chosen among several", "another seed", "elsewhere"):
        assert word in told


def test_the_page_of_a_certificate():
    page = checked_page(render_certificate(certificate(statement("krr"), statement("knn", bound=0.2), about=ABOUT)))
    assert (
        "With probability at least 95 %, krr trained on the 10 examples is wrong on at most 12.4 % of new rows."
        in page.text
    )
    for part in ("mnist", "enough rows", "versions: numpy", "60,000"):
        assert part in page.text
    bare = checked_page(render_certificate(certificate(statement(bound=1.0))))
    assert "Nothing useful could be certified" in bare.text
    markdown = certificate_markdown(certificate(statement(), about=ABOUT))
    assert "chosen among several" in markdown and "| dataset | mnist |" in markdown


@settings(max_examples=200)
@given(value=st.floats(-1, 1), decimals=st.integers(1, 4))
def test_rounding_never_claims_more_than_is_known(value, decimals):
    number = Decimal(repr(value))
    above, below = (Decimal(f(value, decimals).replace("−", "-")) for f in (rounding.at_most, rounding.at_least))
    assert below <= number <= above and above - below <= Decimal(1).scaleb(-decimals)
    high, low = (Decimal(f(value).replace("−", "-")) for f in (rounding.percent_at_most, rounding.percent_at_least))
    assert low <= 100 * number <= high


@settings(max_examples=200)
@given(delta=st.floats(1e-12, 0.5))
def test_a_probability_is_never_overstated(delta):
    text = rounding.probability(delta)
    exact = 1 - Decimal(repr(delta))
    shown = Decimal(text.removesuffix(" %")) / 100 if text.endswith("%") else 1 - Decimal(text.removeprefix("1 − "))
    assert exact - Decimal("1e-4") <= shown <= exact
    assert Decimal(rounding.level(delta)) >= Decimal(repr(delta))
    assert rounding.probability(0.05) == "95 %"


# A tournament writes all of it


@pytest.fixture
def images(tmp_path, rng):
    """48 rows of two classes as 5×5 images, one half bright."""
    y = np.arange(48) % 2
    x = rng.integers(0, 120, (48, 5, 5), np.uint8)
    x[y == 1, :3] += 120
    np.savez(tmp_path / "images.npz", x_train=x[:32], y_train=y[:32], x_test=x[32:], y_test=y[32:])
    return tmp_path / "images.npz"


def test_a_tournament_writes_its_report_and_shows_it_again(images, tmp_path, capsys):
    words = ["compare", str(images), "--methods", "kmeans,herding", "--ipc", "1,2", "--learners", "krr:rbf,knn"]
    words += ["--seeds", "2", "--kernel", "rbf", "--delta", "0.1", "--out", str(tmp_path / "out")]
    assert run(words) == 0
    shown = capsys.readouterr().out
    page = checked_page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["headline"] in page.text and "With probability at least 90 %" in page.text
    assert summary["exhibit"]["columns"] == ["class mean", "random rows", "k-means (mean)", "herding (chosen)"]
    statements = summary["certified"]["statements"]
    assert len(statements) == 3 * 2 * 2 and summary["certified"]["each"] == pytest.approx(0.1 / 24)
    assert {s["set"] for s in statements} == {f"{m} {b}" for m in ("random", "kmeans", "herding") for b in (1, 2)}
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8").startswith("# images")
    assert run(["report", str(tmp_path / "out")]) == 0
    again = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("  ")] == [
        line for line in again.splitlines() if line.startswith("  ")
    ]
    assert summary["headline"] in again
    assert run(["report", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["headline"] == summary["headline"]
    assert run([*words[:-4], "--delta", "2", "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()
