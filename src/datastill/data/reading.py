"""A record of how data were read, since test rows and later shards have to be read in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from datastill.data.numbers import Format


@dataclass(frozen=True)
class Reading:
    """A way to read data.

    Attributes:
        numbers: how numbers are written in columns of text, where not as programs write them.
        bits: of a pixel in images of more than 8 bits, of which the upper 8 were kept; None where there are none.
        notes: sentences for the reader: what was read otherwise than it stands in the file.
    """

    numbers: Mapping[str, Format] = field(default_factory=dict)
    bits: int | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON types."""
        return {"numbers": {k: list(v) for k, v in self.numbers.items()}, "bits": self.bits, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any] | None) -> Self:
        """Read what `as_json` wrote; nothing for sets that were saved before there were readings."""
        saved = saved or {}
        numbers = {name: Format(*how) for name, how in saved.get("numbers", {}).items()}
        return cls(numbers, saved.get("bits"), tuple(saved.get("notes", ())))
