"""The command line: what was asked for is parsed here, and done elsewhere.

Standard output holds the result (one table, or one JSON object with --json); progress and notes go to standard error.
Exit 0 on success, 2 for a bad input or argument, 1 for a failure of the program, 130 when interrupted.
"""

import logging
import os
import sys
import warnings
from typing import Annotated

import typer

from datastill._errors import DatastillError, DatastillWarning
from datastill._text import printable
from datastill.cli.output import say

INTERRUPTED = 130

app = typer.Typer(
    name="datastill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"datastill {version('datastill')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compress a dataset into a handful of learned examples, and prove on held-out data that they are enough."""


def main() -> None:
    """Run the command line and exit with its code; our own warnings are one line each, others' are not shown.

    Nothing is imported from the folder that the command is run in, which may be a stranger's, here or in processes of
    its own, unless a learner there is named.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if sys.path and not sys.path[0]:
        del sys.path[0]
    logging.getLogger("datastill").setLevel(logging.INFO)  # judging shows its progress
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's remarks on how long it compiles
    warnings.simplefilter("ignore")
    warnings.simplefilter("default", DatastillWarning)
    warnings.formatwarning = lambda message, *_: f"datastill: {printable(str(message))}\n"
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of a command line, whose result is printed."""
    try:
        outcome = typer.main.get_command(app).main(arguments, prog_name="datastill", standalone_mode=False)
        if outcome == INTERRUPTED:
            raise KeyboardInterrupt
        return outcome if isinstance(outcome, int) else 0
    except DatastillError as error:
        return _fail(str(error), error.exit_code)
    except RecursionError:
        return _fail("Got a file whose values are nested too deeply to be read; expected one that datastill wrote.", 2)
    except KeyboardInterrupt:
        return _fail("Interrupted; run the same command again to continue from the checkpoint.", INTERRUPTED)
    except MemoryError as error:
        return _fail(f"Ran out of memory ({error}); expected data that fit; try fewer rows, columns or examples.", 2)
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has closed the pipe
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the argument parser
            return _fail(f"{error.format_message()} Try `datastill --help`.", 2)
        if os.environ.get("DATASTILL_TRACEBACK"):
            raise
        return _fail(f"{type(error).__name__}: {error} (DATASTILL_TRACEBACK=1 shows where)", 1)


def _fail(message: str, code: int) -> int:
    say(f"datastill: {message}", aside=True)
    return code
