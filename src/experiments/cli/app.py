"""Where the command line begins: ``experiments``, ``-m src.experiments``, ``-m …runner``."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

from . import failures
from .arguments import dashed
from .calibrate import calibrate
from .clean import clean
from .compare import compare
from .doctor import doctor
from .export import export
from .grpo import grpo
from .list_experiments import list_experiments
from .power import power
from .report import report
from .reproduce import reproduce
from .run import run
from .schema import schema
from .show import show
from .signals import Stopped, die_by
from .sync import SyncCommand, sync
from .validate import validate
from .verify_resume import verify_resume
from .watch import watch

_PACKAGE = __package__.rpartition(".")[0]
_INTERRUPTED = 128 + signal.SIGINT
_SETTINGS = {"token_normalize_func": dashed, "help_option_names": ["--help", "-h"]}

COMMANDS: dict[str, Callable[..., int]] = {
    "run": run,
    "grpo": grpo,
    "validate": validate,
    "list": list_experiments,
    "show": show,
    "watch": watch,
    "compare": compare,
    "power": power,
    "calibrate": calibrate,
    "report": report,
    "export": export,
    "sync": sync,
    "verify-resume": verify_resume,
    "reproduce": reproduce,
    "schema": schema,
    "doctor": doctor,
    "clean": clean,
}
SUMMARIES: dict[str, str] = {
    "run": "Train both arms, compare them, leave a report",
    "grpo": "The same for language models: GRPO, Dr. GRPO",
    "validate": "Check a file; estimate time, memory, disk",
    "list": "List experiments, by tag, date or status",
    "show": "Show one experiment: arms, runs, verdict",
    "watch": "Follow an experiment that runs elsewhere",
    "compare": "Put experiments, or scores, side by side",
    "power": "How many seeds does an effect take?",
    "calibrate": "How often do equal arms seem different?",
    "report": "Write an experiment's report again",
    "export": "Export results: CSV, JSON, Parquet, LaTeX",
    "sync": "Upload to ClearML, W&B or TensorBoard",
    "verify-resume": "Kill and resume a short copy; compare bits",
    "reproduce": "Train again from the record; compare bits",
    "schema": "Print the JSON Schema of an experiment file",
    "doctor": "Examine this machine: versions, GPU, disk",
    "clean": "List what could be removed; remove a choice",
}
"""What the list of commands says of each: so short that nothing is cut in 80 columns."""
CLASSES: dict[str, type[TyperCommand]] = {"sync": SyncCommand}
"""Commands whose words are read in a way of their own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out ``experiments COMMAND …`` and return the exit code."""
    app = _typer_app(help="Controlled reinforcement-learning experiments.")
    for name, command in COMMANDS.items():
        app.command(name, cls=CLASSES.get(name), short_help=SUMMARIES[name])(command)
    started = getattr(sys.modules["__main__"], "__spec__", None)
    is_module = started is not None and started.name == f"{_PACKAGE}.__main__"
    program = f"python -m {_PACKAGE}" if is_module else "experiments"
    words = sys.argv[1:] if argv is None else argv
    return _invoke(app, program, words or ["--help"])


def runner_main(argv: Sequence[str] | None = None) -> NoReturn:
    """Carry out ``python -m src.experiments.runner …`` and exit: `run` without its name."""
    app = _typer_app()
    app.command()(run)
    program = f"python -m {_PACKAGE}.runner"
    sys.exit(_invoke(app, program, sys.argv[1:] if argv is None else argv))


def _typer_app(**settings: Any) -> typer.Typer:
    # plain help: Rich's panels would cost a tenth of a second
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=_SETTINGS,
        **settings,
    )


def _invoke(app: typer.Typer, program: str, arguments: Sequence[str]) -> int:
    """Parse and carry out; errors become lines and an exit code, signals end the process."""
    _accept_any_text()
    atexit.register(gc.freeze)  # or a tenth of a second goes into collecting what ends anyway
    words = list(arguments)
    command = typer.main.get_command(app)
    try:
        code = int(command.main(args=words, prog_name=program, standalone_mode=False) or 0)
        sys.stdout.flush()
    except Stopped as stopped:
        _end_by(stopped.number)
    except KeyboardInterrupt:
        _end_by(signal.SIGINT)
    except Exception as error:  # noqa: BLE001 - the last resort: a line and an exit code
        return _fail(error, words)
    if code == _INTERRUPTED:  # how typer returns a Ctrl-C that no command has handled
        _end_by(signal.SIGINT)
    return code


def _fail(error: Exception, words: Sequence[str]) -> int:
    if "--json" in words:
        from .json_output import write_object

        write_object(failures.as_json(error))
    return failures.report(error, words)


def _end_by(number: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    die_by(number)


def _accept_any_text() -> None:
    """Let both streams escape what their encoding lacks instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
