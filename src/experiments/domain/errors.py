"""The errors that reach a user: each says what, where and the remedy, and owns its exit code.

ExperimentsError                  1   something failed that the user can act on
├── ConfigurationError            2   the experiment file (all its problems at once)
├── UsageError                    2   the command line or a call
├── ExperimentLockedError         3   another process works on the experiment
├── StorageError                  1   a file could not be written or read
│   └── UnusableCheckpointsError      none of the checkpoints that there are
├── MissingExtraError             2   an optional package is not installed
└── TrainingError                 1   a run failed
    ├── NonFiniteError                a NaN or an infinity, with its step
    ├── ProcessDiedError              killed by a signal or left without a word
    ├── OutOfMemoryError              also a MemoryError
    ├── HangError                     also a TimeoutError
    ├── RunStoppedError               asked to stop before it was complete
    └── ResourceLimitError            a limit other than memory
"""

from __future__ import annotations

import builtins
import traceback
from dataclasses import dataclass

from .records import ErrorRecord
from .redaction import known_secrets, redact

LONGEST_MESSAGE = 2000


class ExperimentsError(Exception):
    """Base of all errors that are shown without a traceback."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, where, remedy)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{self.what}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(
    kind: type[ExperimentsError], what: str, where: str | None, remedy: str | None
) -> ExperimentsError:
    return kind(what, where=where, remedy=remedy)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an experiment file."""

    pointer: str
    """JSON pointer of the offending value, or the flag that set it; empty for the whole file."""
    message: str
    value: str | None = None
    """The offending value, escaped and shortened; None where it must not be shown."""
    allowed: str | None = None
    """The allowed form, or the remedy."""
    suggestion: str | None = None
    """The nearest valid name."""

    def __str__(self) -> str:
        parts = [f"{self.pointer}: {self.message}" if self.pointer else self.message]
        if self.value is not None:
            parts.append(f"got {self.value}")
        if self.allowed:
            parts.append(self.allowed)
        if self.suggestion:
            parts.append(f"did you mean {self.suggestion!r}?")
        return "; ".join(parts)


class ConfigurationError(ExperimentsError, ValueError):
    """An experiment file or configuration is refused; `problems` lists every reason."""

    exit_code = 2

    def __init__(self, problems: list[Problem], *, source: str | None = None) -> None:
        self.problems = tuple(problems)
        self.source = source
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{count}\n{lines}", where=source)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_configuration_error, (list(self.problems), self.source)


def _rebuild_configuration_error(problems: list[Problem], source: str | None) -> ConfigurationError:
    return ConfigurationError(problems, source=source)


class RefusedError(Exception):
    """What a file names cannot be used; says why, the remedy and the nearest name.

    Not shown as it is: whoever knows where the name stands makes a `Problem` of it.
    """

    def __init__(
        self,
        message: str,
        allowed: str | None = None,
        suggestion: str | None = None,
        *,
        place: tuple[str | int, ...] = ("environment",),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.suggestion = suggestion
        self.place = place
        """What of an arm is refused."""


class UsageError(ExperimentsError, ValueError):
    """A command line or a call that cannot be carried out as given."""

    exit_code = 2


class ExperimentLockedError(ExperimentsError):
    """Another process works on this experiment."""

    exit_code = 3


class StorageError(ExperimentsError):
    """A file or directory could not be written, read or trusted."""


class UnusableCheckpointsError(StorageError):
    """There are checkpoints, and none of them can be used."""


class MissingExtraError(ExperimentsError):
    """An optional package is needed and is not installed."""

    exit_code = 2


def install_extra(name: str) -> str:
    """The command that installs what is optional, in the root of the clone.

    By the clone and not by the package's name, which no index has.
    """
    return f"pip install -e '.[{name}]' -c constraints.txt"


class TrainingError(ExperimentsError):
    """A run failed."""


LOSS = "loss"
"""The quantity of a `NonFiniteError` that a loss was."""


class NonFiniteError(TrainingError):
    """A NaN or an infinity appeared in training."""

    def __init__(self, quantity: str, step: int) -> None:
        self.quantity = quantity
        self.step = step
        super().__init__(
            f"non-finite {quantity} at step {step}",
            remedy="lower the learning rate, or check the environment's rewards and observations",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.quantity, self.step)


class ProcessDiedError(TrainingError):
    """A training process was killed, or left without reporting an outcome."""


class OutOfMemoryError(TrainingError, MemoryError):
    """A run was ended because memory ran out, or its limit was reached."""


class HangError(TrainingError, TimeoutError):
    """A run gave no sign of life for too long."""


class RunStoppedError(TrainingError):
    """A run was asked to stop, and did so in good order."""


class ResourceLimitError(TrainingError):
    """A run was ended because a limit other than memory was reached."""


class TrackerError(ExperimentsError):
    """A remote system refused, or could not be reached; nothing local is lost by it."""

    exit_code = 5


def error_record(error: BaseException) -> ErrorRecord:
    """Turn an exception into data that crosses a process boundary, without this one's secrets."""
    secrets = known_secrets()
    text = redact("".join(traceback.format_exception(error)), secrets)
    return ErrorRecord(type(error).__name__, redact(_bounded(error), secrets), text)


def described(error: BaseException) -> str:
    """What went wrong in a line: our own errors explain themselves, others by their type."""
    if isinstance(error, ExperimentsError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def cause_of(error: BaseException) -> str:
    """As `described`, without the remedy, where that is told beside it."""
    if isinstance(error, ExperimentsError):
        return f"{error.where}: {error.what}" if error.where else error.what
    return described(error)


def exit_code_of(leaving: SystemExit) -> int:
    """The exit code that the interpreter would end with."""
    return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def as_failure(error: BaseException) -> Exception:
    """A failure that may be handled as one, also where a run called `sys.exit`."""
    if isinstance(error, Exception):
        return error
    return ProcessDiedError(f"the run called sys.exit({getattr(error, 'code', None)!r})")


def _bounded(error: BaseException) -> str:
    """The error's text, at a length that a report can hold; the log has the whole."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception may fail even at telling what it is
        return "(its text cannot be shown)"
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} …"


_MADE_FROM_TEXT = {
    kind.__name__: kind
    for kind in (
        UsageError,
        ExperimentLockedError,
        StorageError,
        UnusableCheckpointsError,
        MissingExtraError,
        TrainingError,
        ProcessDiedError,
        OutOfMemoryError,
        HangError,
        RunStoppedError,
        ResourceLimitError,
        TrackerError,
    )
}


def error_from_record(record: ErrorRecord) -> Exception:
    """An instance of the original type, built-in or of this module, with the original text."""
    message = redact(record.message, known_secrets())  # who told it may not know all of them
    if record.type_name in _MADE_FROM_TEXT:
        return _MADE_FROM_TEXT[record.type_name](message)
    kind = getattr(builtins, record.type_name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:
            pass  # a built-in whose constructor wants more than a text
    return TrainingError(f"{record.type_name}: {message}")
