"""What an attempt leaves while it trains: its journal, and from which step it went on."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Self

from ..domain.paths import RunPaths
from ..domain.records import AttemptStart, TrainerConfig
from ..durability.files import write_json
from ..durability.journal import JournalWriter
from .recording import Journal, SilentJournal

logger = logging.getLogger(__name__)


class RunLog:
    """Opens the journal once it is sure where it goes on; without a run directory all is silent.

    Until then nothing that an earlier attempt left is touched.
    """

    def __init__(self, config: TrainerConfig) -> None:
        self.deviations = config.deviations
        """What was changed of the run's configuration, in words."""
        self._attempt = config.attempt
        self._paths = None if config.run_dir is None else RunPaths(config.run_dir)
        self._open = ExitStack()
        self._writer: JournalWriter | None = None
        self._warned: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def begin(self) -> Journal:
        """The journal of a run that starts: empty."""
        return self._open_at(AttemptStart(0, deviations=self.deviations), 0)

    def go_on(self, start: AttemptStart, journal_bytes: int) -> Journal:
        """The journal of a run that goes on from a checkpoint, cut back to its offset.

        Raises:
            StorageError: when it is shorter than that, or the disk refuses.
        """
        why = start.why_inexact
        how = "exactly" if why is None else f"approximately, because {why}"
        logger.info("resuming from the checkpoint of step %d, %s", start.step, how)
        return self._open_at(start, journal_bytes)

    def warn_of_inexact_checkpoints(self, why_inexact: str | None) -> None:
        """Say, once, that a resume of this run can only be approximate."""
        if why_inexact is not None and why_inexact != self._warned:
            logger.warning("a resume of this run would only be approximate: %s", why_inexact)
        self._warned = why_inexact

    def synced_bytes(self) -> int:
        """The length of the journal, all of which is on the disk."""
        return 0 if self._writer is None else self._writer.synced_bytes()

    def _open_at(self, start: AttemptStart, journal_bytes: int) -> Journal:
        if self._paths is None:
            return SilentJournal()
        writer = JournalWriter(self._paths.journal, time.time, keep_bytes=journal_bytes)
        self._writer = self._open.enter_context(writer)
        write_json(self._paths.attempt(self._attempt).start, asdict(start))
        return writer
