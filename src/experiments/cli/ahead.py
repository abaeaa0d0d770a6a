"""What a run needs longest, begun before the command line is understood: it would wait for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WARM_UP = f"{__package__.rpartition('.')[0]}.training.warmup"
"""`training.WARM_UP`, without the wait for `training`."""

_NOT_HERE = ("-h", "--help", "--executor", "--ray-address")
_CONTINUES = "--experiment-id"


def warm_up_for(words: Sequence[str]) -> None:
    """Start to import what training needs, where the words look like a run on this machine.

    Nothing depends on it: what was started in vain ends with this process.
    """
    names = {word.partition("=")[0] for word in words}
    if names.intersection(_NOT_HERE):
        return
    if _CONTINUES in names or any(_is_file(word) for word in words):
        from ..execution.process_pool import warm_up

        warm_up([WARM_UP])


def _is_file(word: str) -> bool:
    try:
        return Path(word.removeprefix("--config=")).is_file()
    except (OSError, ValueError):  # a word may be anything
        return False
