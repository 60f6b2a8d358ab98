"""The command line: `viewfinder VERB …`. Every verb is a module of this folder with a function of its name."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from viewfinder import __version__
from viewfinder.cli.usage import Verb, Verbs
from viewfinder.errors import ViewfinderError

__all__ = ["app", "main"]

VERBS = (
    "capture",
    "check",
    "show",
    "split",
    "augment",
    "convert",
    "recipes",
    "summary",
    "train",
    "evaluate",
    "submit",
    "export",
    "predict",
    "live",
    "cache",
    "demo",
)

app = typer.Typer(
    cls=Verbs,
    help="From a camera, a folder of photos or a Kaggle download to a small vision model that proves itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _verb in VERBS:
    app.command(_verb, cls=Verb)(getattr(import_module(f"viewfinder.cli.{_verb}"), _verb))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"viewfinder {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """From a camera, a folder of photos or a Kaggle download to a small vision model that proves itself."""


def main() -> None:
    """Run the command line; what a user did wrong becomes one line and an exit code."""
    _show_every_letter()
    try:
        app()
    except ViewfinderError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(_one_line(error), 2)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except SystemExit as ended:
        if _of_ctrl_c(ended):
            _fail("stopped", 130)
        raise
    except ImportError as error:
        if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise
        _fail("stopped", 130)


def _show_every_letter() -> None:
    """Write UTF-8 into files and pipes, where Windows would use a code page without "→", and never fail on a letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _of_ctrl_c(ended: SystemExit) -> bool:
    """Say whether Typer made this of a Ctrl-C that no verb had caught; it says nothing then."""
    return ended.__context__ is not None and isinstance(ended.__context__.__cause__, KeyboardInterrupt)


_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space, then go on"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place that you may write to"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "check the path, or choose another one"),
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), or choose another disk",
}
"""What to do about errors of the system."""


def _one_line(error: OSError) -> str:
    what = (error.strerror or str(error) or type(error).__name__).lower()
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno == errno.EACCES and _unreadable(error.filename):
        hint = "see that you may read it"
    line = f"{error.filename}: {what}" if error.filename else what
    return f"{line}; {hint}" if hint else line


def _unreadable(path: Any) -> bool:
    return bool(path) and os.access(path, os.F_OK) and not os.access(path, os.R_OK)


def _fail(line: str, code: int) -> None:
    typer.echo(f"viewfinder: {line}", err=True)
    sys.exit(code)
