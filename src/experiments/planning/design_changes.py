"""Changes of an experiment's design since it began: what may change, and how it is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ..domain.errors import UsageError
from .looks_taken import LooksTaken

WORDS = ("/hypothesis", "/comment", "/tags")
"""Where a change weakens nothing."""


class DesignChanges:
    """Remembers changes for good, each with its moment."""

    def __init__(self) -> None:
        self.told: tuple[str, ...] = ()
        """In words."""
        self._untold: tuple[str, ...] = ()
        """Changes of the decision rule that no event tells of yet."""

    def add(self, changes: Sequence[str], *, of_the_rule: bool) -> None:
        """Take note of changes that are made now; of the rule's, events are to tell as well."""
        if of_the_rule:
            self._untold += tuple(changes)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.told += tuple(f"{change} ({now})" for change in changes)

    def restore(self, earlier: Iterable[str]) -> None:
        """Put those that were saved before those of now."""
        self.told = tuple(dict.fromkeys((*earlier, *self.told)))

    def tell(self, looks: LooksTaken) -> None:
        """Let the events tell of what they have not told yet.

        Raises:
            StorageError: when the disk refuses.
        """
        if self._untold:
            looks.tell_of_change(self._untold)
            self._untold = ()

    @property
    def are_to_be_told(self) -> bool:
        """Whether the rule has changed and no event tells of it yet."""
        return bool(self._untold)

    @property
    def weaken_the_answer(self) -> bool:
        """Whether more was changed than words, the number of seeds included."""
        return any(not change.startswith(WORDS) for change in self.told)


def check_seeds(planned: Sequence[int], wanted: Sequence[int], *, goes_by_order: bool) -> None:
    """Refuse seeds that are not those planned and further ones.

    Args:
        planned: of the experiment as it is.
        wanted: instead.
        goes_by_order: whether the answer depends on which come first.

    Raises:
        UsageError: when one would be left out, or they would stand in another order.
    """
    left_out = [seed for seed in planned if seed not in wanted]
    if left_out:
        raise UsageError(
            f"seeds {left_out} are planned and would be left out",
            remedy="seeds may be added to an experiment that exists, and none taken away",
        )
    if goes_by_order and list(wanted[: len(planned)]) != list(planned):
        raise UsageError(
            "the seeds that are planned would stand in another order",
            remedy="looks follow their order: add seeds after those that are planned",
        )
