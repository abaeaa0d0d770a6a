"""What was found: what could be removed, and what stays and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .entries import Entry, Form, Identity
from .kinds import Kind, Selection


@dataclass(frozen=True)
class Candidate:
    """A file, or a link as such, that can be removed."""

    path: str
    """Relative to the root, with slashes."""
    kind: Kind
    identity: Identity
    sha256: str | None = None
    """As the manifest has it; None where none lists it."""


@dataclass(frozen=True)
class Kept:
    """Something that stays."""

    path: str
    why: str
    option: str | None = None
    """What would let it go too."""


@dataclass(frozen=True)
class Tally:
    """How much there is."""

    files: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> Tally:
        """Of some candidates; a link takes no room."""
        sizes = [each.identity.size * (each.identity.form is Form.FILE) for each in candidates]
        return cls(len(sizes), sum(sizes))


@dataclass(frozen=True)
class Findings:
    """Everything that a look at a directory has found."""

    candidates: tuple[Candidate, ...]
    kept: tuple[Kept, ...]
    folders: tuple[str, ...] = ()
    """Those that go too once they are empty, innermost first; the root is not among them."""
    anchors: Mapping[str, Identity | None] = field(default_factory=dict)
    """Files by which it shows whether an experiment has gone on since."""

    def tallies(self) -> dict[Kind, Tally]:
        """How much there is of each kind, those of which there is nothing left out."""
        by_kind: dict[Kind, list[Candidate]] = {}
        for candidate in self.candidates:
            by_kind.setdefault(candidate.kind, []).append(candidate)
        return {kind: Tally.of(by_kind[kind]) for kind in Kind if kind in by_kind}

    def selected(self, selection: Selection) -> list[Candidate]:
        """The candidates that are to be removed."""
        return [each for each in self.candidates if each.kind in selection.kinds]


def innermost_first(folders: Iterable[Entry]) -> tuple[str, ...]:
    """The paths of folders, those within others before them."""
    return tuple(sorted((each.path for each in folders), key=_depth, reverse=True))


def split(found: Iterable[Candidate | Kept]) -> tuple[list[Candidate], list[Kept]]:
    """Candidates and what stays, apart."""
    judged = list(found)
    candidates = [each for each in judged if isinstance(each, Candidate)]
    return candidates, [each for each in judged if isinstance(each, Kept)]


def _depth(path: str) -> int:
    return path.count("/")
