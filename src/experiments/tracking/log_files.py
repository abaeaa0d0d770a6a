"""The experiment's log files: control characters escaped, secrets left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..domain.paths import ExperimentPaths
from ..domain.redaction import known_secrets, scrub
from ..durability.files import make_directory

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Formats a record as text that no terminal obeys and no secret is in."""

    def __init__(self) -> None:
        super().__init__(FORMAT)
        self._secrets = known_secrets()

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, or several with a traceback."""
        return scrub(super().format(record), self._secrets)


@contextmanager
def log_files(
    paths: ExperimentPaths, everything: logging.Logger, runner: logging.Logger
) -> Iterator[None]:
    """Write `experiment.log` and `runner.log` from a logger each while the block lasts."""
    make_directory(paths.logs)
    targets = ((everything, paths.experiment_log), (runner, paths.runner_log))
    handlers = []
    level = everything.level
    everything.setLevel(logging.INFO)
    for logger, path in targets:
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(PlainFormatter())
        logger.addHandler(handler)
        handlers.append((logger, handler))
    try:
        yield
    finally:
        everything.setLevel(level)
        for logger, handler in handlers:
            logger.removeHandler(handler)
            handler.close()
