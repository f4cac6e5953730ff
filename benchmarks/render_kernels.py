"""The section of docs/results.md about kernels of convolutional networks."""

from typing import Any

NAMES = {
    "convnet3": "ConvNet-3, 28×28×1",
    "convnet": "ConvNet-3 with stem, 32×32×3",
    "myrtle5": "Myrtle-5, 16×16×3",
    "conv-vec3": "Conv-Vec-3, 28×28×1",
    "fc3": "FC3, 784",
}


def kernels(found: dict[str, Any] | None) -> list[str]:
    """Pairs a second, beside neural-tangents and the floor."""
    if not found:
        return []
    lines = [
        "## Kernels of convolutional networks",
        "",
        "NTK, float32, two CPU cores: pairs of rows a second of a block, all that belongs to single rows included, "
        "beside neural-tangents 0.6.5 in the same run. The floor is 40 flops for the activation of a pair of pixels, "
        f"at {found['flops_a_second'] / 1e9:.0f} GFlop/s, the machine's own rate for a polynomial on numbers in cache: "
        "the share of it that is reached; the product of the rows of FC3, 1,568 flops a pair, is not in it. "
        "Backward over forward is the time of the derivative in one side, less the "
        "forward pass, over that of the forward pass; memory is that of the derivative, at half the rows and at all, "
        "the block and its slopes among it. "
        "`python benchmarks/conv_kernels.py`.",
        "",
        "| kernel | pairs a second | neural-tangents | times as fast | of the floor | backward / forward | MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, name in NAMES.items():
        if key in found:
            own = found[key]
            memory = " → ".join(f"{mib:.0f}" for mib in own["backward_mib"].values())
            theirs = own.get("neural_tangents_pairs_a_second")
            beside = ("not run", "") if theirs is None else (f"{theirs:,.3g}", f"{own['times_as_fast']:.1f}")
            lines.append(
                f"| {name} | {own['pairs_a_second']:,.0f} | {beside[0]} | {beside[1]} | {own['of_the_floor']:.2f} "
                f"| {own['backward_over_forward']:.1f} | {memory} |"
            )
    return [
        *lines,
        "",
        "Where the time goes: without a stem most of it is the first layer, whose arc-cosines are taken where the "
        "product of patches left its cosines in cache. With a stem, maps of all pairs of pixels go through memory "
        "several times. Without pooling it is shared by the products with tridiagonal matrices and the activations.",
        "",
    ]


def cost(found: dict[str, Any] | None) -> list[str]:
    """Seconds of a step against its work."""
    if not found:
        return []
    lines = [
        "## Cost of a step against its work",
        "",
        f"KIP under the ConvNet NTK on {found['machine']}: seconds of a step, gradient included (median of five), and "
        "the forecast: a step goes over s·t + s² pairs of images, each over Σ p² pairs of pixels with p the pixels of "
        f"each layer before pooling, {1e9 * found['seconds_a_pair']:.2f} ns each (the median of all rows). "
        "`python benchmarks/conv_cost.py`.",
        "",
        "| examples s | targets t | side | depth | pairs of pixels | seconds | forecast |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [
        f"| {row['examples']} | {row['targets']} | {row['side']} | {row['depth']} | {row['work']:.2g} "
        f"| {row['seconds']:.3f} | {row['forecast']:.3f} |"
        for row in found["rows"]
    ]
    return [*lines, *rows, ""]


def processes(found: dict[str, Any] | None) -> list[str]:
    """What gathering costs."""
    if not found:
        return []
    lines = [
        "## Cost of communication",
        "",
        f"Two processes on {found['machine']} connected by `jax.distributed`, a core each: seconds of a "
        "block of n × n of a `sharded` kernel and of its derivative in the shorter side, beside what one process takes "
        "for half the rows alone. What is more is gathering and waiting; the linear kernel has next to no other work. "
        "Each process receives the other half of the block. `python benchmarks/processes.py`.",
        "",
        "| kernel | n | MiB received | block: half alone, s | in two, s | derivative: half alone, s | in two, s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['kernel']} | {row['rows']:,} | {row['mib_gathered']:.2f} | {row['block_half']:.3f} "
        f"| {row['block_two_processes']:.3f} | {row['derivative_half']:.3f} | {row['derivative_two_processes']:.3f} |"
        for row in found["rows"]
    ]
    return [*lines, ""]


def coarse(found: dict[str, Any] | None) -> list[str]:
    """KIP from half the size beside as much work from random rows."""
    if not found:
        return []
    settings, rates = found["settings"], found["learning_rates"]
    lines = [
        "## Coarse starts",
        "",
        f"KIP under the {settings['kernel']} NTK on {found['machine']}, one image a class, {settings['batch_size']} "
        "targets a step: accuracy in percent on 2,000 training rows held out and seconds, the labels' last solve "
        f'included, from half the size (`init="coarse"`, learning rate {rates["coarse"]}) and from random rows '
        f"({rates['random']}) with about as much work. "
        "`python benchmarks/coarse.py`; see [decision 30](decisions/0030-coarse-starts.md).",
        "",
        "| data | coarse: steps | accuracy | seconds | random rows: steps | accuracy | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for images, runs in found["images"].items():
        cells = [f"{run['steps']} | {run['accuracy']:.1f} | {run['seconds']:.0f}" for run in runs.values()]
        lines.append(f"| {images} | {' | '.join(cells)} |")
    return [*lines, ""]
