"""`distill`, `plan` and `datasets`: sets are made."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from datastill._errors import InputError
from datastill.cli.app import app
from datastill.cli.options import (
    Allocation,
    AsJson,
    Config,
    Data,
    ImageSize,
    Ipc,
    KernelName,
    Method,
    NSupport,
    Seed,
    Target,
    Task,
    Test,
    budget,
    budgets,
    check_task,
    gibibytes,
    given,
    load_data,
    load_moments,
    slug,
    words,
)
from datastill.cli.output import bytes_text, print_json, print_summary, print_table, say, seconds_text

OF_KIP = (
    *("kernel", "labels", "init", "preprocess", "augment", "corruption", "keep_range", "class_balanced", "steps"),
    *("batch", "learning_rate", "patience", "reg", "ridge", "memory_gb"),
)
"""Options that say how KIP is to learn."""
OF_KIP_ALONE = (*("kernel", "labels", "augment", "keep_range", "class_balanced", "reg", "ridge", "memory_gb"),)
"""Options that the universal set lacks, so that giving one asks for KIP."""
OF_ROWS = ("kernel", "preprocess", "augment", "batch", "memory_gb")
"""Options of KIP that do not apply to moments."""
PARAMETERS = {"labels": "learn_labels", "steps": "max_iter", "batch": "batch_size", "memory_gb": "memory"}
PARAMETERS |= {"for": "learners"}
"""Options whose parameter of an estimator has another name."""
LEAST_ROWS = 50
"""Of which some can be held out to choose by."""


@app.command()
def distill(
    context: typer.Context,
    data: Data,
    method: Method = "auto",
    ipc: Ipc = None,
    n_support: NSupport = None,
    allocation: Allocation = "balanced",
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Training rows to learn from, drawn at random, or all; by default all, but of a method that is left to "
            "auto 100,000 of more.",
            rich_help_panel="Method",
        ),
    ] = None,
    kernel: KernelName = "fc1",
    out: Annotated[Path | None, typer.Option(help="Folder for the run; the same command continues it.")] = None,
    target: Target = None,
    test: Test = None,
    task: Task = "auto",
    image_size: ImageSize = None,
    labels: Annotated[
        str,
        typer.Option(help="solve, gradient or fixed: how label vectors are found.", rich_help_panel="Method"),
    ] = "solve",
    init: Annotated[
        str | None,
        typer.Option(
            help="What to start from: random rows, noise, coarse (kip, images, a convnet: half the size first), a method "
            "that chooses rows or makes centres, or the folder of a run; by default k-means centres for universal, "
            "random rows for the rest.",
            rich_help_panel="Method",
        ),
    ] = None,
    taught: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="LEARNERS",
            help="Learners, as for `evaluate`, that a universal set is to teach; by default everybody.",
            rich_help_panel="Method",
        ),
    ] = None,
    optimiser: Annotated[
        str,
        typer.Option(
            help="lazy, naive, stochastic or lazier: how submodular objectives are maximised.", rich_help_panel="Method"
        ),
    ] = "lazy",
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="standardise, zca, zca-unit-norm or none; by default standardise, and zca for images in colour with "
            "rfad, frepo or rcig.",
            rich_help_panel="Method",
        ),
    ] = None,
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
    steps: Annotated[
        int | None,
        typer.Option(
            help="At most; by default 600 for universal, 1,000 for kip, 1,200 for network-kip, as published for rfad, frepo and rcig.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Training rows in a step; by default 300 for universal, 5,000 for kip, and at least 20 for each example, 5,120 "
            "for rfad, 1,024 for frepo and rcig.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="In units of the standardised data; by default tried out for universal, 0.1 for kip, 0.03 for network-kip, 0.001 for "
            "rfad, 0.0003 for frepo, 0.003 for rcig.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Validations without improvement before stopping; by default 10 for kip, 25 for rfad; 0 never stops "
            "early.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
    reg: Annotated[
        float | None,
        typer.Option(
            help="Ridge on the support's kernel matrix, as a fraction of its mean diagonal; by default 1e-6; 5e-3 "
            "for network-kip and rfad, 5e-4 for rcig.",
            rich_help_panel="Optimisation",
        ),
    ] = None,
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
    learners: Annotated[
        str | None,
        typer.Option(
            metavar="LEARNERS",
            help="Learners, as for `evaluate`, that are trained on the set and judged too, beside random rows; by default "
            "logistic,knn,forest (3 seeds, sets of moderate size), for methods that teach networks net:dsa,net:frepo if "
            "there is a GPU; none: no learners.",
            rich_help_panel="Judging",
        ),
    ] = None,
    judge_seeds: Annotated[
        int, typer.Option(min=1, help="How often each of them is trained.", rich_help_panel="Judging")
    ] = 5,
    judges: Annotated[str | None, typer.Option(hidden=True, help="The old name of --learners.")] = None,
    seed: Seed = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Learn a small set from DATA, or from moments of it, judge it on test rows, and write both to a folder."""
    from datastill.moments.files import is_moments
    from datastill.workflows import distill as workflow

    if method != "auto" and method not in workflow.METHODS:
        raise InputError(f"Got --method {method}; expected one of auto, {', '.join(workflow.METHODS)}.")
    if labels not in ("solve", "gradient", "fixed"):
        raise InputError(f"Got --labels {labels}; expected solve, gradient or fixed.")
    settings = {
        "ipc": budget("--ipc", ipc),
        "n_support": budget("--n-support", n_support),
        "allocation": allocation,
        "kernel": kernel,
        "optimiser": optimiser,
        "learn_labels": {"solve": True, "gradient": "gradient", "fixed": False}[labels],
        "init": init,
        "learners": None if taught is None else list(words(taught)),
        "preprocess": preprocess,
        "augment": augment,
        "corruption": corruption,
        "keep_range": keep_range,
        "class_balanced": class_balanced,
        "max_iter": steps,
        "batch_size": batch,
        "learning_rate": learning_rate,
        "patience": patience if patience != 0 else "never",
        "reg": reg,
        "ridge": ridge,
        "memory": gibibytes(memory_gb),
    }
    if judges is not None:
        if learners is not None:
            raise InputError("Got --learners with --judges, its old name; expected one of them; try --learners alone.")
        learners = judges
        say("--judges is now --learners; the old name will be removed in the next release.", aside=True)
    trained = _learners(learners, method)
    if given(context, "judge_seeds") and (not trained or learners == "none"):
        raise InputError("Got --judge-seeds and no learners; expected some; try --learners logistic.")
    for one in ("kip", "universal") if method == "auto" else (method,):
        workflow.check(workflow.Request(one, check_task(task), settings, seed, trained, judge_seeds))
    fewer, collected = _rows(rows), None
    if is_moments(data):
        if method not in ("auto", "kip"):
            raise InputError(f"Got --method {method} with moments, which hold no rows to choose from; expected kip.")
        method = "kip"
        dataset, task, collected = load_moments(data, target, test, task, image_size)
    else:
        dataset, task = load_data(data, target, test, task, image_size, seed, as_json)
    if rows is not None and collected is not None:
        raise InputError("Got --rows with moments, which stand for all rows; try leaving it out.")
    if method == "auto":
        method = _method(context, dataset, as_json)
        fewer = workflow.rows_for(dataset, settings) if rows is None else fewer
    if fewer is not None and fewer < len(dataset.x) and not as_json:
        say(f"Rows: {fewer:,} of {len(dataset.x):,} to learn from (--rows all takes all).", aside=True)
    _refuse_unused(context, method, workflow.estimator_of(method, task == "regression"), collected is not None)
    if task == "regression" and ipc is not None:
        raise InputError("Got --ipc for regression, which has no classes; expected --n-support; try --n-support 20.")
    request = workflow.Request(method, task, settings, seed, trained, judge_seeds, fewer)
    folder = out or Path("runs") / f"{slug(dataset.name)}-{method}-{workflow.identify(dataset, request)[:8]}"
    unseen = collected is None or test is not None
    result = workflow.distill(dataset, request, folder, verbose=True, collected=collected, unseen=unseen)
    if as_json:
        print_json({"out": str(folder), "resumed_finished_run": result.resumed, **result.summary})
    else:
        print_summary(result, folder)


def _learners(asked: str | None, method: str) -> tuple[str, ...]:
    """Return those asked for; else networks for methods that teach them, where they take no longer than the run."""
    import jax

    from datastill.workflows import distill as workflow

    if asked is not None:
        return workflow.NO_JUDGES if asked == "none" else words(asked)
    return workflow.NETWORKS if method in workflow.TEACHERS and jax.default_backend() != "cpu" else ()


def _method(context: typer.Context, dataset: Any, quiet: bool) -> str:
    """Return universal, unless something is asked of KIP alone, or rows are too few to hold some out, or too wide."""
    import numpy as np

    from datastill.estimators.universal import MOST_NUMBERS

    asked = [name for name in OF_KIP_ALONE if given(context, name)]
    numbers = int(np.prod(dataset.x.shape[1:]))
    if asked:
        why = f"kip, since --{asked[0].replace('_', '-')} is given"
    elif len(dataset.x) < LEAST_ROWS:
        why = f"kip, since there are {len(dataset.x)} rows"
    elif numbers > MOST_NUMBERS:
        why = f"kip, since a row has {numbers:,} numbers"
    else:
        why = "universal, the default"
    if not quiet:
        say(f"Method: {why}.", aside=True)
    return why.partition(",")[0]


def _rows(text: str | None) -> int | None:
    """The number of --rows; None for all, and where it is left out."""
    if text in (None, "all"):
        return None
    try:
        number = int(str(text).replace(",", "").replace("_", ""))
    except ValueError:
        number = 0
    if number < 2:
        raise InputError(f"Got --rows {text}; expected a whole number, 2 or more, or all; try --rows 100000.")
    return number


def _refuse_unused(context: typer.Context, method: str, estimator: Any, moments: bool) -> None:
    """InputError for an option that was given and would change nothing."""
    known = estimator._get_param_names()
    for option in ("allocation", "optimiser", "for", *OF_KIP):
        without = moments and option in OF_ROWS
        if given(context, "taught" if option == "for" else option) and (
            without or PARAMETERS.get(option, option) not in known
        ):
            what = "moments, whose pass has settled it" if without else f"--method {method}, which has no such setting"
            raise InputError(f"Got --{option.replace('_', '-')} with {what}; try leaving it out.")


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
    from datastill.gram.names import as_kernels
    from datastill.workflows import plan as workflow

    sizes, memory = budgets(ipc), gibibytes(memory_gb)
    named = [(name.strip(), k) for name in kernel.split(",") for k in as_kernels(name)]
    dataset, task = load_data(data, target, None, task, image_size, 0, True)
    shape = workflow.Shape.of(dataset, task)
    baseline = workflow.Baseline.now()
    asked = [(name, (m.strip(), k, b)) for m in method.split(",") for name, k in named for b in sizes]
    made = workflow.forecasts(shape, [one for _, one in asked], steps, batch, memory, baseline)
    rows = [(name, found) for (name, _), found in zip(asked, made, strict=True)]
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
