"""What the documentation says runs, links and names is true: its code, its commands, its links, its notation."""

import ast
import functools
import gzip
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from datastill import cli
from datastill.workflows.distill import METHODS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=str)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
QUICK_STEPS = "20"


def blocks(page, *languages):
    """(line, text) of each fenced block in one of the languages."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2]) for found in FENCE.finditer(text) if found[1] in languages
    ]


def commands(page):
    """The lines of console blocks that call datastill."""
    lines = [line for _, text in blocks(page, "console", "sh") for line in text.splitlines()]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.removeprefix("$ ").startswith("datastill ")]


def named(pages):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    """A working folder with a small file for every placeholder that the pages name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATASTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DATASTILL_DATA", raising=False)
    images, classes = rng.integers(0, 256, (40, 6, 6), np.uint8), np.arange(40) % 2
    images[classes == 1, :3] //= 4
    np.savez("mine.npz", x_train=images, y_train=classes)
    np.savez("other.npz", x_train=images[:20], y_train=classes[:20])
    table = pd.DataFrame(
        {
            "size": rng.normal(size=40) + classes,
            "town": np.where(rng.random(40) < 0.5, "York", "Leeds"),
            "label": np.where(classes == 1, "yes", "no"),
        }
    )
    table.loc[3, "size"] = None
    table.to_csv("mine.csv", index=False)
    table.to_parquet("mine.parquet", index=False)
    table.assign(price=table["size"].fillna(0) * 2.5).to_csv("prices.csv", index=False)
    digits, numbers = load_digits(return_X_y=True)
    digits = digits.reshape(-1, 8, 8)
    np.savez("more.npz", x_train=digits[:50, ::-1], y_train=numbers[:50])
    np.savez("gone.npz", x_train=digits[20:30], y_train=numbers[20:30])
    Path("idx").mkdir()
    for name, array in (("images-idx3", images), ("labels-idx1", classes.astype(np.uint8))):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        Path(f"idx/train-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    for i, (image, label) in enumerate(zip(images, classes, strict=True)):
        place = Path("photos") / ("day" if label else "night")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", named(page for page in PAGES if blocks(page, "python")))
def test_python_blocks_run(page, folder, capsys):
    """The blocks of a page run one after the other, as a reader would type them."""
    names = {"__name__": "__main__"}
    for line, text in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)


def takes_steps(arguments: list[str]) -> bool:
    """Whether the method of a `distill` command does; one that is left out may be KIP."""
    method = arguments[arguments.index("--method") + 1] if "--method" in arguments else "kip"
    return "max_iter" in METHODS[method][False]._get_param_names()


@pytest.mark.slow
@pytest.mark.parametrize("page", named(page for page in PAGES if commands(page)))
def test_commands_run(page, folder, monkeypatch, capsys):
    """The commands of a page run in their order and exit with 0; KIP is given fewer steps, to be quick."""
    if page.name == "README.md":
        (folder / "mine.csv").write_bytes((folder / "prices.csv").read_bytes())
    for command in commands(page):
        arguments = command[1:]
        if arguments[0] == "distill" and "--steps" not in arguments and takes_steps(arguments):
            arguments += ["--steps", QUICK_STEPS]
        monkeypatch.setattr(sys, "argv", ["datastill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, f"{shlex.join(command)}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", named(PAGES))
def test_relative_links_resolve(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        path = page.parent / target.split("#")[0]
        assert path.exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", named(PAGES))
def test_anchors_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            headings = re.findall(r"^#+ (.+)$", (page.parent / path if path else page).read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in headings]
            assert anchor in slugs, f"{page.relative_to(ROOT)} links to {target}; there are {slugs}"


@pytest.mark.parametrize("page", named(PAGES))
def test_no_page_is_forgotten(page):
    """Every page of the documentation can be reached from the navigation."""
    if ROOT / "docs" in page.parents:
        assert str(page.relative_to(ROOT / "docs")) in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@functools.cache
def identifiers():
    """Every name that the source defines or uses: functions, classes, parameters, attributes, variables."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for field in ("id", "attr", "arg", "name"):
                value = getattr(node, field, None)
                found.update([value] if isinstance(value, str) else [])
    return found


def notation():
    """The back-quoted code in the middle column of every row of notation.md."""
    rows = re.findall(
        r"^\| (?!---|Paper|Words)(.*) \|$", (ROOT / "docs" / "notation.md").read_text("utf-8"), re.MULTILINE
    )
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[1])]


def test_notation_is_read():
    assert {"k_ss", "krr.solve", "ClassLabels.encode"} <= set(notation())


@pytest.mark.parametrize("code", notation())
def test_notation_names_exist(code):
    tree = ast.parse(code, mode="eval")
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    names |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.keyword)}
    assert names and names <= identifiers()


@pytest.mark.parametrize("page", named((ROOT / "docs" / "api").glob("*.md")))
def test_documented_objects_exist(page):
    """Every `::: datastill.…` of the interface pages can be imported."""
    for path in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        parts = path.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                value = importlib.import_module(".".join(parts[:cut]))
                break
            except ModuleNotFoundError:
                continue
        for name in parts[cut:]:
            value = getattr(value, name)


def test_the_figures_shown_are_those_of_the_result_files(monkeypatch):
    """docs/results.md and the README's table are what `python benchmarks/render.py` makes of the committed files."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    render = importlib.import_module("render")
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == render.page()
    assert (ROOT / "README.md").read_text(encoding="utf-8") == render.readme()


def test_the_table_of_archetypal_images_is_that_of_the_committed_file():
    """docs/archetypes.md shows the accuracies of benchmarks/results/archetypes.json, all of them."""
    found = json.loads((ROOT / "benchmarks" / "results" / "archetypes.json").read_text())["accuracy"]
    table = (ROOT / "docs" / "archetypes.md").read_text(encoding="utf-8").split("| one per class |")[1]
    rows = [line for line in table.split("\n\n")[0].splitlines()[2:] if line]
    assert rows == [
        f"| {name} | {100 * row['labels solved']:.1f} | {100 * row['plain labels']:.1f} |"
        for name, row in found.items()
    ]
