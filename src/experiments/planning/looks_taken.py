"""The looks that an experiment has taken, as its events tell them: each is recorded once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from ..analysis.early_abort import AbortLook
from ..analysis.sequential import LookTaken
from ..domain.errors import StorageError
from ..durability.journal import JournalWriter, Record, read_journal


class Kind(StrEnum):
    """What the events tell."""

    LOOK = "look"
    ABORT_LOOK = "abort_look"
    DESIGN_CHANGED = "design_changed"


class LooksTaken:
    """Reads and appends to the experiment's `events.jsonl`; nothing is read before `read`.

    Args:
        events: the file.
        design: fingerprint of the design; looks that were taken under another one do not count.
    """

    def __init__(self, events: Path, design: str) -> None:
        self._events = events
        self._design = design
        self.planned: tuple[LookTaken, ...] = ()
        """Looks of the sequential design, in their order."""
        self.in_training: tuple[AbortLook, ...] = ()
        """Looks at a variant in mid-training, in their order."""

    def read(self) -> None:
        """Take over what the events tell of looks under this design.

        Raises:
            StorageError: when they are damaged.
        """
        self.planned, self.in_training = (), ()
        try:
            for event in read_journal(self._events):
                self._learn(event)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"a look cannot be read ({error!r})",
                where=str(self._events),
                remedy="restore the file from a copy",
            ) from error

    def _learn(self, event: Record) -> None:
        if event.get("design") != self._design:
            return
        match event["kind"]:
            case Kind.LOOK:
                self.planned += (LookTaken.from_dict(event["look"]),)
            case Kind.ABORT_LOOK:
                self.in_training += (AbortLook.from_dict(event["look"]),)

    def take(self, look: LookTaken | AbortLook, step: int) -> None:
        """Record a look that was taken after so many timesteps of all runs together.

        Raises:
            StorageError: when the disk refuses.
        """
        if isinstance(look, LookTaken):
            self._append(Kind.LOOK, step, look=look.to_dict())
            self.planned += (look,)
        else:
            self._append(Kind.ABORT_LOOK, step, look=look.to_dict())
            self.in_training += (look,)

    def follow(self, design: str) -> None:
        """Take over, and from now on record, the looks under another design.

        Those before stay in the file.

        Raises:
            StorageError: when the events are damaged.
        """
        self._design = design
        self.read()

    def tell_of_change(self, changes: tuple[str, ...]) -> None:
        """Say in the events that the design has changed, and how.

        Raises:
            StorageError: when the disk refuses.
        """
        self._append(Kind.DESIGN_CHANGED, 0, changes=list(changes))

    @property
    def decided_at(self) -> int | None:
        """Seeds per arm of the planned look that ended the experiment; None where none did."""
        ending = (look.n_per_arm for look in self.planned if look.decision.ends)
        return next(ending, None)

    @property
    def settled(self) -> int:
        """So many of the first seeds of each arm have been looked at: they are trained no more."""
        return self.planned[-1].n_per_arm if self.planned else 0

    @property
    def aborted_by(self) -> AbortLook | None:
        """The look in mid-training that ended the variant; None where none did."""
        return next((look for look in self.in_training if look.abort), None)

    def _append(self, kind: Kind, step: int, **fields: object) -> None:
        with JournalWriter(self._events) as events:
            events.append(kind.value, step, design=self._design, **fields)
