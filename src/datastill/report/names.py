"""Names of sets and learners, taken apart and made safe to say in a sentence."""

from dataclasses import dataclass

from datastill._text import printable

TAUGHT = ", labelled by a teacher"
RANDOM, PROPORTIONAL = "random", "random-in-proportion"
SOLVED = "label-solve"
TITLES = {
    "universal": "universal set",
    "kip": "KIP",
    "label-solve": "Label Solve",
    "network-kip": "network KIP",
    "rfad": "RFAD",
    "frepo": "FRePo",
    "rcig": "RCIG",
    "kmeans": "k-means",
    "kmeans-targets": "k-means with targets",
    "kmeans-nearest": "rows nearest to k-means",
    "kmedoids": "k-medoids",
    "kcenter": "k-center",
    "mmd": "least MMD",
    "el2n": "EL2N",
}


@dataclass(frozen=True)
class SetName:
    """The name of a set, taken apart.

    Attributes:
        method: such as "kip:rbf"; all of the name where it names no budget.
        budget: examples per class, or in all; None for all rows.
        taught: whether a teacher gave the labels.
    """

    method: str
    budget: int | None
    taught: bool

    @classmethod
    def of(cls, name: str) -> "SetName":
        """Read "METHOD BUDGET", or that labelled by a teacher; any other name is a method without a budget."""
        bare = name.removesuffix(TAUGHT)
        method, _, budget = bare.rpartition(" ")
        if not (method and budget.isascii() and budget.isdigit()):
            return cls(bare, None, bare != name)
        return cls(method, int(budget), bare != name)

    @property
    def base(self) -> str:
        """The method without its kernel."""
        return self.method.partition(":")[0]

    @property
    def row(self) -> str:
        """The name without its budget."""
        return self.method + (TAUGHT if self.taught else "")


def spoken(name: str) -> str:
    """Return a name on one line, without characters that cannot be seen or that turn the direction of the text."""
    return printable(name)


def method_title(row: str) -> str:
    """A method in words: `KIP:rbf + teacher’s labels`."""
    base, colon, rest = row.removesuffix(TAUGHT).partition(":")
    known = {RANDOM: "random rows", PROPORTIONAL: "random rows in proportion"}.get(base) or title(base)
    return spoken(f"{known}{colon}{rest}") + (" + teacher’s labels" if row.endswith(TAUGHT) else "")


def title(method: str) -> str:
    """The name of a method as it is written: `k-means`, `graph cut`."""
    return TITLES.get(method, method.replace("-", " "))
