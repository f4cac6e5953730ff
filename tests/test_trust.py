"""Files that others made are read without being believed: no code, no escapes, no formulas, no false certificates.

Each promise of SECURITY.md has its test here.
"""

import copy
import csv
import html.parser
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from datastill import Coreset, Dataset, SupportSet, load
from datastill._errors import InputError, OutputError
from datastill._text import printable
from datastill.certify import Certificate, Check
from datastill.certify.copies import RATIOS, copies, forms, ratios
from datastill.cli.app import run
from datastill.cli.output import print_facts, print_json, print_table, say
from datastill.data import named
from datastill.data.archive import read_json, read_tensors, unpack, write_atomic, write_json, write_tensors
from datastill.data.spreadsheet import support_csv
from datastill.data.task import with_test
from datastill.evaluate import kept
from datastill.learners.named import named_learner
from datastill.preprocess.encoder import fit_encoder
from datastill.report import certificate_markdown, render_certificate
from datastill.report.text import escaped
from datastill.workflows.certificate_files import CERTIFICATE, pages
from datastill.workflows.certify import CertificateSettings, certify_set, evaluate
from datastill.workflows.compare import ComparisonSettings, compare
from datastill.workflows.saved_set import open_artefact, write_row_digests
from datastill.workflows.verify import ALWAYS, verify

FORMULAS = "=+-@"
NASTY = [
    *("\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\r", "\n", "\t", "\x7f", "\u202e", "\u2066", "\ud800", "\u200b", "\0"),
    *(
        "=cmd|' /C calc'!A1",
        "@SUM(1)",
        "+1",
        "-1",
        "＝1",
        ";=1+1",
        '",=1',
        "<script>alert(1)</script>",
        "</style>",
        "'",
    ),
    *(
        "[a](javascript:x)",
        "![](http://x)",
        "| a |",
        "`",
        "$x$",
        "http://evil.example",
        "www.evil.example",
        "&lt;",
        "../..",
    ),
]
hostile = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=5)), min_size=1, max_size=4).map("".join)
held_by_tables = hostile.map(lambda text: text.encode("utf-8", "replace").decode())
quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DATASTILL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def shown(text: str) -> bool:
    """Return whether a terminal shows all of it, and obeys none."""
    return all(line.isprintable() for line in text.split("\n"))


# Text on its way to a terminal


@given(hostile)
def test_text_for_a_terminal_is_one_line_of_characters_that_can_be_seen(text):
    found = printable(text)
    assert found.isprintable()
    assert printable(found) == found
    assert not text.isprintable() or found == " ".join(text.split())


@given(hostile)
def test_messages_of_errors_are_clean(text):
    for error in (InputError(f"Got {text}."), OutputError(f"Could not write {text}.")):
        assert str(error).isprintable()


@given(st.lists(hostile, min_size=2, max_size=2), st.dictionaries(hostile, hostile, min_size=1, max_size=2))
@quickly
def test_tables_notes_and_json_are_clean(capsys, row, facts):
    capsys.readouterr()
    print_table(row[0], (row[1], "b"), [tuple(row)])
    print_facts(row[0], list(facts.items()))
    say(row[0])
    say(row[1], aside=True)
    written = capsys.readouterr()
    assert shown(written.out)
    assert shown(written.err)
    print_json({"facts": facts})
    written = capsys.readouterr().out
    assert shown(written)
    assert json.loads(written)["facts"] == facts


@given(hostile)
@quickly
def test_the_command_line_says_strange_names_in_one_clean_line(capsys, text):
    name = text.replace("\0", "")
    for words in (["distill", "iris", "--target", name], ["evaluate", f"runs/{name}"], ["certify", f"./{name}"]):
        assert run(words) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert shown(said)


def test_class_names_with_escapes_are_shown_without(tmp_path, capsys):
    y = np.array(["\x1b]0;owned\x07\x1b[31mred", "\u202eb"] * 40)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(80, 3)), y=y)
    assert run(["distill", str(tmp_path / "d.npz"), "--method", "random", "--ipc", "zzz=1"]) == 2
    assert shown(capsys.readouterr().err)


# Results of others, shown again


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of a table, and a finished comparison."""
    folder = tmp_path_factory.mktemp("finished")
    assert run(["distill", "iris", "--method", "random", "--ipc", "2", "--out", str(folder / "run"), "--json"]) == 0
    words = ["compare", "iris", "--methods", "kmeans", "--ipc", "1", "--learners", "knn", "--seeds", "2", "--json"]
    assert run([*words, "--out", str(folder / "both")]) == 0
    return folder


def leaves(value, path=()):
    """The paths to all that is neither an object nor a list."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
        return
    for key, part in items:
        yield from leaves(part, (*path, key))


def changed(value, path, new):
    """A copy with another value at a path."""
    made = copy.deepcopy(value)
    part = made
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return made


anything = st.one_of(
    hostile, st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(), st.lists(st.integers(), max_size=2)
)


@pytest.mark.parametrize(("folder", "file"), [("run", "metrics.json"), ("both", "summary.json")])
@given(st.data())
@quickly
def test_others_results_are_shown_clean_or_refused(finished, tmp_path, capsys, folder, file, data):
    saved = read_json(finished / folder / file)
    path = data.draw(st.sampled_from(sorted(leaves(saved), key=str)))
    (tmp_path / file).write_text(json.dumps(changed(saved, path, data.draw(anything))))
    for words in (["report", str(tmp_path)], ["report", str(tmp_path), "--json"]):
        assert run(words) in (0, 2)
        written = capsys.readouterr()
        assert shown(written.out)
        assert shown(written.err)


@given(hostile, hostile, hostile)
@quickly
def test_pages_hold_no_tag_or_link_that_names_brought(one, two, three):
    def page(learner, note, dataset):
        made = certificate_of(learner, note, dataset)
        return render_certificate(made), certificate_markdown(made)

    tags, plain = Tags(), Tags()
    written, markdown = page(one, two, three)
    tags.feed(written)
    plain.feed(page("a", "b", "c")[0])
    assert tags.found == plain.found
    assert not any(c in written for c in "\x1b\x07\x9b\u202e\u2066\0")
    assert markdown.count("\n") == page("a", "b", "c")[1].count("\n")


@given(hostile)
def test_no_character_means_anything_to_markdown(text):
    found = escaped(text)
    bare = re.sub(r"\\.", "", found)
    assert found.isprintable()
    assert not set("`*_{}[]<>#|~&@$") & set(bare)
    assert not re.search(r"(?i)\b(https?:|ftp:|www\.)", bare)


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, sorted(name for name, _ in attrs)))


def certificate_of(learner: str, note: str, dataset: str) -> Certificate:
    from datastill.certify import Losses, state

    said = state(learner, Losses(np.zeros(90), None, "soft", note or "x"), 0.01, "zero-one")
    about = {"dataset": dataset or "x", "method": note or "x", "n_support": 4}
    return Certificate(0.05, 0.01, "zero-one", 90, 0.5, (said,), (Check(note or "x", dataset),), about)


# Spreadsheets


@given(
    st.lists(held_by_tables, min_size=3, max_size=3),
    held_by_tables,
    st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
    st.lists(st.floats(allow_nan=False), min_size=3, max_size=3),
)
def test_no_cell_of_text_is_a_formula_and_numbers_stay_what_they_are(texts, name, narrow, wide):
    x = pd.DataFrame({name: texts, "narrow": np.array(narrow, np.float32), "wide": wide, "mixed": [1, texts[0], None]})
    support = SupportSet(x, np.array(texts, object), weights=np.array([0.5, 1.1, 2.0], np.float32))
    written = support_csv(support, name).decode()
    header, *rows = csv.reader(io.StringIO(written, newline=""))
    assert len(rows) == 3
    assert header[1:4] == ["narrow", "wide", "mixed"]
    assert header[-1] == "weight"
    for column, cells in enumerate(zip(*rows, strict=True)):
        if header[column] in ("narrow", "wide", "weight"):
            continue
        for cell in (header[column], *cells):
            assert cell.isprintable()
            assert not any(part.strip()[:1] in tuple(FORMULAS + "＝＋－＠") for part in cell.split(";"))
    np.testing.assert_array_equal(np.array([row[1] for row in rows]).astype(np.float32), np.array(narrow, np.float32))
    np.testing.assert_array_equal([float(row[2]) for row in rows], wide)
    assert [row[-1] for row in rows] == ["0.5", "1.1", "2"]


def test_several_targets_have_a_column_each_and_names_do_not_clash():
    x = pd.DataFrame({"price": [1.5, 2.0], "weight": [3, 4]})
    support = SupportSet(x, np.array([[1.0, 2.25], [3.0, 4.0]]), weights=np.ones(2))
    lines = support_csv(support, "price").decode().splitlines()
    assert lines == ["price,weight,price_1,price_2,weight_", "1.5,3,1,2.25,1", "2,4,3,4,1"]
    assert (
        support_csv(replace(support, y=np.array([7, 8]), weights=None), "price").splitlines()[0]
        == b"price,weight,price_"
    )


# Code


@pytest.fixture(scope="module")
def digits():
    return with_test(Dataset("digits", *load_digits(return_X_y=True)), 0, "classification")


@pytest.fixture(scope="module")
def certified(digits, tmp_path_factory):
    """A set of digits with a certificate, and its data."""
    os.environ.setdefault("DATASTILL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    folder = tmp_path_factory.mktemp("certified")
    small = replace(digits, x_test=digits.x_test[:200], y_test=digits.y_test[:200])
    made = Coreset(2, method="kmeans", random_state=0).fit(digits.x, digits.y)
    made.support_set_.save(folder)
    write_row_digests(folder, made.space_.encode(digits.x))
    certify_set(open_artefact(folder, digits), small.x_test, small.y_test, CertificateSettings(("knn",)), folder)
    return folder, digits, (small.x_test, small.y_test)


def forge(folder: Path, saved, into: Path) -> None:
    """The certificate changed, with pages that agree, as anyone can make them."""
    for path in folder.glob("*.*"):
        write_atomic(into / path.name, path.read_bytes())
    (into / CERTIFICATE).unlink(missing_ok=True)
    (into / CERTIFICATE).write_text(json.dumps(saved))
    try:
        for name, content in pages(Certificate.from_dict(saved)).items():
            write_atomic(into / name, content)
    except Exception:  # no page can be made of it
        return


def test_code_that_a_certificate_names_is_not_run_unless_the_user_names_it(certified, tmp_path, monkeypatch):
    folder, data, rows = certified
    saved = read_json(folder / CERTIFICATE)
    saved["statements"][0]["learner"] = "stranger_helper:Learner"
    forge(folder, saved, tmp_path)
    (tmp_path / "stranger_helper.py").write_text("raise RuntimeError('it ran')")
    monkeypatch.chdir(tmp_path)
    artefact = open_artefact(tmp_path, data)
    for found in (verify(artefact, tmp_path), verify(artefact, tmp_path, rows)):
        assert "stranger_helper" not in sys.modules
        assert found.sentence.startswith("NOT verified")
    assert "the losses of stranger_helper:Learner" in found.sentence
    with pytest.raises(InputError, match="it ran"):
        verify(artefact, tmp_path, rows, named=["stranger_helper:Learner"])


def test_a_config_may_not_name_code(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('judges = "os:system"\n')
    assert run(["distill", "iris", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "o")]) == 2
    assert "code that a file may not name" in capsys.readouterr().err


def test_a_learner_of_the_current_folder_does_not_hide_what_is_installed(tmp_path, monkeypatch):
    (tmp_path / "sklearn.py").write_text("raise RuntimeError('it ran')")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert type(named_learner("sklearn.naive_bayes:GaussianNB")).__name__ == "GaussianNB"
    assert sys.path == before


@pytest.mark.slow
def test_modules_in_the_folder_that_is_judged_are_not_imported(certified, tmp_path):
    folder, data, rows = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    np.savez(tmp_path.parent / "train.npz", x=data.x, y=data.y)
    np.savez(tmp_path.parent / "held.npz", x=rows[0], y=rows[1])
    for name in ("numpy", "joblib", "sklearn", "flax", "random", "helper"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    held = str(tmp_path.parent / "held.npz")
    for words in (
        ["evaluate", ".", "--test", held, "--learners", "knn,forest", "--jobs", "2", "--seeds", "2"],
        ["certify", ".", "--verify", "--holdout", held],
        ["report", "."],
    ):
        command = [sys.executable, "-P", "-c", "from datastill.cli import main; main()", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2), done.stderr
        assert not (tmp_path / "ran").exists(), words


# Certificates


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_edited_certificate_is_refused_or_the_edit_is_called_unverified(certified, tmp_path, data):
    folder, train, rows = certified
    saved = read_json(folder / CERTIFICATE)
    path = data.draw(st.sampled_from(sorted(leaves(saved), key=str)))
    old = saved
    for key in path:
        old = old[key]
    new = data.draw(anything.filter(lambda value: json.dumps(value) != json.dumps(old) and value != old))
    if isinstance(new, float) and (not np.isfinite(new) or (isinstance(old, float) and abs(new - old) < 1e-6)):
        return
    forge(folder, changed(saved, path, new), tmp_path)
    artefact = open_artefact(tmp_path, train)
    for held in (None, rows):
        try:
            said = verify(artefact, tmp_path, held).sentence
        except InputError:
            continue
        assert any(words in said for words in called(path, held is not None)), (path, new, said)


def called(path, with_rows: bool) -> list[str]:
    """By which words a part is called unverified."""
    alone = {"held_out": "digests of the rows", "dropped": "number left out", "distance": "their distance"}
    if path[0] == "about":
        words = {"date": "the date", "versions": "the versions"} | ({} if with_rows else alone)
        return [words[path[1]]] if path[1] in words else []
    if with_rows:
        return ["the losses of"] if path[-1] == "learner" else []
    learners = "the losses are those of these learners"
    return {"checks": ["and the checks"], "statements": [learners]}.get(path[0], [])


@given(st.data())
@quickly
def test_a_certificate_with_more_or_less_in_it_is_refused(certified, tmp_path, data):
    folder, train, _ = certified
    saved = read_json(folder / CERTIFICATE)
    place = data.draw(st.sampled_from([(), ("about",), ("about", "training"), ("statements", 0), ("checks", 0)]))
    part = saved
    for key in place:
        part = part[key]
    if data.draw(st.booleans()):
        part.pop(data.draw(st.sampled_from(sorted(part))))
    else:
        part[data.draw(hostile.filter(lambda name: name not in part))] = "more"
    forge(folder, saved, tmp_path)
    with pytest.raises(InputError):
        verify(open_artefact(tmp_path, train), tmp_path)


@pytest.mark.parametrize("name", ["certificate.html", "certificate.md"])
def test_edited_pages_are_refused(certified, tmp_path, name):
    folder, data, _ = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("95", "99.9"))
    with pytest.raises(InputError, match=f"{name}, which does not say"):
        verify(open_artefact(tmp_path, data), tmp_path)


def test_rows_that_were_trained_on_do_not_verify(certified, tmp_path):
    from datastill.certify import certify
    from datastill.workflows import certify as workflow
    from datastill.workflows.certificate_files import write

    folder, data, _ = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    artefact, rows = open_artefact(tmp_path, data), (data.x[:300], data.y[:300])
    held = artefact.held_out(*rows)
    made, losses = certify(artefact.examples(), artefact.every(), held, ["knn"])
    about = {**workflow.about_set(artefact), "held_out": workflow.row_facts(*rows), "dropped": 0, "distance": 0.001}
    about |= {name: read_json(folder / CERTIFICATE)["about"][name] for name in ("date", "versions")}
    forged = replace(made, checks=(Check("never seen", "none was"), *made.checks), about=about)
    write(forged, losses, held.y, tmp_path)
    with pytest.raises(InputError, match="of which 300 equal training rows"):
        verify(artefact, tmp_path, rows)
    with pytest.raises(InputError, match="of which 300 equal training rows"):
        verify(open_artefact(tmp_path), tmp_path, rows)
    assert verify(artefact, tmp_path).sentence.startswith("NOT verified: that the losses")


def test_examples_of_the_set_are_no_held_out_rows(digits, tmp_path):
    made = Coreset(9, method="kmeans", random_state=0).fit(digits.x, digits.y).support_set_
    made.save(tmp_path)
    artefact = open_artefact(tmp_path, digits)
    near = made.x + np.random.default_rng(0).normal(0, 1e-5, made.x.shape)
    for x, words in (
        (made.x, r"\d equal examples of the set"),
        (near, r"\d are within"),
        (1.2 * made.x, "altered copies"),
    ):
        with pytest.raises(InputError, match=words):
            certify_set(artefact, x, made.y, CertificateSettings(("knn",)), tmp_path)
    write_row_digests(tmp_path, artefact.space.encode(digits.x))
    with pytest.raises(InputError, match=r"\d equal examples of the set"):
        certify_set(open_artefact(tmp_path), made.x, made.y, CertificateSettings(("knn",)), tmp_path)


def test_losses_that_another_wrote_are_not_believed(digits, tmp_path, monkeypatch):
    made = Coreset(1, method="kmeans", random_state=0).fit(digits.x, digits.y).support_set_
    made.save(tmp_path)
    artefact, question = open_artefact(tmp_path, digits), CertificateSettings(("knn",))
    rows = digits.x_test, digits.y_test
    honest = certify_set(artefact, *rows, question, tmp_path)
    files = list((tmp_path / "learners").glob("*.safetensors"))
    for path in files:
        tensors, header = read_tensors(path)
        write_tensors(path, {**tensors, "losses": np.zeros_like(tensors["losses"])}, header)
    assert certify_set(artefact, *rows, question, tmp_path) == honest
    assert all(kept.find(path, kept.own_key())[1]["losses"].any() for path in files)
    for path in files:  # sealed by a stranger, under a key of theirs
        (row, tensors), key = kept.find(path, kept.own_key()), b"stranger" * 4
        kept.keep(path, {**row, "accuracy": 1.0}, {**tensors, "losses": np.zeros_like(tensors["losses"])}, key)
    assert certify_set(artefact, *rows, question, tmp_path) == honest
    found = evaluate(artefact, *rows, ["knn"], 1, "soft", 1, tmp_path / "learners").table
    assert found["accuracy"].iloc[0] == pytest.approx(1 - honest.statements[0].risk)


def test_sets_rows_and_labels_that_another_wrote_are_not_compared(tmp_path):
    data = with_test(Dataset("iris", *load_iris(return_X_y=True)), 0, "classification")
    entrants = ComparisonSettings(("kmeans",), (1,), ("knn",), 2, teacher="logistic")
    honest = compare(data, "classification", entrants, tmp_path).judged.table.drop(columns="seconds")
    unchanged = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.safetensors")}
    compare(data, "classification", entrants, tmp_path)
    assert unchanged == {path: path.stat().st_mtime_ns for path in unchanged}
    for folder in (tmp_path / "sets").iterdir():
        if folder.is_dir():
            made = SupportSet.load(folder)
            replace(made, x=made.x[::-1].copy(), soft_labels=made.soft_labels[::-1].copy()).save(folder)
    for path in (*(tmp_path / "rows").iterdir(), *(tmp_path / "sets").glob("teacher*")):
        tensors, header = read_tensors(path)
        write_tensors(path, {name: np.zeros_like(array) for name, array in tensors.items()}, header)
    found = compare(data, "classification", entrants, tmp_path).judged.table.drop(columns="seconds")
    pd.testing.assert_frame_equal(found, honest)


def test_what_is_kept_is_found_again_by_its_own_user_under_its_own_name(tmp_path):
    path, tensors = tmp_path / "a.safetensors", {"losses": np.arange(3.0)}
    kept.keep(path, {"n": 1}, tensors, kept.own_key())
    value, found = kept.find(path, kept.own_key())
    assert value == {"n": 1}
    np.testing.assert_array_equal(found["losses"], tensors["losses"])
    path.rename(tmp_path / "b.safetensors")
    assert kept.find(tmp_path / "b.safetensors", kept.own_key()) is None
    assert kept.find(tmp_path / "none", kept.own_key()) is None
    write_tensors(path, tensors, '{"n": 1}')
    assert kept.find(path, kept.own_key()) is None
    kept.own_key.cache_clear()
    assert kept.own_key() == kept.own_key.__wrapped__()
    key = Path(os.environ["DATASTILL_CACHE"]) / kept.KEY_FILE
    assert key.stat().st_mode & 0o077 == 0


# Paths and memory


def test_a_link_in_a_folder_is_not_followed_to_write(certified, tmp_path):
    folder, data, rows = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "learners").symlink_to(elsewhere)
    with pytest.raises(InputError, match="link to another folder"):
        certify_set(open_artefact(tmp_path, data), *rows, CertificateSettings(("knn",)), tmp_path)
    target = tmp_path.parent / "target.txt"
    target.write_text("mine")
    (tmp_path / "learners").unlink()
    (tmp_path / CERTIFICATE).unlink()
    (tmp_path / CERTIFICATE).symlink_to(target)
    certify_set(open_artefact(tmp_path, data), *rows, CertificateSettings(("knn",)), tmp_path)
    assert target.read_text() == "mine"
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "https://x.example/d.npz", "mnist", "iris.npz"])
def test_the_data_that_a_set_names_are_read_only_if_built_in_and_here(certified, tmp_path, monkeypatch, name):
    folder, _, _ = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    manifest = read_json(tmp_path / "manifest.json")
    manifest["provenance"]["dataset"] = name
    write_json(tmp_path / "manifest.json", manifest)
    monkeypatch.setenv("DATASTILL_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.delenv("DATASTILL_DATA", raising=False)
    monkeypatch.setattr(named, "_download", lambda entry: pytest.fail("it was downloaded"))
    assert open_artefact(tmp_path).data is None


@given(st.data())
@quickly
def test_a_forged_manifest_is_read_or_refused(certified, tmp_path, data):
    folder, train, _ = certified
    forge(folder, read_json(folder / CERTIFICATE), tmp_path)
    manifest = read_json(folder / "manifest.json")
    path = data.draw(st.sampled_from(sorted(leaves(manifest), key=str)))
    new = data.draw(anything)
    (tmp_path / "manifest.json").write_text(json.dumps(changed(manifest, path, new)))
    tensors, _ = read_tensors(folder / "support.safetensors")
    write_tensors(tmp_path / "support.safetensors", dict(tensors))  # without the digest, as old sets are
    try:
        artefact = open_artefact(tmp_path, train)
        verify(artefact, tmp_path)
    except InputError:
        return
    assert len(artefact.examples().x) == 20


def test_text_and_tables_that_would_fill_the_memory_are_refused():
    with pytest.raises(ValueError, match="100001 texts"):
        unpack({"array": ["a" * 10**6] + ["b"] * 10**5, "dtype": "str"}, {})
    big = {"x": np.zeros(10**4)}
    column = {"name": "a", "dtype": "float64", "values": {"tensor": "x"}}
    with pytest.raises(KeyError):
        unpack({"table": [{**column, "name": str(i)} for i in range(10**4)]}, big)
    assert unpack({"array": ["é", "b"], "dtype": "str"}, {}).tolist() == ["é", "b"]


# Altered copies


def altered(x: np.ndarray, kind: str) -> np.ndarray:
    """Rows changed as someone could who wants them to pass for new."""
    draw, changed = np.random.default_rng(1), x.astype(np.float64)
    flat = changed.reshape(len(x), -1)
    if kind == "brighter":
        return 1.2 * changed
    if kind == "darker, with an offset":
        return 0.7 * changed + 1.0
    if kind == "noise":
        return changed + 0.05 * x.std() * draw.normal(size=x.shape)
    if kind == "one pixel":
        place = np.arange(len(x)), draw.integers(0, flat.shape[1], len(x))
        flat[place] = np.where(flat[place] > 8, 0, 16)
        return flat.reshape(x.shape)
    if kind == "shifted":
        return np.pad(changed, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    if kind == "order":
        return flat[:, draw.permutation(flat.shape[1])].reshape(x.shape)
    return (changed + 1e-4).astype(kind)


@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize(
    "kind", ["brighter", "darker, with an offset", "noise", "one pixel", "shifted", "order", "float16"]
)
def test_altered_training_rows_are_found(kind, share):
    x = load_digits().data.reshape(-1, 8, 8)[np.random.default_rng(0).permutation(1797)]
    space = fit_encoder(x[:1300])
    z = space.encode(x[:1300])
    made = int(300 * share)
    held = space.encode(np.concatenate([altered(x[:made], kind), x[1300 : 1600 - made]]))
    flagged = copies(held, z, z[:0], space, True)
    assert flagged[:made].mean() >= 0.95
    assert flagged[made:].mean() <= 0.05 if share < 1 else True
    assert (ratios(forms(held[:made], space, True), forms(z, space, False)) <= RATIOS[-1]).mean() >= 0.99


@pytest.mark.parametrize("load_rows", [load_digits, load_iris, load_wine, load_breast_cancer])
def test_rows_that_were_drawn_alike_are_not_taken_for_copies(load_rows):
    x, y = load_rows(return_X_y=True)
    for seed in range(8):
        order = np.random.default_rng(seed).permutation(len(x))
        train, held = x[order[: 3 * len(x) // 4]], x[order[3 * len(x) // 4 :]]
        if seed % 2:  # of one class alone
            held = held[y[order[3 * len(x) // 4 :]] == 0]
        space = fit_encoder(train)
        z, new = space.encode(train), space.encode(held)
        new = new[
            ~np.isin(
                new.round(4).view([("", new.dtype)] * new.shape[1]), z.round(4).view([("", z.dtype)] * z.shape[1])
            )[:, 0]
        ]
        assert not copies(new, z, z[:0], space, True).any()


@pytest.mark.slow
def test_the_test_rows_of_mnist_are_not_taken_for_copies(shared):
    data = load(shared / "data" / "mnist")
    space = fit_encoder(data.x)
    z = space.encode(data.x)
    assert not copies(space.encode(data.x_test[:2000]), z, z[:0], space, True).any()
    bright = np.concatenate([1.2 * data.x[:60], data.x_test[:1940]])
    assert copies(space.encode(bright), z, z[:0], space, True)[:60].mean() >= 0.95


def test_a_copy_of_a_table_row_with_one_cell_changed_is_found(rng):
    table = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400), "c": rng.choice(list("xyz"), 400)})
    train, space = table.iloc[:300], fit_encoder(table.iloc[:300])
    for column in table:
        held = train.iloc[:80].copy()
        held[column] = held[column].sample(frac=1, random_state=0).to_numpy()
        z = space.encode(held)
        equal = (z[:, None] == space.encode(train)[None]).all(axis=2).any(axis=1)
        found = copies(z[~equal], space.encode(train), z[:0], space, True)
        assert found.mean() >= 0.95
    honest = space.encode(table.iloc[300:])
    assert not copies(honest, space.encode(train), honest[:0], space, True).any()


def test_nothing_else_is_unverified_when_all_rows_are_at_hand(certified):
    folder, data, rows = certified
    assert verify(open_artefact(folder, data), folder, rows).unverified == ALWAYS


@pytest.mark.parametrize("name", ["manifest.json", "support.safetensors"])
def test_a_link_to_a_device_is_refused_rather_than_read_for_ever(name, tmp_path):
    SupportSet(np.eye(2), np.arange(2)).save(tmp_path / "set")
    (tmp_path / "set" / name).unlink()
    (tmp_path / "set" / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no regular file"):
        SupportSet.load(tmp_path / "set")
