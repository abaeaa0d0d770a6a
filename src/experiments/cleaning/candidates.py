"""What of an experiment could be removed: the files that it has made, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.records import RunStatus
from .entries import Entry, ExchangedError, Form
from .findings import Candidate, Findings, Kept, innermost_first, split
from .kinds import (
    MANIFEST,
    Kind,
    Place,
    Selection,
    experiment_file,
    is_own_folder,
    place_of,
)
from .listed import Manifest, read_manifest
from .tree import Tree
from .wandb_runs import WandbRuns, is_link_to_a_run, run_of

NOT_OURS = "not part of the experiment"
CHANGED = "differs from the manifest"
NEEDED = "needed to continue {run}"
_UNVERIFIED = re.compile(r"manifest\.json|cleaned\.json|\.lock|tracking/(?s:.+)")
"""What the program itself writes after the manifest, as trackers' files are."""
_TRACKERS = (Kind.TRACKERS, Kind.UNSYNCED)
_MOST_BYTES = 64 << 20


def find_in_experiment(tree: Tree, experiment_id: str, selection: Selection) -> Findings:
    """Look at an experiment's directory; what is selected is compared with the manifest.

    Raises:
        StorageError: when the manifest cannot be trusted.
    """
    manifest = read_manifest(tree, experiment_id)
    entries = list(tree.walk(_why_closed))
    folders = [entry for entry in entries if entry.identity.form is Form.DIRECTORY]
    closed = [Kept(f"{each.path or '.'}/", each.why_closed) for each in folders if each.why_closed]
    files = [entry for entry in entries if entry.identity.form is not Form.DIRECTORY]
    judge = _Judge.of(tree, experiment_id, manifest, selection, files)
    candidates, kept = split(judge.judged(entry) for entry in files)
    anchors = {name: tree.identity(name) for name in (MANIFEST, experiment_file(experiment_id))}
    own = (entry for entry in folders if entry.path and entry.why_closed is None)
    stays = tuple(dict.fromkeys((*closed, *kept)))
    return Findings(tuple(candidates), stays, innermost_first(own), anchors)


def _why_closed(path: str, _names: Sequence[str]) -> str | None:
    return None if is_own_folder(path) else NOT_OURS


@dataclass(frozen=True)
class _Judge:
    tree: Tree
    experiment_id: str
    manifest: Manifest | None
    selection: Selection
    finished: frozenset[str]
    """Runs that are complete: nothing of them is needed to continue."""
    models: frozenset[str]
    """Runs whose model has its final name, and keeps it."""
    wandb: WandbRuns

    @classmethod
    def of(
        cls,
        tree: Tree,
        experiment_id: str,
        manifest: Manifest | None,
        selection: Selection,
        files: Sequence[Entry],
    ) -> _Judge:
        paths = frozenset(entry.path for entry in files)
        places = [place_of(path, experiment_id) for path in paths]
        runs = frozenset(place.run for place in places if place is not None and place.run)
        wandb = WandbRuns.among(paths, tree.path)
        stays = Kind.MODELS not in selection.kinds
        models = _with_model(runs, paths) if stays else frozenset()
        finished = _finished(tree, experiment_id, runs)
        return cls(tree, experiment_id, manifest, selection, finished, models, wandb)

    def judged(self, entry: Entry) -> Candidate | Kept:
        """What becomes of a file."""
        place = place_of(entry.path, self.experiment_id)
        listed = self.manifest.files.get(entry.path) if self.manifest else None
        if place is None or not (listed or place.is_exact):
            return Kept(entry.path, _described(NOT_OURS, entry))
        kind = self._kind(entry.path, place)
        if entry.identity.form not in (Form.FILE, Form.LINK):
            return Kept(entry.path, f"a {entry.identity.form.value}")
        if stays := self.wandb.kept(entry.path):
            return stays
        if why := self._why_changed(entry, kind):
            return Kept(entry.path, why, "--changed")
        if self._is_needed(place):
            return Kept(entry.path, NEEDED.format(run=place.run), "--unfinished")
        return Candidate(entry.path, kind, entry.identity, listed.sha256 if listed else None)

    def _kind(self, path: str, place: Place) -> Kind:
        if place.kind is Kind.TRACKERS:
            return self.wandb.kind(path)
        if place.is_copy and place.run in self.models:
            return Kind.CHECKPOINTS  # the model itself stays
        return place.kind

    def _why_changed(self, entry: Entry, kind: Kind) -> str | None:
        """Why a file may be somebody else's; what is not selected is compared by its size only."""
        if self.selection.changed or (kind is Kind.RECORDS and not self.selection.is_whole):
            return None
        if entry.identity.form is Form.LINK:
            in_run = run_of(entry.path) or is_link_to_a_run(entry.path)
            return None if in_run else "a link"
        listed = self.manifest.files.get(entry.path) if self.manifest else None
        if listed is None or kind in _TRACKERS or _UNVERIFIED.fullmatch(entry.path):
            return None
        if entry.identity.size != listed.size:
            return CHANGED
        try:
            is_selected = kind in self.selection.kinds
            differs = is_selected and self.tree.digest(entry) != listed.sha256
        except ExchangedError:
            return "being changed"
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return CHANGED if differs else None

    def _is_needed(self, place: Place) -> bool:
        if self.selection.unfinished or self.selection.is_whole:
            return False
        is_state = place.kind is Kind.CHECKPOINTS or place.is_copy
        return is_state and place.run is not None and place.run not in self.finished


def _described(why: str, entry: Entry) -> str:
    form = entry.identity.form
    if form is Form.LINK and is_own_folder(entry.path):
        return "a link, which is not followed"
    return why if form is Form.FILE else f"{why} ({form.value})"


def _with_model(runs: Collection[str], paths: Collection[str]) -> frozenset[str]:
    """The runs whose model lies under its final name, which with one seed is the arm's."""
    arms = [_arm(run) for run in runs]
    return frozenset(
        run
        for run in runs
        if f"models/{run}_model_final.zip" in paths
        or (arms.count(_arm(run)) == 1 and f"models/{_arm(run)}_model_final.zip" in paths)
    )


def _arm(run: str) -> str:
    return run.rpartition("_seed")[0]


def _finished(tree: Tree, experiment_id: str, runs: Collection[str]) -> frozenset[str]:
    """The runs that have a successful result, in a file of their own or in the experiment's."""
    inside = _read_json(tree, experiment_file(experiment_id)).get("results")
    early = inside if isinstance(inside, dict) else {}
    return frozenset(
        run
        for run in runs
        if _is_success(_read_json(tree, f"runs/{run}/result.json").get("result"))
        or _is_success(early.get(run))
    )


def _is_success(result: Any) -> bool:
    is_result = isinstance(result, dict) and result.get("success") is True
    return is_result and result.get("status") == RunStatus.COMPLETED.value


def _read_json(tree: Tree, path: str) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        content = json.loads(tree.read(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
