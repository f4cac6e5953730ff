"""`moments`: what stands for the data is made, updated and described."""

from pathlib import Path
from typing import Annotated, Any

import typer

from datastill._errors import InputError
from datastill.cli.app import app
from datastill.cli.options import AsJson, Config, ImageSize, Seed, Target, Task, check_task, given
from datastill.cli.output import bytes_text, print_facts, print_json, say, seconds_text

LARGE_OVERLAP = 0.01
OF_A_PASS = ("features", "task", "preprocess", "held", "keep", "by_class", "augment", "versions", "seed")
"""Options that moments were made with, and that those added to them share."""


@app.command()
def moments(
    context: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA…",
            help="Built-in names, paths of data (.npz, .npy pairs, .csv, .parquet, IDX or image folders, folders of "
            "these), or moments, which are added.",
            show_default=False,
        ),
    ],
    features: Annotated[
        str,
        typer.Option(
            help="The feature map: conv8, conv-flip6o4, random-conv (images); fourier, laplace, relu2, ntk, nystroem; "
            "each with a width, as in fourier:2048, joined by + or, one on the other, by >.",
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="File to write; .safetensors is added.")] = None,
    add: Annotated[
        list[str] | None, typer.Option(metavar="DATA", help="Rows to add; may be given several times.")
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA", help="Rows to take out again, as they were added; may be given several times."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="MOMENTS", help="Take map, preprocessing and labels from these, so that both can be added."
        ),
    ] = None,
    drift: Annotated[
        Path | None, typer.Option(metavar="MOMENTS", help="Say how far the rows are from those of other moments.")
    ] = None,
    target: Target = None,
    task: Task = "auto",
    image_size: ImageSize = None,
    preprocess: Annotated[
        str, typer.Option(help="standardise, zca, zca-unit-norm or none.", rich_help_panel="Pass")
    ] = "standardise",
    held: Annotated[
        float, typer.Option(help="Fraction of rows held out to judge steps by.", rich_help_panel="Pass")
    ] = 0.1,
    keep: Annotated[
        int,
        typer.Option(
            help="Rows of each class kept in the file, to start learning from and to judge by; 0 keeps none.",
            rich_help_panel="Pass",
        ),
    ] = 200,
    by_class: Annotated[
        bool,
        typer.Option(
            "--by-class", help="Keep sums apart by class, so that classes can be reweighted.", rich_help_panel="Pass"
        ),
    ] = False,
    augment: Annotated[
        str,
        typer.Option(
            help="Of training images, for instance flip,shift=2,rotate=10,crop=0.9: each counts as its versions.",
            rich_help_panel="Pass",
        ),
    ] = "",
    versions: Annotated[
        int, typer.Option(help="Of each image with --augment, itself among them.", rich_help_panel="Pass")
    ] = 4,
    shard_rows: Annotated[
        int, typer.Option(help="Rows of a shard, where data can be cut.", rich_help_panel="Pass")
    ] = 50_000,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Dask: local:4 for four workers here, or the address of a scheduler, tcp://….",
            rich_help_panel="Pass",
        ),
    ] = None,
    seed: Seed = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Pass over DATA once, and keep the sums that `distill` needs of it; or add, take out and compare such sums."""
    from datastill.moments.files import SUFFIX, is_moments
    from datastill.workflows import moments as workflow

    if out is not None and out.suffix not in ("", SUFFIX):
        raise InputError(
            f"Got --out {out}; expected a name that ends in {SUFFIX}; try --out {out.with_suffix(SUFFIX)}."
        )
    check_task(task)
    if like is not None or any(map(is_moments, data)):
        settled = [option for option in OF_A_PASS if given(context, option)]
        if settled:
            option = settled[0].replace("_", "-")
            raise InputError(f"Got --{option} with moments, whose pass has settled it; try leaving it out.")
    request = workflow.Request(
        data=tuple(data),
        features=features,
        add=tuple(add or ()),
        forget=tuple(forget or ()),
        like=like,
        target=target,
        task=task,
        image_size=image_size,
        preprocess=preprocess,
        held=held,
        kept=keep,
        by_class=by_class,
        shard_rows=shard_rows,
        augment=augment,
        versions=versions,
        cluster=cluster,
        seed=seed,
    )
    out = out if out is None else out.with_suffix(SUFFIX)
    found = workflow.carry_out(request, out, drift, verbose=True)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _task(found: dict[str, Any]) -> str:
    classes = f", {len(found['counts']['train'])} classes" if found["task"] == "classification" else ""
    return f"{found['task']}{classes}"


def _print(found: dict[str, Any]) -> None:
    facts = [
        ("feature map", f"{found['map']}, {found['columns']:,} features"),
        ("rows", f"{found['rows']:,.0f}, of which {sum(found['counts']['held']):,.0f} held out"),
        ("task", _task(found)),
        ("shards", f"{found['n_shards']:,}"),
        ("size", bytes_text(found["bytes"])),
    ]
    facts += [(what, f"{found[what]:,.0f} rows") for what in ("added", "forgotten") if what in found]
    if "seconds" in found:
        facts.append(("pass", f"{seconds_text(found['seconds'])}, {found['rows_per_second']:,.0f} rows/s"))
    for name, value in found.get("drift", {}).items():
        shift = f"mean features {value['ratio']:.2f} times as far apart as chance puts them (p = {value['p']:.2g})"
        facts.append((f"drift, {name}", f"{shift}; {value['classes']:.1%} of rows would have to change class"))
    print_facts(found.get("out") or "Moments", facts)
    for note in found["reading"]["notes"]:
        say(note, aside=True)
    if found.get("seen_before", 0) > LARGE_OVERLAP:
        say(
            f"About {found['seen_before']:.0%} of the added rows equal rows that were there before, and count twice.",
            aside=True,
        )
