"""The picture of README.md: learned images beside random ones, one of each class.

    python benchmarks/universal_pictures.py --work FOLDER

The learned images are those that universal.py made and keeps in its work folder, seed 0, one image a class.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from datastill import SupportSet

PICTURE = Path(__file__).parents[1] / "docs" / "universal.png"
DATA = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
METHODS = {"random": "random rows", "kmeans": "class means", "universal": "learned"}


def main() -> None:
    """Draw one row of images for each data set and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    rows = [(name, method) for name in DATA for method in METHODS]
    figure = Figure(figsize=(7.6, 0.68 * len(rows)), dpi=110)
    grid = figure.subplots(len(rows), 10, gridspec_kw={"wspace": 0.04, "hspace": 0.08})
    figure.subplots_adjust(left=0.3, right=0.995, top=0.99, bottom=0.01)
    for place, (name, method) in enumerate(rows):
        made = SupportSet.load(arguments.work / name / f"{method}-1-0")
        images = np.asarray(made.x, np.float32)[np.argsort(made.y)]
        for axes, image in zip(grid[place], images, strict=True):
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            axes.set_axis_off()
        title = f"{DATA[name]}, {METHODS[method]}"
        grid[place][0].text(-0.25, 0.5, title, transform=grid[place][0].transAxes, ha="right", va="center", fontsize=9)
    figure.savefig(PICTURE, metadata={"Software": None})


if __name__ == "__main__":
    main()
