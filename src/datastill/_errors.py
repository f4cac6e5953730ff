"""The exceptions datastill raises, and the exit code each has on the command line.

    DatastillError
    ├── InputError   (ValueError)       exit 2   what the user gave cannot be used
    ├── OutputError  (OSError)          exit 2   what the user asked to write cannot be written
    └── SolveError   (ArithmeticError)  exit 1   a linear system could not be solved

Every message is one line: what was given, what was expected, what to try.
"""


class DatastillError(Exception):
    """Root of every exception this package raises on purpose."""

    exit_code = 1


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
