import io
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datastill._errors import InputError
from datastill.data.dataset import SupportSet
from datastill.evaluate.scores import headline, panel_table
from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE
from datastill.report import (
    Score,
    Summary,
    learning_curve,
    render,
    summarise,
    support_grid,
    to_markdown,
    verdict,
)
from datastill.report.pictures import picture
from datastill.report.run.columns import column_text
from pages import HOSTILE, checked_page


def page_of(summary):
    return checked_page(render(summary))


def digits(per_class=1, steps=(0, 10, 20), **changes):
    rng = np.random.default_rng(0)
    x = rng.random((3 * per_class, 8, 8))
    support = SupportSet(x, np.repeat(["ant", "bee", "cow"], per_class), np.array(["ant", "bee", "cow"]))
    arguments = {
        "dataset": "digits",
        "method": "KIP",
        "n_train": 1400,
        "n_test": 397,
        "scores": [
            Score("KIP (learned)", 3 * per_class, 0.896, 0.889, 0.902, role="result"),
            Score("random rows", 3 * per_class, 0.612, 0.56, 0.66, role="random"),
            Score("all rows", 1400, 0.978, 0.96, 0.99, role="all"),
        ],
        "under": {"its own kernel": BETTER, "knn": BETTER},
        "learner": "kernel ridge regression",
        "history": [(step, 1 / (1 + step), 0.5 if step % 2 else None) for step in range(30)],
        "snapshots": [(step, x + 20 - step) for step in steps],
        "class_means": rng.random((3, 8, 8)),
        "nearest": rng.random((3, 8, 8)),
        "settings": {"reg": 1e-6, "learn labels": True, "seed": None},
        "warnings": ["Measured on one seed."],
        "files": ["support.safetensors"],
        "folder": "runs/a",
    }
    return summarise(support, **(arguments | changes))


def table(target=None, **changes):
    x = pd.DataFrame({"age": [38.25, 51.5], "hours": [40, 20], "job": ["clerk", None], "wed": [True, False]})
    y = np.array(["no", "yes"]) if target is None else target
    support = SupportSet(x, y, None if target is not None else np.array(["no", "yes"]))
    return summarise(support, **({"dataset": "adult", "method": "KIP", "n_train": 100} | changes))


def test_headline_tells_all_three_figures():
    assert digits().headline == (
        "3 learned examples (1 per class) give 89.6 % test accuracy (95 % interval 88.9–90.2) where "
        "1,400 rows give 97.8 %; 3 random rows give 61.2 %."
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("random rows, labels solved", "10 random rows with labels solved give 80.1 %."),
        ("random rows in proportion", "10 random rows in proportion give 80.1 %."),
        ("random rows, labels solved on 90 rows", "10 random rows with labels solved on 90 rows give 80.1 %."),
    ],
)
def test_the_headline_says_which_random_rows(name, said):
    scores = [Score("KIP", 10, 0.9, 0.8, 0.95, role="result"), Score(name, 10, 0.801, role="random")]
    assert headline("10 learned examples", scores, 90).endswith(f"; {said}")


PANEL = [
    Score(f"{learner}: {name}", n, value, learner=learner)
    for learner, values in {"knn": (0.9, 0.6, 0.8), "a:b": (0.7, 0.5, math.nan)}.items()
    for name, n, value in zip(("KIP (learned)", "random rows", "all rows"), (3, 3, 90), values, strict=True)
]


def test_the_headline_names_the_learner_that_a_set_teaches_least():
    scores = [Score("KIP (learned)", 3, 0.896, role="result"), *PANEL]
    said = " Of 2 learners trained on them the worst, a:b, gives 70.0 %, where random rows give 50.0 %."
    assert headline("3 learned examples", scores, 90).endswith(said)
    assert "Of 2" not in headline("3 learned examples", [scores[0], *PANEL[:3]], 90)


def test_a_panel_has_a_table_of_its_own():
    summary = digits(scores=[*digits().scores, *PANEL])
    page_of(summary)
    part = render(summary).partition("Learners trained on each")[2]
    for text in ("knn", "a:b", "70.0", "80.0", "KIP (learned)", "all rows"):
        assert text in part
    assert "Learners trained on each" not in render(digits())
    sets, rows = panel_table(summary.scores)
    assert sets == ["KIP (learned)", "random rows", "all rows"] and list(rows) == ["knn", "a:b"]
    assert rows["a:b"]["random rows"].value == 0.5
    hostile = Score("<b>x: random rows", 3, 0.5, learner="<b>x")
    assert "<b>x" not in render(digits(scores=[*digits().scores, hostile]))


def test_headline_of_one_regression_example():
    scores = [Score("KIP", 1, 0.8712, -0.1, 0.9, metric="R²", role="result")]
    summary = summarise(SupportSet(np.zeros((1, 2)), np.zeros(1)), dataset="d", method="m", n_train=9, scores=scores)
    assert summary.headline == "1 learned example gives a test R² of 0.871 (95 % interval −0.100 to 0.900)."


def told(*pairs):
    """Scores of a set, of random rows and of the constant prediction."""
    names = (
        ("a set", 10, "result"),
        ("random rows", 10, "random"),
        ("constant prediction (commonest class)", 0, "constant"),
    )
    return [Score(name, n, value, role=role) for (name, n, role), value in zip(names, pairs, strict=False)]


OWN = "its own kernel"


@pytest.mark.parametrize(
    ("values", "under", "outcome"),
    [
        ((0.9, 0.6), {OWN: BETTER, "knn": BETTER, "forest": WORSE}, "better"),
        ((0.9, 0.6), {OWN: BETTER, "knn": UNCLEAR, "forest": WORSE}, "better under its own kernel only"),
        ((0.9, 0.6), {OWN: BETTER}, "better under its own kernel only"),
        ((0.7, 0.6), {OWN: UNCLEAR, "knn": BETTER}, "cannot tell"),
        ((0.6, 0.6), {OWN: UNCLEAR}, "not better"),
        ((0.5, 0.6), {OWN: UNCLEAR}, "not better"),
        ((0.5, 0.6), {OWN: WORSE, "knn": BETTER}, "not better"),
        ((0.9, 0.6, 0.9), {OWN: BETTER, "knn": BETTER}, "not better"),
        ((0.9, 0.6, 0.89), {OWN: BETTER, "knn": BETTER}, "better"),
        ((math.nan, 0.6), {OWN: UNCLEAR}, "not compared"),
        ((0.9, math.nan), {OWN: BETTER}, "not compared"),
        ((0.9,), {OWN: BETTER}, "not compared"),
        ((), {OWN: BETTER}, "not compared"),
        ((0.9, 0.6), {}, "not compared"),
    ],
)
def test_verdict_rule(values, under, outcome):
    found = verdict(told(*values), under, 397)
    assert found.outcome == outcome
    assert found.under == under


def test_verdict_sentences():
    assert verdict(
        told(0.9, 0.6), {OWN: BETTER, "knn": BETTER, "forest": WORSE, "logistic": UNCLEAR}, 397
    ).sentence == (
        "Better than random rows with the same budget on 397 test rows, under its own kernel and knn; worse under "
        "forest; not shown under logistic."
    )
    everyone = {OWN: BETTER} | dict.fromkeys(("knn", "forest", "logistic", "mlp"), BETTER)
    assert verdict(told(0.9, 0.6), everyone).sentence == (
        "Better than random rows with the same budget, under its own kernel and all 4 learners that were asked."
    )
    assert verdict(told(0.9, 0.6), {OWN: BETTER, "knn": WORSE}).sentence == (
        "Better than random rows with the same budget under its own kernel only; worse under knn."
    )
    assert verdict(told(0.9, 0.6), {OWN: BETTER}).sentence == (
        "Better than random rows with the same budget under its own kernel only; no other learner was asked."
    )
    assert verdict(told(0.5, 0.6), {OWN: WORSE, "knn": BETTER}).sentence == (
        "NOT better than random rows with the same budget under its own kernel; better under knn."
    )
    scores = [Score("a set", 10, 0.9, role="result"), Score("random rows", 20, 0.89, role="random")]
    assert verdict(scores, {OWN: UNCLEAR}, 1).sentence == (
        "Cannot be told apart from 20 random rows on 1 test row under its own kernel."
    )
    assert verdict(told(0.75, 0.7, 0.764), {OWN: BETTER, "knn": BETTER}).sentence == (
        "NOT better than the constant prediction (commonest class), which gives 76.4 %. Better than random rows with "
        "the same budget under its own kernel; better under knn."
    )


@given(
    values=st.tuples(*[st.floats(0, 1)] * 3),
    words=st.lists(st.sampled_from([BETTER, WORSE, UNCLEAR]), min_size=1, max_size=4),
)
def test_green_needs_its_own_kernel_another_learner_and_more_than_a_constant(values, words):
    under = dict(zip([OWN, "a", "b", "c"], words, strict=False))
    found = verdict(told(*values), under, 9)
    green = words[0] == BETTER and BETTER in words[1:] and values[0] > values[2]
    assert (found.outcome == "better") == green


def test_headline_calls_proxies_what_they_are_and_tells_the_constant_where_something_is_below_it():
    scores = [
        Score("KIP (learned)", 540, 0.79, role="result"),
        Score("random rows", 540, 0.716, role="random"),
        Score("1,000 rows with labels solved on all 32,561", 1000, 0.85, role="inducing"),
        Score("constant prediction (commonest class)", 0, 0.764, role="constant"),
    ]
    assert headline("540 learned examples", scores, 32561) == (
        "540 learned examples give 79.0 % test accuracy where 1,000 rows with labels solved on all 32,561 give 85.0 %; "
        "540 random rows give 71.6 %; the constant prediction (commonest class) gives 76.4 %."
    )
    assert "constant" not in headline("540 learned examples", [*scores[:1], *scores[2:]], 32561)


def test_report_of_images_shows_everything():
    page = page_of(digits())
    for expected in (
        "digits",
        "KIP",
        "89.6 %",
        "88.9–90.2",
        "Better than random rows with the same budget on 397 test rows, under its own kernel and knn",
        "kernel ridge regression",
        "397 held-out rows",
        "ant",
        "class mean",
        "nearest real",
        "1e-06",
        "yes",
        "none",
        "Measured on one seed.",
        "support.safetensors",
        'SupportSet.load("runs/a")',
        "The loss went from 1 at step 0",
    ):
        assert expected in page.text
    assert page.tags["img"] == 3 * (2 + 3) + 1
    assert "class bee: learned example 1, step 10" in page.values("alt")


def test_scrubber_has_every_state_and_starts_at_the_last():
    html = render(digits())
    assert re.findall(r'id="step-(\d)"', html) == ["0", "1", "2"]
    assert re.search(r'id="step-2" checked', html) and html.count(" checked>") == 1
    assert [len(re.findall(rf'class="block examples state at-{i}"', html)) for i in range(3)] == [3, 3, 3]
    assert "20 (kept)" in html
    for i in range(2):
        assert f".evolution:has(#step-{i}:checked) .at-{i} {{ display: revert; }}" in html


def test_finished_set_is_added_after_other_snapshots():
    assert digits(steps=(10, 0)).gallery.states == ("0", "10", "kept")
    assert digits(steps=()).gallery.states == ("kept",)
    assert 'type="radio"' not in render(digits(steps=()))


def test_json_round_trip_without_arrays_or_nan():
    summary = digits(scores=[Score("KIP", 3, math.nan, role="result")], history=[(0, math.inf, None)])
    data = json.loads(summary.to_json())
    assert data == summary.as_dict()
    assert data["scores"][0]["value"] is None and data["history"][0]["loss"] is None
    assert data["gallery"]["classes"][1] == {"name": "bee", "total": 1, "shown": 1}


@pytest.mark.parametrize("text", HOSTILE)
def test_outside_text_is_escaped_everywhere(text):
    rows = pd.DataFrame({text: [text, "b"], "n": [1, 2]})
    support = SupportSet(rows, np.array([0, 1]), np.array([0, 1]))
    summary = summarise(
        support,
        dataset=text,
        method=text,
        learner=text,
        n_train=2,
        scores=[Score(text, 2, 0.5, role="result")],
        class_names=[text, "other"],
        settings={text: text},
        warnings=[text],
        files=[text],
        folder=text,
    )
    page = page_of(summary)
    assert not {"script", "b", "img"} & set(page.tags)
    shown = re.sub(r"[\x00\x1b\u202e]", "\ufffd", text)
    assert page.text.count(shown) >= 9
    images = SupportSet(np.zeros((2, 4, 4)), np.array([text, "z"], dtype=object), np.array([text, "z"], dtype=object))
    drawn = summarise(images, dataset="d", method="m", n_train=2)
    assert shown in page_of(drawn).text
    assert Image.open(io.BytesIO(support_grid(drawn.gallery))).width < 400
    assert "<" not in re.sub(r"\\<|```.*", "", to_markdown(summary), flags=re.DOTALL)


def test_lone_surrogates_can_be_written():
    summary = digits(class_names=["\ud800", "b", "c"], files=["caf\udce9.npz"], dataset="\udfff")
    page_of(summary)
    for text in (summary.to_json(), to_markdown(summary)):
        text.encode("utf-8")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_class_names_render(names):
    support = SupportSet(np.zeros((len(names), 2)), np.arange(len(names)), np.arange(len(names)))
    summary = summarise(support, dataset="d", method="m", n_train=9, class_names=names)
    page = page_of(summary)
    for name in names:
        if name.isprintable():
            assert name in page.text


def test_table_gallery_shows_rows_as_text():
    means = pd.DataFrame({"job": ["smith", "clerk"], "age": [40.0, 30.0], "hours": [38.5, 20.25]})
    summary = table(
        class_means=means,
        snapshots=[(0, pd.DataFrame([[1.0, 2, "x", True]] * 2, columns=["age", "hours", "job", "wed"]))],
    )
    page = page_of(summary)
    for expected in ("age", "job", "38.2", "51.5", "38.5", "clerk", "smith", "—", "yes", "most frequent"):
        assert expected in page.text
    assert page.tags["img"] == 0 and page.values("scope").count("rowgroup") == 2
    assert {"examples state at-0", "examples state at-1"} <= set(page.values("class"))


def test_wide_table_is_cut_and_says_so():
    support = SupportSet(pd.DataFrame(np.zeros((2, 60))), np.arange(2), np.arange(2))
    summary = summarise(support, dataset="d", method="m", n_train=9)
    assert "The first 24 of 60 columns are shown." in page_of(summary).text


def test_duplicate_column_names():
    x = pd.DataFrame([[1, "a"], [2, "b"]], columns=["same", "same"])
    summary = summarise(SupportSet(x, np.arange(2), np.arange(2)), dataset="d", method="m", n_train=9, class_means=x)
    assert "same" in page_of(summary).text


@pytest.mark.parametrize("kind", ["table", "images", "vectors", "wide"])
def test_regression_without_classes(kind):
    rng = np.random.default_rng(1)
    shape = {"images": (4, 5, 6, 3), "vectors": (4, 3), "wide": (4, 700)}.get(kind, (4, 2))
    x = pd.DataFrame(rng.random(shape), columns=["a", "b"]) if kind == "table" else rng.random(shape)
    y = np.array([3.5, -1.25, 2.0, 0.5])
    scores = [
        Score("KIP", 4, -3.0, -9.0, 0.2, "R²", "result"),
        Score("random rows", 4, math.nan, metric="R²"),
    ]
    mean = x.mean().to_frame().T if kind == "table" else x.mean(axis=0, keepdims=True)
    summary = summarise(SupportSet(x, y), dataset="d", method="KIP", n_train=50, scores=scores, class_means=mean)
    page = page_of(summary)
    shown = page.text if kind != "wide" else " ".join(page.values("alt"))
    assert shown.index("−1.25") < shown.index("0.50") < shown.index("3.50")
    assert "overall mean" in page.text and "per class" not in page.text
    assert Image.open(io.BytesIO(support_grid(summary.gallery))).format == "PNG"


def test_several_targets():
    summary = table(target=np.array([[1.0, 2.0], [0.5, -1.0]]))
    assert summary.gallery.panels[0].targets == ("(0.50, −1)", "(1.00, 2)")


def test_huge_support_is_capped_with_a_sentence():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8)
    support = SupportSet(x, np.repeat(np.arange(10), 50), np.arange(10))
    summary = summarise(
        support,
        dataset="c",
        method="KIP",
        n_train=50_000,
        snapshots=[(i, np.roll(x, i + 1)) for i in range(12)],
    )
    html = render(summary)
    assert "8 of 13 saved steps are shown." in html
    assert re.search(r"At most \d+ examples of each class are shown, of 500 in all\.", html)
    assert len(html) < 8_000_000
    assert summary.gallery.value_range == (0.0, 255.0)


def test_nan_scores_and_history():
    scores = [
        Score("KIP", 3, math.nan, role="result"),
        Score("random rows", 3, 0.5, math.nan, math.nan, role="random"),
    ]
    summary = digits(scores=scores, history=[(0, math.nan, math.nan), (1, math.inf, None)])
    page = page_of(summary)
    assert "could not be measured" in summary.headline and "—" in page.text
    assert "without finite values" in page.text and "nan" not in page.text.lower().replace("ant", "")


def test_report_without_anything_measured():
    page = page_of(digits(scores=[], history=[], settings=None, warnings=(), files=(), n_test=0))
    assert "nothing was measured" in page.text and "Comparison" not in page.text


def test_chosen_rows_are_not_called_learned():
    support = SupportSet(np.zeros((2, 3)), np.arange(2), np.arange(2), indices=np.array([4, 7]))
    summary = summarise(support, dataset="d", method="herding", n_train=9)
    assert summary.headline.startswith("2 chosen examples") and "What was chosen" in page_of(summary).text


def test_unequal_classes_and_an_empty_one():
    support = SupportSet(np.zeros((3, 4, 4)), np.array([0, 0, 2]), np.arange(3))
    summary = summarise(support, dataset="d", method="m", n_train=9)
    assert "(0 to 2 per class)" in summary.headline
    assert "none" in page_of(summary).text
    support_grid(summary.gallery)


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshots": [(0, np.zeros((2, 8, 8)))]},
        {"class_means": np.zeros((2, 8, 8))},
        {"nearest": np.zeros((4, 8, 8))},
        {"class_names": ["only one"]},
    ],
)
def test_mismatched_numbers_are_refused(changes):
    with pytest.raises(InputError, match=r"Got \d.*expected \d"):
        digits(**changes)


def test_markdown():
    text = to_markdown(digits())
    assert "| KIP (learned) | 3 | 89.6 % | 88.9–90.2 |" in text
    assert text.startswith("# digits · KIP\n") and "```python" in text


def test_learning_curve_is_reproducible_and_refuses_nothing_to_draw():
    summary = digits()
    svg = learning_curve(summary.history)
    assert svg == learning_curve(summary.history) and b"<svg" in svg
    with pytest.raises(InputError):
        learning_curve([])


@pytest.mark.parametrize(("shape", "mode"), [((8, 8), "L"), ((8, 8, 1), "L"), ((8, 8, 3), "RGB"), ((200, 9, 4), "RGB")])
def test_picture_modes_and_range(shape, mode):
    image = np.full(shape, 3.0)
    image[0, 0] = np.nan
    drawn = picture(image, 1.0, 3.0)
    assert drawn.mode == mode and max(drawn.size) <= 96
    assert np.asarray(drawn).max() == 255


def test_grid_is_a_row_for_each_class():
    one, ten = (Image.open(io.BytesIO(support_grid(digits(per_class=n).gallery))) for n in (1, 10))
    assert one.height < 150 < ten.height and ten.width > 10 * 64


@pytest.mark.parametrize(
    ("values", "cells", "numeric"),
    [
        ([1.0, 20.0, 3000.0], ["1", "20", "3000"], True),
        ([12345, 1], ["12,345", "1"], True),
        ([38.25, 1.0, np.nan], ["38.2", "1.0", "—"], True),
        ([0.00012, -0.0004], ["0.00012", "−0.0004"], True),
        ([-0.0001, 0.5], ["0.000", "0.500"], True),
        (["a", None, True], ["a", "—", "yes"], False),
        ([pd.Timestamp("2024-05-01"), pd.NaT], ["2024-05-01", "—"], False),
        ([], [], False),
    ],
)
def test_column_text(values, cells, numeric):
    assert column_text(values) == (cells, numeric)


@pytest.mark.parametrize(
    ("under", "colour"),
    [({OWN: BETTER}, "better-under-its-own-kernel-only"), ({OWN: BETTER, "knn": BETTER}, "better")],
)
def test_the_colour_of_the_verdict_is_green_only_where_another_learner_agrees(under, colour):
    assert f'class="verdict {colour}"' in render(digits(under=under))
    styles = re.findall(r"([^{}]*)\{ color: var\(--(good|unsure)\)", render(digits()))
    meant = {name: selector for selector, name in styles}
    assert f".{colour}" in meant["good" if colour == "better" else "unsure"]


def test_summary_is_frozen():
    with pytest.raises(AttributeError):
        digits().title = "other"
    assert isinstance(digits(), Summary)
