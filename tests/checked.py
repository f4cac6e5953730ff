"""The type checker under the import hook: beartype, with an int where a float is wanted, as PEP 484 has it.

Beartype can read `Self` on a decorated class only, and the hook decorates functions; so `Self` is the one
annotation that is not checked.
"""

from typing import Any, Self

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def annotations(function):
    """The function with its annotations checked at every call."""
    for name, hint in getattr(function, "__annotations__", {}).items():
        if hint is Self:
            function.__annotations__[name] = Any
    return _check(function)
