"""A further process of a run that several train, started by the first as ``python -m …follower``.

The configuration comes through standard input, which stays open as long as the first lives.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from contextlib import closing
from typing import BinaryIO

from ....domain.records import TrainerConfig
from ..backend import LanguageModels
from .ranks import following


class Quiet:
    """An observer that has nothing to observe: the first process does."""

    next_step = sys.maxsize

    def observe(self, step: int, collect: object) -> None:
        """Never called."""


def main() -> None:
    """Train along until the first process ends training."""
    source = sys.stdin.buffer
    config = _read(source)
    watch = threading.Thread(target=_end_with_the_first, args=[source], daemon=True)
    watch.start()
    with closing(LanguageModels(config, following())) as backend:
        backend.build()
        backend.train(Quiet())
        watch.join()  # the first may measure what all of them take


def _read(source: BinaryIO) -> TrainerConfig:
    size = int(source.readline())
    config = pickle.loads(source.read(size))  # noqa: S301 - from the process that started this one
    assert isinstance(config, TrainerConfig)  # noqa: S101 - nothing else is sent
    return config


def _end_with_the_first(source: BinaryIO) -> None:
    os.read(source.fileno(), 1)
    os._exit(1)  # it may be in the middle of a computation, or wait for one who is gone


if __name__ == "__main__":
    main()
