"""`compare`, `evaluate`, `certify` and `report`: sets are judged."""

from pathlib import Path
from typing import Annotated, Any

import typer

from datastill._errors import InputError
from datastill.cli.app import app
from datastill.cli.options import (
    AsJson,
    Data,
    Folder,
    ImageSize,
    Labels,
    Learners,
    Target,
    Task,
    Test,
    Train,
    budgets,
    check_task,
    gibibytes,
    load_data,
    load_labelled,
    slug,
    words,
)
from datastill.cli.output import print_json, print_standings, print_summary, print_table, say

LEGEND = "▲ better, ▼ worse than random rows of the same budget and labels; all marks together hold with 95 %."


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
    steps: Annotated[int | None, typer.Option(help="Of methods that take steps; by default as `distill`.")] = None,
    labels: Labels = "soft",
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
    from datastill.workflows import compare as workflow

    comparison = workflow.ComparisonSettings(
        words(methods), budgets(ipc), words(learners), seeds, kernel, steps, labels, relabel_with, robust
    )
    workflow.check(comparison, check_task(task), delta)
    memory = None if memory_gb is None else gibibytes(memory_gb)
    dataset, task = load_data(data, target, test, task, image_size, 0, as_json)
    folder = out or Path("runs") / f"{slug(dataset.name)}-compare"
    outcome = workflow.compare(dataset, task, comparison, folder, jobs, memory, delta)
    for failure in outcome.judged.failures:
        say(failure, aside=True)
    if as_json:
        parts = {"rows": outcome.judged.table, "standings": outcome.standings, "robustness": outcome.robustness}
        print_json({"out": str(folder)} | {name: part.to_dict(orient="records") for name, part in parts.items()})
        return
    score = "accuracy" if task == "classification" else "R²"
    title = f"{dataset.name}: {score}, %, mean ± deviation over {seeds} seeds"
    print_standings(title, outcome.standings, outcome.learners, labels)
    say(LEGEND)
    say(f"Report: {(folder / 'report.html').resolve()}")


@app.command()
def evaluate(
    folder: Folder,
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Held-out data; by default the run's own test rows.", rich_help_panel="Data"),
    ] = None,
    learners: Learners = "krr,logistic,forest",
    seeds: Annotated[int, typer.Option(help="How many.")] = 3,
    labels: Labels = "soft",
    train: Train = None,
    target: Target = None,
    image_size: ImageSize = None,
    jobs: Annotated[int, typer.Option(help="Learners trained side by side.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train learners on a saved set and judge them on held-out rows, beside random rows and all rows."""
    from datastill.evaluate.leaderboard import leaderboard
    from datastill.learners.named import check_learners
    from datastill.workflows import certify as workflow

    names = words(learners)
    check_learners(names, "auto")
    artefact, (x, y) = _opened(folder, train, test, "--test", target, image_size)
    judged = workflow.evaluate(artefact, x, y, names, seeds, labels, jobs, folder / "learners")
    baselines = workflow.baselines_of(judged)
    found = leaderboard(judged, baselines, workflow.FULL)
    if as_json:
        parts = {"rows": judged.table, "standings": found}
        print_json({"out": str(folder)} | {name: part.to_dict(orient="records") for name, part in parts.items()})
        return
    score = "R²" if artefact.regression else "accuracy"
    title = f"{folder}: {score}, %, mean ± deviation over {seeds} seeds, on {len(y):,} held-out rows"
    print_standings(title, found, names, labels, "trained on")
    if baselines and seeds > 1:
        say("▲ better, ▼ worse than random rows with their own labels; all marks together hold with 95 %.")


@app.command()
def certify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A saved set; with --find-budget, data as for `distill`.", show_default=False
        ),
    ],
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Rows that had no part in making or choosing the set; by default the run's own test rows.",
            rich_help_panel="Data",
        ),
    ] = None,
    learners: Learners = "krr,logistic",
    delta: Annotated[float, typer.Option(help="Probability that any of the statements fails.")] = 0.05,
    loss: Annotated[str | None, typer.Option(help="zero-one (the usual one), brier; squared for real targets.")] = None,
    train: Train = None,
    target: Target = None,
    image_size: ImageSize = None,
    distance: Annotated[
        float | None,
        typer.Option(
            help="Held-out rows this near to a training row count as the same, in standard deviations; by default 0.05 for "
            "images, else 0.001.",
            rich_help_panel="Data",
        ),
    ] = None,
    drop_seen: Annotated[
        bool,
        typer.Option("--drop-seen", help="Leave such rows out instead of refusing.", rich_help_panel="Data"),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute the certificate in DIR; with --holdout, train again as well.")
    ] = False,
    find_budget: Annotated[
        bool,
        typer.Option(
            "--find-budget", help="Look for the smallest set that reaches --epsilon.", rich_help_panel="Search"
        ),
    ] = False,
    epsilon: Annotated[
        float, typer.Option(help="Largest gap to all rows, in the loss.", rich_help_panel="Search")
    ] = 0.02,
    method: Annotated[str, typer.Option(help="As for `compare`.", rich_help_panel="Search")] = "kmeans",
    largest: Annotated[int, typer.Option(help="Budget at which to give up.", rich_help_panel="Search")] = 100,
    steps: Annotated[
        int | None, typer.Option(help="Of methods that take steps; by default as `distill`.", rich_help_panel="Search")
    ] = None,
    task: Task = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the search.", rich_help_panel="Search")] = None,
    as_json: AsJson = False,
) -> None:
    """State, with a probability, what learners trained on a saved set risk, and how far that is from all rows."""
    from datastill.certify import check_delta
    from datastill.data.claims import held, tidy
    from datastill.learners.named import check_learners
    from datastill.report.certificate.text import certificate_sentences
    from datastill.workflows.certify import CertificateSettings, certify_set
    from datastill.workflows.verify import verify as verify_certificate

    settings = CertificateSettings(words(learners), delta, loss, distance, drop_seen)
    if verify and find_budget:
        raise InputError("Got --verify with --find-budget; expected one of them.")
    if find_budget:
        _search(what, holdout, target, task, image_size, settings, epsilon, method, largest, steps, out, as_json)
        return
    folder = Path(what)
    if verify:
        artefact, rows = _opened(folder, train, holdout, "--holdout", target, image_size, needed=holdout is not None)
        found = verify_certificate(artefact, folder, rows, settings.learners)
        if as_json:
            checks = [check._asdict() for check in found.checks]
            print_json({"out": str(folder), "verified": True, "unverified": found.unverified, "checks": checks})
            return
        say(found.sentence)
        for check in found.checks:
            say(f"{check.name}: {check.found}")
        return
    check_delta(delta)
    check_learners(settings.learners, "auto")
    artefact, (x, y) = _opened(folder, train, holdout, "--holdout", target, image_size)
    with held(folder) as stale:
        tidy(folder, stale)
        certificate = certify_set(artefact, x, y, settings, folder)
    if as_json:
        print_json({"out": str(folder), **certificate.as_dict()})
        return
    for sentence in certificate_sentences(certificate):
        say(sentence)
    for check in certificate.checks:
        say(f"Checked, {check.name}: {check.found}.")
    say(f"Certificate: {(folder / 'certificate.html').resolve()}")


def _search(
    what: str,
    holdout: str | None,
    target: str | None,
    task: str,
    image_size: int | None,
    settings: Any,
    epsilon: float,
    method: str,
    largest: int,
    steps: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find the smallest budget and print what was found on the way."""
    from datastill.report.rounding import at_most, probability
    from datastill.workflows.certify import without_seen
    from datastill.workflows.compare import ComparisonSettings, check
    from datastill.workflows.find_budget import find_budget

    if settings.loss is not None:
        raise InputError("Got --loss with --find-budget; expected the usual loss of the task; try leaving it out.")
    comparison = ComparisonSettings((method,), (), settings.learners, steps=steps)
    check(comparison, check_task(task), settings.delta)
    dataset, task = load_data(what, target, holdout, task, image_size, 0, as_json)
    dataset, new = without_seen(dataset, settings)
    folder = out or Path("runs") / f"{slug(dataset.name)}-budget-{slug(method)}"
    search = find_budget(dataset, task, comparison, epsilon, largest, folder, settings.delta)
    if as_json:
        print_json({"out": str(folder), "epsilon": epsilon, "checks": [new._asdict()], **search.as_dict()})
        return
    unit = "examples" if task == "regression" else "examples per class"
    names = settings.learners
    print_table(
        f"{dataset.name}, {method}: certified ε of each learner, each look at δ = {settings.delta:g}/{search.planned}",
        (unit, *names),
        [(str(k.budget), *(at_most(s.epsilon or 0.0) for s in k.certificate.statements)) for k in search.looks],
    )
    if search.budget is None:
        say(f"No budget up to {search.looks[-1].budget} was certified to reach ε = {epsilon:g}.")
    else:
        say(
            f"With probability at least {probability(settings.delta)}, {search.budget} {unit} are an ε-approximation of the "
            f"data with ε = {epsilon:g}, for {', '.join(names)}."
        )
    say(f"Checked, {new.name}: {new.found}.")


def _opened(
    folder: Path,
    train: str | None,
    held: str | None,
    option: str,
    target: str | None,
    image_size: int | None,
    needed: bool = True,
) -> tuple[Any, Any]:
    """A saved set, and held-out rows with their labels (None unless needed)."""
    from datastill.data.dataset import Dataset, row_kind
    from datastill.data.reading import Reading
    from datastill.data.sources import load
    from datastill.workflows.certify import held_out_rows
    from datastill.workflows.saved_set import load_support, open_artefact

    support = load_support(folder)
    if row_kind(support.x) == "table":
        target = target or support.provenance.get("target")
    trained_on = None if train is None else load(train, target=target, image_size=image_size)
    artefact = open_artefact(folder, trained_on)
    if not needed:
        return artefact, None
    given: Dataset | None = None
    if held is not None:
        reading = Reading.from_json(support.provenance.get("reading"))
        like = Dataset("", support.x, support.y, reading=reading)
        given = load_labelled(held, target=target, image_size=image_size, like=like)
    return artefact, held_out_rows(artefact, given, option)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run or comparison.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show again what a finished run or comparison found."""
    from datastill.data.archive import DAMAGED
    from datastill.workflows import comparison_files
    from datastill.workflows import distill as workflow

    compared = (folder / comparison_files.SUMMARY).exists()
    summary = comparison_files.read_summary(folder) if compared else workflow.read_summary(folder)
    if as_json:
        print_json({"out": str(folder), **summary})
        return
    try:
        if compared:
            _report_comparison(folder, summary)
        else:
            print_summary(workflow.Result(folder, summary, True), folder)
    except DAMAGED as error:
        raise InputError(
            f"Got {folder}, whose summary lacks a part, or has it of another kind ({error}); expected that of a "
            "finished run; try making it again."
        ) from error


def _report_comparison(folder: Path, summary: dict[str, Any]) -> None:
    import pandas as pd

    found = pd.DataFrame(summary["entries"]).astype({"mean": float, "deviation": float})
    title = f"{summary['dataset']}: {summary['metric']}, %, mean ± deviation over {summary['seeds']} seeds"
    print_standings(title, found, summary["learners"], summary["asked"])
    say(LEGEND)
    say(summary["headline"])
    say(f"Report: {(folder / 'report.html').resolve()}")
