"""What a run needs longest, begun before the command line is understood: it would wait for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_TRAINING = f"{__package__.rpartition('.')[0]}.training"
WARM_UP = (f"{_TRAINING}.warmup",)
"""`training.warm_ups`, without the wait for `training`."""
LANGUAGE_WARM_UP = (*WARM_UP, f"{_TRAINING}.trl.warmup")
"""The same of language models."""

_NOT_HERE = ("-h", "--help", "--executor", "--ray-address")
_CONTINUES = "--experiment-id"
_MOST_BYTES = 1 << 20


def warm_up_for(words: Sequence[str], *, is_language: bool = False) -> None:
    """Start to import what training needs, where the words look like a run on this machine.

    Nothing depends on it: what was started in vain ends with this process.

    Args:
        words: of the command line, after the command's name.
        is_language: whether the command trains language models, and needs no file for it.
    """
    names = {word.partition("=")[0] for word in words}
    if names.intersection(_NOT_HERE):
        return
    files = [path for path in map(_file, words) if path is not None]
    if is_language or _CONTINUES in names or files:
        begin_imports(is_language=is_language or any(map(speaks_of_language, files)))


def begin_imports(*, is_language: bool) -> None:
    """Let the server that forks training processes begin with its imports."""
    from ..execution.process_pool import warm_up

    warm_up(LANGUAGE_WARM_UP if is_language else WARM_UP)


def speaks_of_language(file: Path) -> bool:
    """Whether an experiment file looks as if it trained language models."""
    try:
        with file.open("rb") as stream:
            return b'GRPO"' in stream.read(_MOST_BYTES)
    except OSError:
        return False


def _file(word: str) -> Path | None:
    path = Path(word.removeprefix("--config="))
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # a word may be anything
        return None
