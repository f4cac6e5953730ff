"""The exceptions datastill raises, and the exit code each has on the command line.

    DatastillError
    ├── InputError   (ValueError)       exit 2   what the user gave cannot be used
    ├── OutputError  (OSError)          exit 2   what the user asked to write cannot be written
    └── SolveError   (ArithmeticError)  exit 1   a linear system could not be solved

Every message is one line: what was given, what was expected, what to try. It quotes names that others chose, so it is
shown without characters that a terminal would obey.
"""

from datastill._text import printable


class DatastillError(Exception):
    """Root of every exception this package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(DatastillError, ValueError):
    """Data or an argument cannot be used."""

    exit_code = 2


class OutputError(DatastillError, OSError):
    """A file or folder cannot be written."""

    exit_code = 2


class DatastillWarning(UserWarning):
    """Something the user should know about a result; the command line shows no other warnings."""


class SolveError(DatastillError, ArithmeticError):
    """A linear system is not positive definite or gave non-finite values."""
