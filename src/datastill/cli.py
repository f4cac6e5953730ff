"""The command line: what was asked for is parsed here, and done elsewhere.

Standard output holds the result (one table, or one JSON object with --json); progress and notes go to standard error.
Exit 0 on success, 2 for a bad input or argument, 1 for a failure of the program, 130 when interrupted.
"""

import os
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from datastill._errors import DatastillError, InputError
from datastill.console import bytes_text, print_json, print_summary, print_table, seconds_text

INTERRUPTED = 130

app = typer.Typer(
    name="datastill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take defaults for this command's options from a TOML file; options on the command line win."""
    if path is None:
        return None
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Got --config {path}, which cannot be read ({error}); expected a TOML file.") from None
    known = {p.name: p for p in context.command.params}
    settings = {k.replace("-", "_"): v for k, v in settings.items()}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(
            f"Got {', '.join(unknown)} in {path}; expected options of `{context.info_name}` such as ipc, kernel, seed."
        )
    context.default_map = {**(context.default_map or {}), **settings}
    return path


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A built-in name (see `datasets`) or a path: .npz, .csv, .parquet, IDX or image folder.",
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
        help="kip (learned examples); label-solve; kmeans, archetypes (new examples); random, stratified, kmeans-nearest, "
        "kmedoids, kcenter, herding, mmd, lightweight, leverage, facility-location, saturated-coverage, graph-cut, "
        "feature-based, log-determinant, margin, entropy, forgetting, el2n (chosen rows).",
        rich_help_panel="Method",
    ),
]
KernelName = Annotated[
    str,
    typer.Option(
        help="fc1, fc3, fc2-erf, fc1-nngp, rbf, rbf:0.5, linear, poly3; several with commas.",
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
Seed = Annotated[int, typer.Option(help="Equal seeds give equal results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Config = Annotated[
    Path | None,
    typer.Option(callback=_read_config, is_eager=True, help="TOML file with defaults for these options."),
]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"datastill {version('datastill')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compress a dataset into a handful of learned examples, and prove on held-out data that they are enough."""


@app.command()
def distill(
    data: Data,
    method: Method = "kip",
    ipc: Ipc = None,
    n_support: NSupport = None,
    allocation: Allocation = "balanced",
    kernel: KernelName = "fc1",
    out: Annotated[Path | None, typer.Option(help="Folder for the run; the same command continues it.")] = None,
    target: Target = None,
    test: Test = None,
    task: Task = "auto",
    image_size: ImageSize = None,
    labels: Annotated[
        str,
        typer.Option(help="solve, gradient or fixed: how label vectors come about.", rich_help_panel="Method"),
    ] = "solve",
    init: Annotated[
        str,
        typer.Option(
            help="What to start from: random rows, noise, a method that chooses rows or makes centres, or the folder of "
            "a run.",
            rich_help_panel="Method",
        ),
    ] = "random",
    optimiser: Annotated[
        str,
        typer.Option(
            help="lazy, naive, stochastic or lazier: how submodular objectives are maximised.", rich_help_panel="Method"
        ),
    ] = "lazy",
    preprocess: Annotated[
        str, typer.Option(help="standardise, zca, zca-unit-norm or none.", rich_help_panel="Method")
    ] = "standardise",
    augment: Annotated[
        str | None,
        typer.Option(
            help="Of training images, for instance flip,shift=2,rotate=10,crop=0.9.", rich_help_panel="Method"
        ),
    ] = None,
    corruption: Annotated[
        float, typer.Option(help="Fraction of every example that stays noise.", rich_help_panel="Method")
    ] = 0.0,
    keep_range: Annotated[
        bool, typer.Option(help="Keep examples within the data's range.", rich_help_panel="Method")
    ] = True,
    class_balanced: Annotated[
        bool,
        typer.Option("--class-balanced", help="Count every class the same, not every row.", rich_help_panel="Method"),
    ] = False,
    steps: Annotated[int, typer.Option(help="At most.", rich_help_panel="Optimisation")] = 1000,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Training rows in a step; by default 5,000, and at least 20 for each example.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(help="In units of the standardised data.", rich_help_panel="Optimisation")
    ] = 0.1,
    patience: Annotated[
        int,
        typer.Option(
            help="Validations without improvement before stopping; 0 never stops early.", rich_help_panel="Optimisation"
        ),
    ] = 10,
    reg: Annotated[
        float,
        typer.Option(
            help="Ridge on the support's kernel matrix, as a fraction of its mean diagonal.",
            rich_help_panel="Optimisation",
        ),
    ] = 1e-6,
    ridge: Annotated[
        float | None,
        typer.Option(
            help="Weight of the predictor's norm when labels are solved; by default 1e-6 for kip, 0 for label-solve.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    memory_gb: Annotated[
        float, typer.Option(help="For the working arrays of a step, in GiB.", rich_help_panel="Optimisation")
    ] = 1.0,
    seed: Seed = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Learn a small set from DATA, judge it on test rows, and write both to a folder."""
    from datastill import runs

    dataset, task = _load(data, target, test, task, image_size, seed, as_json)
    if method not in runs.METHODS:
        raise InputError(f"Got --method {method}; expected one of {', '.join(runs.METHODS)}.")
    if labels not in ("solve", "gradient", "fixed"):
        raise InputError(f"Got --labels {labels}; expected solve, gradient or fixed.")
    if task == "regression" and ipc is not None:
        raise InputError("Got --ipc for regression, which has no classes; expected --n-support; try --n-support 20.")
    settings = {
        "ipc": _budget("--ipc", ipc),
        "n_support": _budget("--n-support", n_support),
        "allocation": allocation,
        "kernel": kernel,
        "optimiser": optimiser,
        "learn_labels": {"solve": True, "gradient": "gradient", "fixed": False}[labels],
        "init": init,
        "preprocess": preprocess,
        "augment": augment,
        "corruption": corruption,
        "keep_range": keep_range,
        "class_balanced": class_balanced,
        "max_iter": steps,
        "batch_size": batch,
        "learning_rate": learning_rate,
        "patience": patience if patience > 0 else "never",
        "reg": reg,
        "ridge": ridge,
        "memory": int(memory_gb * 2**30),
    }
    request = runs.Request(method, task, settings, seed)
    folder = out or Path("runs") / f"{_slug(dataset.name)}-{method}-{runs.identify(dataset, request)[:8]}"
    result = runs.distill(dataset, request, folder, verbose=not as_json)
    if as_json:
        print_json({"out": str(folder), "resumed_finished_run": result.resumed, **result.summary})
    else:
        print_summary(result, folder)


Learners = Annotated[
    str,
    typer.Option(
        help="krr (krr:rbf), logistic, linear-svm, rbf-svm, knn, forest, boosting, mlp, net:PRESET (dc, dsa, frepo, rcig, "
        "rfad, kip, mlp, fast; then :plain or :augmented), or package.module:Class.",
    ),
]


@app.command()
def compare(
    data: Data,
    methods: Annotated[
        str, typer.Option(help="As for `distill`, several with commas; kip:rbf gives one a kernel of its own.")
    ] = "kmeans,kip",
    ipc: Annotated[
        str, typer.Option(help="Examples per class (in all, for regression); several with commas.")
    ] = "1,10",
    learners: Learners = "krr,logistic,forest",
    seeds: Annotated[int, typer.Option(help="How many.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder; the same command continues it.")] = None,
    target: Target = None,
    test: Test = None,
    task: Task = "auto",
    image_size: ImageSize = None,
    kernel: Annotated[str, typer.Option(help="Of the methods; as for `distill`.")] = "fc1",
    steps: Annotated[int, typer.Option(help="Of KIP.")] = 1000,
    labels: Annotated[
        str,
        typer.Option(
            help="soft: label vectors for learners that take them; hard: classes for all; expanded: weighted copies too."
        ),
    ] = "soft",
    relabel_with: Annotated[
        str | None,
        typer.Option(
            metavar="LEARNER", help="Judge every set once more with the labels of this learner, trained on all."
        ),
    ] = None,
    robust: Annotated[
        bool, typer.Option("--robust", help="Label-robust and augmentation-robust scores (DD-Ranking) as well.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Learners trained side by side.")] = 1,
    memory_gb: Annotated[float | None, typer.Option(help="For all of them, in GiB; no limit by default.")] = None,
    delta: Annotated[float, typer.Option(help="Probability that any of the certified statements fails.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Train several learners on the sets of several methods, beside random rows and all rows."""
    from datastill import tournament

    dataset, task = _load(data, target, test, task, image_size, 0, as_json)
    entrants = tournament.Entrants(
        _words(methods), _budgets(ipc), _words(learners), seeds, kernel, steps, labels, relabel_with, robust
    )
    folder = out or Path("runs") / f"{_slug(dataset.name)}-compare"
    memory = None if memory_gb is None else int(memory_gb * 2**30)
    outcome = tournament.compare(dataset, task, entrants, folder, jobs, memory)
    table = outcome.judged.table
    for learner, error in dict.fromkeys(zip(table["learner"], table["error"], strict=True)):
        if error:
            print(f"{learner} failed: {error}", file=sys.stderr)
    if as_json:
        parts = {"rows": table, "standings": outcome.standings, "robustness": outcome.robustness}
        print_json({"out": str(folder)} | {name: tournament.plain(part) for name, part in parts.items()})
        return
    score = "accuracy" if task == "classification" else "R²"
    print_table(
        f"{dataset.name}: {score}, %, mean ± deviation over {seeds} seeds",
        ("set", *outcome.learners),
        tournament.wide(outcome.standings, outcome.learners, labels),
    )
    print("▲ better, ▼ worse than random rows of the same budget and labels; all marks together hold with 95 %.")
    print(f"Table: {folder / 'table.parquet'}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show again what a finished run found."""
    from datastill import runs
    from datastill.data.archive import read_json

    if not (folder / "metrics.json").exists():
        raise InputError(f"Got {folder}, which holds no finished run; expected metrics.json; try `datastill distill`.")
    summary = read_json(folder / "metrics.json")
    if as_json:
        print_json({"out": str(folder), **summary})
    else:
        print_summary(runs.Result(folder, summary, True), folder)


@app.command()
def plan(
    data: Data,
    method: Annotated[str, typer.Option(help="kip or label-solve; several with commas.")] = "kip,label-solve",
    kernel: Annotated[str, typer.Option(help="As for `distill`; each is forecast on its own.")] = "fc1,rbf",
    ipc: Annotated[str, typer.Option(help="Examples per class; several with commas.")] = "10",
    target: Target = None,
    task: Task = "auto",
    image_size: ImageSize = None,
    steps: Annotated[int, typer.Option(help="Of KIP.")] = 1000,
    batch: Annotated[int | None, typer.Option(help="Training rows in a step, as for `distill`.")] = None,
    memory_gb: Annotated[float, typer.Option(help="For the working arrays of a step, in GiB.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Forecast the memory and time of a run before it is started."""
    from datastill import plan as planning
    from datastill.kernels.names import as_kernels

    dataset, task = _load(data, target, None, task, image_size, 0, True)
    shape = planning.Shape.of(dataset, task)
    budgets = _budgets(ipc)
    baseline = planning.Baseline.now()
    memory = int(memory_gb * 2**30)
    named = [(name.strip(), k) for name in kernel.split(",") for k in as_kernels(name)]
    rows = [
        (name, planning.forecast(shape, m.strip(), k, b, steps, batch, memory, baseline))
        for m in method.split(",")
        for name, k in named
        for b in budgets
    ]
    if as_json:
        print_json({"data": dataset.name, "forecasts": [{"name": name, **row.as_dict()} for name, row in rows]})
        return
    print_table(
        f"{dataset.name}: {shape.rows:,} rows of {shape.columns:,} numbers",
        ("method", "kernel", "examples", "memory", "time"),
        [(f.method, name, f"{f.n_support:,}", bytes_text(f.memory_bytes), seconds_text(f.seconds)) for name, f in rows],
    )


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the built-in names."""
    from datastill.data import named

    records = named.available()
    if as_json:
        print_json({"datasets": [asdict(r) for r in records]})
        return
    print_table(
        "Built-in names",
        ("name", "kind", "rows", "shape", "on this machine"),
        [(r.name, r.kind, f"{r.rows:,}", str(r.shape), "yes" if r.on_this_machine else "no") for r in records],
    )


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        outcome = typer.main.get_command(app).main(arguments, prog_name="datastill", standalone_mode=False)
        if outcome == INTERRUPTED:
            raise KeyboardInterrupt
        return outcome if isinstance(outcome, int) else 0
    except DatastillError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("Interrupted; run the same command again to continue from the checkpoint.", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the argument parser
            return _fail(f"{error.format_message()} Try `datastill --help`.", 2)
        if os.environ.get("DATASTILL_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error} (DATASTILL_TRACEBACK=1 shows where)", 1)


def _fail(message: str, code: int) -> int:
    print("datastill: " + " ".join(message.split()), file=sys.stderr)
    return code


def _load(
    data: str, target: str | None, test: str | None, task: str, image_size: int | None, seed: int, quiet: bool
) -> tuple[Any, str]:
    """The dataset with test rows, and the task, said on standard error when it was guessed."""
    from datastill._validate import check_present
    from datastill.data.sources import load
    from datastill.data.task import guess_task, with_test

    dataset = load(data, target=target, test=test, image_size=image_size)
    for labels in (dataset.y, dataset.y_test):
        if labels is not None:
            check_present(labels)
    if task == "auto":
        task, why = guess_task(dataset.y)
        if not quiet:
            other = "regression" if task == "classification" else "classification"
            print(f"Taken as {task}, since {why} (--task {other} changes it).", file=sys.stderr)
    elif task not in ("classification", "regression"):
        raise InputError(f"Got --task {task}; expected classification, regression or auto.")
    return with_test(dataset, seed, task), task


def _words(text: str) -> tuple[str, ...]:
    """Names separated by commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _budgets(ipc: str) -> tuple[int, ...]:
    """Several numbers of examples per class."""
    try:
        return tuple(int(part) for part in ipc.split(","))
    except ValueError:
        raise InputError(f"Got --ipc {ipc}; expected whole numbers separated by commas, such as 1,10.") from None


def _budget(option: str, text: str | None) -> Any:
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


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60] or "data"
