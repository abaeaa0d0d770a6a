"""Removing what was found: name by name, and the records of it kept true."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..domain.errors import ExperimentsError, StorageError
from ..domain.paths import ExperimentPaths
from ..durability.lock import locked_error
from .findings import Candidate, Findings, Tally
from .kinds import (
    LOCK,
    MANIFEST,
    NOTE,
    Kind,
    Selection,
    experiment_file,
    is_own_folder,
    place_of,
)
from .listed import read_manifest
from .note import note_text, read_note, removed_now
from .tree import Tree
from .wandb_runs import run_of

MISSED = frozenset({Kind.MODELS, Kind.FIGURES})
"""Kinds that are made again when they are missing without a note."""
_LOCKING = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Failure:
    """A file that should have been removed."""

    path: str
    why: str


@dataclass
class Outcome:
    """What became of what was to be removed."""

    removed: list[Candidate] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    is_whole: bool = False
    """Whether an experiment as such is gone, though files of others may be left in its place."""

    @property
    def tally(self) -> Tally:
        """How much was removed."""
        return Tally.of(self.removed)


def remove(tree: Tree, candidates: Iterable[Candidate], outcome: Outcome) -> None:
    """Remove candidates as they were found; what is something else by now stays."""
    for candidate in candidates:
        try:
            tree.unlink(candidate.path, candidate.identity)
        except FileNotFoundError:
            continue  # somebody else was faster
        except OSError as error:
            outcome.failed.append(Failure(candidate.path, error.strerror or str(error)))
        else:
            outcome.removed.append(candidate)


def remove_from_workspace(tree: Tree, findings: Findings, selection: Selection) -> Outcome:
    """Remove what is selected, and the folders of caches and tracker runs that are empty then."""
    outcome = Outcome()
    remove(tree, findings.selected(selection), outcome)
    _remove_empty_folders(tree, findings, outcome.removed)
    return outcome


def remove_from_experiment(
    tree: Tree, paths: ExperimentPaths, findings: Findings, selection: Selection
) -> Outcome:
    """Remove what is selected while nobody works on the experiment.

    Note and manifest are made true afterwards; models and figures, which would be missed, are noted
    before they go. With everything selected, the files that make the directory an experiment go
    last, and only when nothing else of it is left: a command that was killed, or that left
    something, can be repeated.

    Raises:
        ExperimentLockedError: when somebody works on it.
        StorageError: when it has gone on since it was looked at, or the disk refuses.
    """
    outcome = Outcome()
    last = (NOTE, MANIFEST, experiment_file(paths.experiment_id), LOCK)
    selected = findings.selected(selection)
    first = [candidate for candidate in selected if candidate.path not in last]
    with _locked(tree, paths, findings):
        _check_same(tree, findings)
        note = _Note(tree, paths.experiment_id)
        try:
            # first what needs no note: on a full disk it makes room for one
            remove(tree, [each for each in first if each.kind not in MISSED], outcome)
            missed = [each for each in first if each.kind in MISSED]
            if missed and not selection.is_whole:
                note.write(missed)
            remove(tree, missed, outcome)
            _remove_empty_folders(tree, findings, outcome.removed, whole=selection.is_whole)
        finally:
            if outcome.removed or outcome.failed:
                _settle(tree, paths.experiment_id, note, outcome)
        if selection.is_whole and not outcome.failed and not _has_more(findings, selected, paths):
            _remove_the_rest(tree, last, outcome)
            outcome.removed += [candidate for candidate in selected if candidate.path in last]
    return outcome


def remove_what_is_not_kept(
    tree: Tree, experiment_id: str, findings: Findings, stays: Callable[[str], bool]
) -> Outcome:
    """Remove all but what stays, noted before; the caller holds the experiment's lock.

    Raises:
        StorageError: when the disk refuses.
    """
    outcome = Outcome()
    goes = [each for each in findings.candidates if not stays(each.path)]
    if not goes:
        return outcome
    note = _Note(tree, experiment_id)
    note.write(goes)
    try:
        remove(tree, goes, outcome)
        _remove_empty_folders(tree, findings, outcome.removed, whole=True)
    finally:
        _settle(tree, experiment_id, note, outcome)
    return outcome


@contextmanager
def _locked(tree: Tree, paths: ExperimentPaths, findings: Findings) -> Iterator[None]:
    """Hold the experiment's lock; nobody may hold one of its runs' or trackers' either."""
    own = _lock(tree, paths, LOCK, os.O_CREAT)
    try:
        for each in findings.candidates:
            if each.path.endswith(LOCK) and each.path != LOCK:
                os.close(_lock(tree, paths, each.path))
        yield
    finally:
        os.close(own)


def _lock(tree: Tree, paths: ExperimentPaths, name: str, flags: int = 0) -> int:
    try:
        descriptor = tree.open_file(name, _LOCKING | flags)
    except OSError as error:
        raise StorageError(
            f"the lock cannot be taken: {error.strerror or error}; nothing was removed",
            where=str(paths.root / name),
            remedy="check what is in its place; it must be a regular file that you may write",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise locked_error(paths.root / name) from None
    return descriptor


def _check_same(tree: Tree, findings: Findings) -> None:
    changed = [name for name, seen in findings.anchors.items() if tree.identity(name) != seen]
    if changed:
        raise StorageError(
            f"{changed[0]} has changed since the experiment was examined; nothing was removed",
            where=str(tree.path),
            remedy="repeat the command",
        )


class _Note:
    """The note of what was removed, with what is removed now."""

    def __init__(self, tree: Tree, experiment_id: str) -> None:
        self._tree = tree
        self._experiment_id = experiment_id
        self._before = read_note(tree)

    def write(self, candidates: Iterable[Candidate]) -> bytes:
        """Write a note of what was removed before, and of these; returns its content."""
        notes = {
            each.path: removed_now(each.path, each.kind.value, each.identity.size, each.sha256)
            for each in candidates
        }
        text = note_text(self._experiment_id, {**self._before, **notes}.values())
        self._tree.write(NOTE, text)
        return text


def _settle(tree: Tree, experiment_id: str, note: _Note, outcome: Outcome) -> None:
    """Let note and manifest say what has really happened."""
    text = note.write(outcome.removed)
    manifest = read_manifest(tree, experiment_id)
    if manifest is not None:
        there = {path for path in manifest.files if not _is_gone(tree, path)}
        tree.write(MANIFEST, manifest.rewritten(there, {NOTE: text}))


def _is_gone(tree: Tree, path: str) -> bool:
    try:
        return tree.identity(path) is None
    except OSError:
        return False  # nobody can tell


def _remove_empty_folders(
    tree: Tree, findings: Findings, removed: Sequence[Candidate], *, whole: bool = False
) -> None:
    """Remove folders that are empty, where something was removed from them or from their run.

    With `whole`, others that are empty go too.
    """
    concerned = {folder for each in removed for folder in _folders_of(each.path)}
    for folder in findings.folders:
        if whole or not concerned.isdisjoint((folder, run_of(f"{folder}/."))):
            tree.remove_if_empty(folder)


def _folders_of(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _has_more(findings: Findings, selected: Sequence[Candidate], paths: ExperimentPaths) -> bool:
    """Whether something of the experiment's own stays, for which its manifest is still needed."""
    own = [each for each in findings.kept if _is_own(each.path, paths.experiment_id)]
    return bool(own) or len(selected) < len(findings.candidates)


def _is_own(path: str, experiment_id: str) -> bool:
    """Whether it is a file of the experiment, or a folder that could not be looked into."""
    if path.endswith("/"):
        return is_own_folder(path[:-1])
    return place_of(path, experiment_id) is not None


def _remove_the_rest(tree: Tree, names: Sequence[str], outcome: Outcome) -> None:
    """Remove what made it an experiment, its file last."""
    for name in names:
        try:
            tree.unlink(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _left(tree, name, error) from error
    outcome.is_whole = True
    tree.remove_if_empty("")


def _left(tree: Tree, name: str, error: OSError) -> ExperimentsError:
    return StorageError(
        f"it could not be removed: {error.strerror or error}",
        where=str(tree.path / name),
        remedy="fix the permissions, then repeat the command",
    )
