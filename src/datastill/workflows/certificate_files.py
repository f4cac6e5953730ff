"""Certificates as files.

certificate.json            the statements, what they rest on, and digests
certificate.safetensors     the held-out losses of every learner, from which the statements follow
certificate.html, .md       the same in words
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from datastill._errors import InputError
from datastill.certify import SCHEMA, Certificate, Losses
from datastill.data.archive import DAMAGED, read_json, read_tensors, write_atomic, write_json, write_tensors
from datastill.report import certificate_markdown, render_certificate

CERTIFICATE, LOSSES = "certificate.json", "certificate.safetensors"
MARKDOWN, PAGE = "certificate.md", "certificate.html"
LABELS = "held_out"


def write(certificate: Certificate, losses: Mapping[str, Losses], y: np.ndarray, folder: Path) -> None:
    """Write the certificate, its losses and its page; each file is whole or as before, the certificate comes last.

    Args:
        certificate: what is stated.
        losses: of every learner, in the order of the statements.
        y: held-out class numbers, or targets, by which guessing is recomputed.
        folder: where.
    """
    tensors: dict[str, np.ndarray] = {LABELS: y}
    for i, of in enumerate(losses.values()):
        tensors |= {f"{i}.small": of.small} | ({} if of.full is None else {f"{i}.full": of.full})
    write_tensors(folder / LOSSES, tensors)
    for name, content in pages(certificate).items():
        write_atomic(folder / name, content)
    write_json(folder / CERTIFICATE, certificate.as_dict())


def pages(certificate: Certificate) -> dict[str, bytes]:
    """Return the certificate in words: name of the file -> its content."""
    return {MARKDOWN: certificate_markdown(certificate).encode(), PAGE: render_certificate(certificate).encode()}


def read(folder: Path) -> tuple[Certificate, dict[str, np.ndarray]]:
    """Read a certificate and its losses, as they are; see `verification` for whether they are true.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    path = folder / CERTIFICATE
    if not path.exists():
        raise InputError(f"Got {folder}, which holds no certificate; expected {CERTIFICATE}; try `datastill certify`.")
    saved = read_json(path)
    if not isinstance(saved, dict) or saved.get("schema") != SCHEMA:
        raise InputError(
            f"Got {path}, which is no certificate of the schema {SCHEMA!r}; expected one; try certifying again."
        )
    try:
        certificate = Certificate.from_dict(saved)
        if json.dumps(certificate.as_dict(), sort_keys=True) != json.dumps(saved, sort_keys=True):
            raise ValueError("there are parts that do not follow from the others")
    except DAMAGED as error:
        raise lacking(folder, error) from None
    return certificate, read_tensors(folder / LOSSES)[0]


def lacking(folder: Path, why: object) -> InputError:
    """Return the error for a certificate that is damaged."""
    return InputError(
        f"Got {folder / CERTIFICATE}, which lacks a part or has a wrong one ({why}); expected a certificate; try "
        "certifying again."
    )
