"""From a name or a path to a dataset."""

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill.data import arrays, idx, images, named, tables
from datastill.data.dataset import Dataset
from datastill.data.raw import listed, reason, visible

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
MOST_SHOWN = 200
FORMATS = "a .npz file, a table (.csv .tsv .parquet, text also .gz) or a folder of its parts, of IDX files or of images"


def load(
    source: str | Path,
    *,
    target: str | None = None,
    test: str | Path | None = None,
    image_size: int | None = None,
    like: Dataset | None = None,
) -> Dataset:
    """The dataset that a name or a path stands for.

    Args:
        source: a built-in name (see `named.available`; write `./digits` for a file of that name), or the path of a
            .npz file, a table (CSV, TSV, Parquet), a folder of its parts, of IDX files, or of images.
        target: the target column; for tables, which need it.
        test: a second source of the same kind, whose training rows become the test rows.
        image_size: resize images to this many pixels square; for folders of images.
        like: data that these belong to: columns of tables are read alike, images with as many channels.

    Returns:
        x as an array (n, d), images (n, h, w[, 3]) or a DataFrame; y as an array (n,); and the test rows, if any.

    Raises:
        InputError: if there is no such source, or it cannot be used: one line with what was given, what was expected
            and what to try.
        OutputError: if a downloaded set cannot be written to the cache.
    """
    data = _read(source, target, image_size, like)
    if test is None:
        if data.x_test is not None and data.y_test is not None:
            _check_test(data, Dataset(data.name, data.x_test, data.y_test), f"in {source}")
        return data
    held_out = _read(test, target, image_size, data)
    _check_test(data, held_out, test)
    notes = tuple(dict.fromkeys((*data.reading.notes, *held_out.reading.notes)))
    return replace(data, x_test=held_out.x, y_test=held_out.y, reading=replace(data.reading, notes=notes))


def _read(source: str | Path, target: str | None, image_size: int | None, like: Dataset | None) -> Dataset:
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise InputError(f"Got {source!r} as the data; expected a built-in name or a path; try 'digits'.")
    entry = named.find(source) if isinstance(source, str) else None
    if entry is not None:
        refuse_target(source, target if target != entry.target else None)
        refuse_size(source, image_size)
        return named.load_named(entry)
    path = existing(source)
    if path.is_dir():
        return _read_folder(path, target, image_size, like)
    is_npz = path.suffix.lower() == ".npz"
    if not is_npz and not tables.is_table(path):
        raise _unknown_format(path)
    refuse_size(source, image_size)
    if not is_npz:
        return tables.read_table(path, target, like)
    refuse_target(source, target)
    return arrays.read_npz(path)


def _read_folder(path: Path, target: str | None, image_size: int | None, like: Dataset | None) -> Dataset:
    if (path / "support.safetensors").exists():
        raise InputError(f"Got {path}, which is the result of a run; expected data: {FORMATS}; try the run's data.")
    if tables.is_folder_of_parts(path):
        refuse_size(path, image_size)
        return tables.read_folder(path, target, like)
    if idx.is_idx_folder(path):
        refuse_target(path, target)
        refuse_size(path, image_size)
        return idx.read_folder(path)
    entries = visible(path)
    folders = [entry for entry in entries if entry.is_dir()]
    if deep := next((f for f in folders if any(map(tables.is_table, visible(f)))), None):
        raise InputError(
            f"Got the folder {path}, whose folder {deep.name!r} holds tables; expected the parts of one table in one "
            f"folder; try {deep}, or moving them there."
        )
    if folders:
        refuse_target(path, target)
        return images.read_folder(path, image_size, like)
    readable = [entry for entry in entries if entry.suffix.lower() == ".npz" or tables.is_table(entry)]
    advice = f"the file itself, {readable[0]}" if readable else f"{images.LAYOUT}"
    raise InputError(
        f"Got the folder {path}, which holds {listed([entry.name for entry in entries], 5)}; "
        f"expected a folder of IDX files, of images, or of the parts of one table; try {advice}."
    )


def existing(source: str | Path) -> Path:
    """The path, which is that of a file or folder; InputError for what is neither."""
    path = Path(source).expanduser()
    try:
        if path.is_file() or path.is_dir():
            return path
        if path.is_symlink() and not path.exists():
            found = f"is a broken link to {path.readlink()}"
        elif path.exists():
            found = "is neither a file nor a folder"
        else:
            found = "is neither a built-in name nor a path that exists"
    except (OSError, ValueError) as error:
        found = f"cannot be looked at ({reason(error)})"
    if "://" in str(source):
        raise InputError(f"Got the address {source}; expected a built-in name or a path; try downloading it first.")
    names = difflib.get_close_matches(str(source).lower().replace("-", "_"), named.REGISTRY, 3, 0.5)
    advice = ", ".join([*map(repr, names), "`datastill datasets` for the names"])
    given, looked = (f"{text[:MOST_SHOWN]!r}" for text in (str(source), str(path.absolute())))
    raise InputError(f"Got {given}, which {found} (looked for {looked}); expected {FORMATS}; try {advice}.")


def _unknown_format(path: Path) -> InputError:
    compressed = ".gz" if path.suffix.lower() == ".gz" else ""
    suffix = path.with_suffix("").suffix.lower() if compressed else path.suffix.lower()
    if suffix == ".safetensors":
        return InputError(
            f"Got {path}, which holds tensors and no rows; expected {FORMATS}; moments are for `datastill "
            "distill` and `datastill moments`."
        )
    if suffix in PICKLES:
        return InputError(
            f"Got {path}, a pickle, which can run any code when it is read; expected {FORMATS}; try `np.savez` "
            "with the arrays x_train and y_train."
        )
    if idx.FILE_NAME.fullmatch(path.name):
        advice = f"the folder {path.parent}"
    elif suffix == ".npy":
        advice = "`np.savez(file, x_train=…, y_train=…)`, since the labels are needed too"
    elif suffix in images.SUFFIXES:
        advice = f"a folder with {images.LAYOUT}"
    else:
        advice = f"renaming it to .csv{compressed} if it holds a line of column names and then commas, or converting it"
    ending = f"ends in {suffix}{compressed}" if suffix or compressed else "has no ending"
    return InputError(f"Got {path}, whose name {ending}; expected {FORMATS}; try {advice}.")


def refuse_target(source: str | Path, target: str | None) -> None:
    """InputError for a target column where labels are known."""
    if target is not None:
        raise InputError(
            f"Got the target column {target!r} for {source}, which has labels of its own; expected it for tables only; "
            "try leaving it out."
        )


def refuse_size(source: str | Path, image_size: int | None) -> None:
    """InputError for a size where there are no images to resize."""
    if image_size is not None:
        raise InputError(
            f"Got image_size={image_size!r} for {source}; expected it for folders of images only; try leaving it out."
        )


def _check_test(data: Dataset, held_out: Dataset, test: str | Path) -> None:
    """InputError unless the test rows and labels are of the same kind as the training rows and labels."""
    kinds = [_describe(part.x) for part in (data, held_out)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"Got the test data {test} with {kinds[1]} where the training data have {kinds[0]}; expected the same; "
            "try making both in the same way."
        )
    if (data.y.dtype.kind in "OUS") != (held_out.y.dtype.kind in "OUS") or data.y.shape[1:] != held_out.y.shape[1:]:
        raise InputError(
            f"Got the test data {test} with labels such as {held_out.y[0].tolist()!r} where the training data have "
            f"{data.y[0].tolist()!r}; expected labels of one kind; try converting one of them."
        )
    if data.y.dtype.kind == held_out.y.dtype.kind == "U":
        strange = sorted(set(held_out.y.tolist()) - set(data.y.tolist()))
        if strange:
            raise InputError(
                f"Got the test data {test} with the labels {listed(strange, 5)}, which no training row has; expected "
                f"the training labels, {listed(sorted(set(data.y.tolist())), 5)}; try renaming them."
            )


def _describe(x: np.ndarray | pd.DataFrame) -> str:
    if isinstance(x, pd.DataFrame):
        return "a table of the columns " + listed(list(x.columns), 10_000)
    return f"rows of shape {x.shape[1:]}"
