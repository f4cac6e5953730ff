"""The files of a run: its folder is claimed for one request, sealed when the run is done, and read again.

run.json                what was asked for, and when it is done digests of what was found; one request for a folder
checkpoint.safetensors  the state while it runs (.coarse after it: at half the size; .previous: the one before)
support.safetensors, manifest.json, support.csv (tables)     the support set
rows.safetensors        digests of the training rows, by which held-out rows are known to be new
judges/                 the scores of learners that were asked for, one file for each
metrics.json, support.png, report.html                       what the set is worth
"""

import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datastill._errors import DatastillWarning, InputError
from datastill.data import claims
from datastill.data.archive import leftovers, read_object, write_json
from datastill.data.dataset import Dataset, SupportSet, digest
from datastill.workflows.request import Request

FILES = ("support.safetensors", "manifest.json", "rows.safetensors", "metrics.json", "support.png", "report.html")
NEEDED = ("support.safetensors", "manifest.json", "metrics.json", "report.html")
CLAIM = "run.json"


def read_summary(folder: Path) -> dict[str, Any]:
    """Read what a finished run found.

    Raises:
        InputError: where there is none, or where files of it are missing or damaged.
    """
    if not (folder / "metrics.json").exists():
        raise InputError(f"Got {folder}, which holds no finished run; expected metrics.json; try `datastill distill`.")
    if wrong := missing_or_damaged(folder):
        raise InputError(
            f"Got {folder}, whose {', '.join(wrong)} {'are' if wrong[1:] else 'is'} missing or damaged; expected a "
            "finished run; try the same `datastill distill` again, which makes it again."
        )
    return read_object(folder / "metrics.json")


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a finished run; None, with a warning where files are damaged, if it must be made again."""
    wrong = missing_or_damaged(folder)
    if not wrong:
        return read_object(folder / "metrics.json")
    if claims.broken(folder / CLAIM) or (folder / "metrics.json").exists():
        what = f"{', '.join(wrong)} {'are' if wrong[1:] else 'is'} missing or damaged"
        warnings.warn(f"Got {folder}, where {what}; the run is made again.", DatastillWarning, stacklevel=3)
    return None


def missing_or_damaged(folder: Path) -> list[str]:
    """Return the names of the files of a finished run that are missing or damaged."""
    sealed = claims.broken(folder / CLAIM)
    if sealed is not None:
        return sealed
    found = [name for name in NEEDED if not (folder / name).is_file()]  # no seal: of an earlier version, or killed
    for name, read in (("support.safetensors", SupportSet.load), ("metrics.json", _metrics)):
        try:
            read(folder)
        except InputError:
            found.append(name)
    return list(dict.fromkeys(found))


def _metrics(folder: Path) -> dict[str, Any]:
    return read_object(folder / "metrics.json")


def seal(folder: Path, identity: dict[str, Any]) -> None:
    """Record that the run is done, with digests of its files."""
    claims.seal(folder / CLAIM, identity, [name for name in (*FILES, "support.csv") if (folder / name).exists()])


def identify(data: Dataset, request: Request) -> str:
    """Return a digest of a request and its data, for naming folders."""
    return hashlib.sha256(json.dumps(identity_of(data, request)).encode()).hexdigest()


def identity_of(data: Dataset, request: Request) -> dict[str, Any]:
    """Return what makes a run this one: its request, and digests of its data."""
    digests = {part: digest(getattr(data, part)) for part in ("x", "y", "x_test", "y_test")}
    asked = {name: value for name, value in asdict(request).items() if name != "rows" or value is not None}
    return {**asked, "dataset": data.name, "digests": digests}


def claim(folder: Path, identity: dict[str, Any]) -> bool:
    """Claim a folder for a run; return whether it is new.

    Raises:
        InputError: if it holds another run or other files.
    """
    identity = json.loads(json.dumps(identity))  # as it is read back
    path = folder / CLAIM
    others = set(folder.iterdir()) - {path, *leftovers(folder)}
    held = None
    try:
        held = read_object(path) if path.exists() else None
    except InputError:
        if others:  # it may be another run's
            raise
    if held is not None:
        different = sorted(k for k in identity if held.get(k) != identity[k])
        if different:
            detail = ", ".join(_difference(held.get(k), identity[k], k) for k in different)
            raise InputError(
                f"Got the output folder {folder}, which holds another run (different {detail}); expected a new or "
                "empty folder; try another --out."
            )
        return False
    if others:
        raise InputError(
            f"Got the output folder {folder}, which has other files in it; expected a new or empty folder; "
            "try another --out."
        )
    write_json(path, identity)
    return True


def _difference(old: Any, new: Any, name: str) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)) or name == "digests":
        return "data" if name == "digests" else f"{name}: {old!r}, not {new!r}"
    keys = [k for k in {**old, **new} if old.get(k) != new.get(k)]
    return ", ".join(f"{k}: {old.get(k)!r}, not {new.get(k)!r}" for k in keys)
