"""Options that the commands share, and the reading of data and lists."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from datastill._errors import InputError
from datastill.cli.output import say


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take defaults for this command's options from a TOML file; options on the command line win."""
    if path is None:
        return None
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Got --config {path}, which cannot be read ({error}); expected a TOML file.") from None
    from datastill.learners import named

    known = {p.name: p.name for p in context.command.params}
    known |= {option.lstrip("-").replace("-", "_"): p.name for p in context.command.params for option in p.opts}
    settings = {k.replace("-", "_"): v for k, v in settings.items()}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(
            f"Got {', '.join(unknown)} in {path}; expected options of `{context.info_name}` such as ipc, kernel, seed."
        )
    for option in ("judges", "learners", "for"):
        if any(named.is_import_path(name) for name in words(str(settings.get(option, "")))):
            raise InputError(
                f"Got {settings[option]!r} as {option} in {path}; expected built-in learners, since others are code that a "
                f"file may not name; try --{option} on the command line."
            )
    settings = {known[option]: value for option, value in settings.items()}
    context.default_map = {**(context.default_map or {}), **settings}
    return path


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A built-in name (see `datasets`) or a path: .npz, .csv, .parquet, IDX or image folder; for `distill` also "
        "moments.",
        show_default=False,
    ),
]
Target = Annotated[str | None, typer.Option(help="Column to predict, for tables.", rich_help_panel="Data")]
Test = Annotated[
    str | None,
    typer.Option(
        help="Held-out data of the same kind; by default its own test part, or a random quarter.",
        rich_help_panel="Data",
    ),
]
Task = Annotated[
    str,
    typer.Option(help="classification, regression, or auto to tell from the labels.", rich_help_panel="Data"),
]
ImageSize = Annotated[
    int | None,
    typer.Option(help="Side in pixels to which images in a folder are resized.", rich_help_panel="Data"),
]
Method = Annotated[
    str,
    typer.Option(
        help="auto (universal, or kip where its options are given); universal (learned examples that teach many learners); "
        "kip (learned examples for one kernel); network-kip (images that teach networks); rfad, frepo, rcig (the same as "
        "published, for GPUs); label-solve; kmeans, kmeans-targets, archetypes (new examples); random, stratified, "
        "kmeans-nearest, kmedoids, kcenter, herding, mmd, lightweight, "
        "leverage, facility-location, saturated-coverage, graph-cut, feature-based, log-determinant, margin, entropy, "
        "forgetting, el2n (chosen rows).",
        rich_help_panel="Method",
    ),
]
KernelName = Annotated[
    str,
    typer.Option(
        help="fc1, fc3, fc2-erf, fc1-nngp, convnet3, conv-vec3, myrtle5, rbf, rbf:0.5, linear, poly3, features:fourier; "
        "several with commas.",
        rich_help_panel="Method",
    ),
]
Ipc = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Examples per class: 10 (when neither budget is given), a fraction such as 0.05, or cat=10,dog=0.1.",
        rich_help_panel="Budget",
    ),
]
NSupport = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Examples in all, or a fraction of the rows; the only budget for regression.",
        rich_help_panel="Budget",
    ),
]
Allocation = Annotated[
    str,
    typer.Option(help="balanced or proportional: how --n-support is spread over classes.", rich_help_panel="Budget"),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Config = Annotated[
    Path | None,
    typer.Option(callback=read_config, is_eager=True, help="TOML file with defaults for these options."),
]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run's folder, or one with a saved set.", show_default=False)
]
Train = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="What the set was made from; by default the built-in set of that name.",
        rich_help_panel="Data",
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="soft: label vectors for learners that take them; hard: classes for all; expanded: weighted copies too."
    ),
]
Learners = Annotated[
    str,
    typer.Option(
        help="krr (krr:rbf), logistic, linear-svm, rbf-svm, knn, forest, boosting, mlp, net:PRESET (dc, dsa, frepo, rcig, "
        "rfad, kip, mlp, fast; then :plain or :augmented), or package.module:Class.",
    ),
]


def load_labelled(source: str, **options: Any) -> Any:
    """Load data with `sources.load`, refuse missing labels, and print the notes on how values were read."""
    from datastill._validate import check_present
    from datastill.data.sources import load

    dataset = load(source, **options)
    for labels in (dataset.y, dataset.y_test):
        if labels is not None:
            check_present(labels)
    for note in dataset.reading.notes:
        say(note, aside=True)
    return dataset


def check_task(task: str) -> str:
    """Return the task, or raise an InputError for one that does not exist."""
    if task not in ("auto", "classification", "regression"):
        raise InputError(f"Got --task {task}; expected classification, regression or auto.")
    return task


def load_data(
    data: str, target: str | None, test: str | None, task: str, image_size: int | None, seed: int, quiet: bool
) -> tuple[Any, str]:
    """The dataset with test rows, and the task, said on standard error when it was guessed."""
    from datastill.data.task import guess_task, with_test

    check_task(task)
    dataset = load_labelled(data, target=target, test=test, image_size=image_size)
    if task == "auto":
        task, why = guess_task(dataset.y)
        if not quiet:
            other = "regression" if task == "classification" else "classification"
            say(f"Taken as {task}, since {why} (--task {other} changes it).", aside=True)
    return _with_test_rows(with_test(dataset, seed, task), len(dataset.x)), task


def _with_test_rows(dataset: Any, rows: int) -> Any:
    """Return the dataset, or raise an InputError if it has no test rows."""
    if not len(dataset.x_test):
        raise InputError(
            f"Got {rows} rows, of which none can be held out as a test row; expected at least one test row; try --test "
            "DATA or more rows."
        )
    return dataset


def load_moments(
    path: str, target: str | None, test: str | None, task: str, image_size: int | None
) -> tuple[Any, str, Any]:
    """Return the rows that a pass kept as a dataset, the task, and all that the pass collected."""
    from datastill.data.dataset import Dataset
    from datastill.moments import load as load_collected
    from datastill.workflows.distill import sampled

    collected = load_collected(path)
    recipe, held = collected.recipe, None
    if task not in ("auto", recipe.source.task):
        known = recipe.source.task
        raise InputError(f"Got --task {task} with moments for {known}; expected the same; try leaving it out.")
    if test is not None:
        found = load_labelled(test, target=target or recipe.target, image_size=image_size, like=recipe.like)
        own = found.x_test is not None and found.y_test is not None
        held = Dataset(found.name, found.x_test, found.y_test) if own else found
    return sampled(collected, Path(path).stem, held), recipe.source.task, collected


def given(context: typer.Context, option: str) -> bool:
    """Return whether an option was set, on the command line or by --config."""
    return getattr(context.get_parameter_source(option), "name", "DEFAULT") != "DEFAULT"


def words(text: str) -> tuple[str, ...]:
    """Names separated by commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def gibibytes(number: float) -> int:
    """GiB in bytes."""
    if not 0 < number < math.inf:
        raise InputError(f"Got --memory-gb {number}; expected a number above 0; try 1.")
    return int(number * 2**30)


def budgets(ipc: str) -> tuple[int, ...]:
    """Several numbers of examples per class."""
    try:
        return tuple(int(part) for part in ipc.split(","))
    except ValueError:
        raise InputError(f"Got --ipc {ipc}; expected whole numbers separated by commas, such as 1,10.") from None


def budget(option: str, text: str | None) -> Any:
    """A number, a fraction, or a mapping from class labels to either."""
    if text is None:
        return None
    try:
        if "=" in text and option == "--ipc":
            pairs = (part.rpartition("=") for part in text.split(","))
            return {label.strip(): _number(value) for label, _, value in pairs}
        return _number(text)
    except ValueError:
        mapping = ", or cat=10,dog=0.1" if option == "--ipc" else ""
        raise InputError(f"Got {option} {text}; expected a whole number or a fraction such as 0.05{mapping}.") from None


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def slug(name: str) -> str:
    """A name for a folder."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60] or "data"
