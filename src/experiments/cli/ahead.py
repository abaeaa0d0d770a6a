"""What a run needs longest, begun before the command line is understood: it would wait for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..domain.errors import UsageError
from ..domain.paths import DEFAULT_OUTPUT_DIR, ExperimentPaths

_TRAINING = f"{__package__.rpartition('.')[0]}.training"
WARM_UP = (f"{_TRAINING}.warmup",)
"""`training.warm_ups`, without the wait for `training`."""
LANGUAGE_WARM_UP = (*WARM_UP, f"{_TRAINING}.trl.warmup")
"""The same of language models."""

_NOT_HERE = ("-h", "--help", "--executor", "--ray-address")
_CONTINUES, _WHERE = "--experiment-id", "--output-dir"
_MOST_BYTES = 1 << 20


def warm_up_for(words: Sequence[str], *, is_language: bool = False) -> None:
    """Start to import what training needs, where the words look like a run on this machine.

    Nothing depends on it: what was started in vain ends with this process.

    Args:
        words: of the command line, after the command's name.
        is_language: whether the command trains language models, and needs no file for it.
    """
    if {word.partition("=")[0] for word in words}.intersection(_NOT_HERE):
        return
    files = [path for path in map(_file, words) if path is not None]
    files += saved_files(_value(_WHERE, words) or DEFAULT_OUTPUT_DIR, _value(_CONTINUES, words))
    if is_language or files:
        begin_imports(files, is_language=is_language)


def begin_imports(files: Iterable[Path], *, is_language: bool = False) -> None:
    """Let the server that forks training processes begin with its imports.

    Args:
        files: that tell of the experiment; they need not be there.
        is_language: whether it is known to train language models.
    """
    from ..execution.process_pool import warm_up

    warm_up(LANGUAGE_WARM_UP if is_language or any(map(_speaks_of_language, files)) else WARM_UP)


def saved_files(output_dir: Path | str, experiment_id: str | None) -> list[Path]:
    """The file of an experiment that goes on; it need not be there."""
    try:
        return [ExperimentPaths.under(output_dir, experiment_id or "").experiment]
    except UsageError:  # no id that an experiment could have
        return []


def _speaks_of_language(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return b'GRPO"' in stream.read(_MOST_BYTES)
    except OSError:
        return False


def _value(name: str, words: Sequence[str]) -> str | None:
    """What a command line gives an option."""
    for number, word in enumerate(words):
        given, _, value = word.partition("=")
        if given == name:
            return value or "".join(words[number + 1 : number + 2])
    return None


def _file(word: str) -> Path | None:
    path = Path(word.removeprefix("--config="))
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # a word may be anything
        return None
