"""What of a workspace could be removed: what training left about in it, nothing that somebody made.

Source, data and configuration stay, as does all that git tracks, and whatever keeps itself: other
repositories, installed packages, experiments, the stores of other tools.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..domain.errors import UsageError
from .entries import Entry, Form
from .findings import Candidate, Findings, Kept, innermost_first, split
from .kinds import WANDB_RUN, Kind, experiment_file
from .tracked import tracked_files
from .tree import Tree
from .wandb_runs import WandbRuns, is_link_to_a_run, run_of

KINDS_BY_SUFFIX = {
    ".png": Kind.FIGURES,
    ".html": Kind.FIGURES,
    ".pt": Kind.CHECKPOINTS,
}
WORKSPACE_KINDS = frozenset(
    {Kind.FIGURES, Kind.CHECKPOINTS, Kind.TRACKERS, Kind.UNSYNCED, Kind.CACHES}
)
KEPT_FOLDERS = frozenset(
    {"src", "data", "dataset", "datasets", "docs", "doc", "static", "templates", "assets"}
)
"""In which a figure or a tensor is source or data."""
OTHER_TOOLS = frozenset({"mlruns", "mlartifacts", "lightning_logs", "ray_results"})
HIDDEN = "hidden"
TRACKED = "tracked by git"
AMONG_DATA = "kept as source or data"
_PACKAGES = frozenset({"node_modules", "site-packages", "dist-packages"})
_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
_CACHED = re.compile(r"(?:(?s:.+)/)?__pycache__/[^/]+\.py[co](?:\.\d+)?", re.ASCII)
_OWN_FOLDER = re.compile(rf"(?:(?s:.+)/)?(?:__pycache__|wandb|{WANDB_RUN}(?:/(?s:.+))?)", re.ASCII)


def check_workspace(directory: Path) -> None:
    """Refuse what is no project's directory.

    Raises:
        UsageError: for the root of all files, a home directory, an experiment's directory.
    """
    resolved = directory.resolve()
    if resolved in (Path(resolved.anchor), Path.home().resolve()):
        raise UsageError(
            "this is a home directory, or the root of the file system",
            where=str(directory),
            remedy="name a project directory",
        )
    if (resolved / experiment_file(resolved.name)).exists():
        raise UsageError(
            "this is an experiment's directory",
            where=str(directory),
            remedy=f"experiments clean {resolved.name} --output-dir {resolved.parent}",
        )


def find_in_workspace(tree: Tree) -> Findings:
    """Look at everything below a directory.

    Raises:
        StorageError: when git does not tell what it tracks.
    """
    tracked = tracked_files(tree.path)
    entries = list(tree.walk(_why_closed))
    folders = [entry for entry in entries if entry.identity.form is Form.DIRECTORY]
    paths = [entry.path for entry in entries if entry.identity.form is not Form.DIRECTORY]
    runs = WandbRuns.among(paths, tree.path)
    files = (entry for entry in entries if entry.identity.form is not Form.DIRECTORY)
    candidates, kept = split(_judged(files, tracked, runs))
    opened = (entry for entry in folders if entry.why_closed is None)
    own = [entry for entry in opened if _OWN_FOLDER.fullmatch(entry.path)]
    return Findings(tuple(candidates), (*_closed(folders), *_gathered(kept)), innermost_first(own))


def _why_closed(path: str, names: Sequence[str]) -> str | None:
    name = path.rpartition("/")[2]
    if not path:
        return None
    if name.startswith("."):
        return HIDDEN
    if name in _PACKAGES or _ENVIRONMENT_MARKS.intersection(names):
        return "installed packages"
    if ".git" in names:
        return "a repository of its own"
    if experiment_file(name) in names:
        return f"an experiment: experiments clean {name}"
    return "the store of another tool" if name in OTHER_TOOLS else None


def _closed(folders: Iterable[Entry]) -> list[Kept]:
    """The folders that were not entered; what is hidden is none of our business."""
    return [
        Kept(f"{each.path or '.'}/", each.why_closed)
        for each in folders
        if each.why_closed and each.why_closed != HIDDEN
    ]


def _judged(
    files: Iterable[Entry], tracked: Collection[str], runs: WandbRuns
) -> Iterator[Candidate | Kept]:
    for entry in files:
        kind = _kind(entry, runs)
        if kind is None:
            continue
        if entry.path in tracked:
            yield Kept(entry.path, TRACKED)
        elif stays := runs.kept(entry.path):
            yield stays
        elif kind in KINDS_BY_SUFFIX.values() and (folder := _kept_folder(entry.path)):
            yield Kept(f"{folder}/", AMONG_DATA)
        else:
            yield Candidate(entry.path, kind, entry.identity)


def _kind(entry: Entry, runs: WandbRuns) -> Kind | None:
    """What a file is selected by; None for what is none of our business."""
    if entry.identity.form not in (Form.FILE, Form.LINK):
        return None
    if run_of(entry.path):
        return runs.kind(entry.path)
    if entry.identity.form is Form.LINK:
        return Kind.TRACKERS if is_link_to_a_run(entry.path) else None
    if _CACHED.fullmatch(entry.path):
        return Kind.CACHES
    return KINDS_BY_SUFFIX.get(PurePosixPath(entry.path).suffix.lower())


def _kept_folder(path: str) -> str | None:
    """The outermost folder of source or data in which a file lies."""
    parts = path.split("/")[:-1]
    for depth, name in enumerate(parts, start=1):
        if name.lower() in KEPT_FOLDERS:
            return "/".join(parts[:depth])
    return None


def _gathered(kept: Iterable[Kept]) -> list[Kept]:
    """What stays, each folder of source or data once, with how many files of it do."""
    counts = Counter(kept)
    return [_counted(each, counts[each]) if each.why == AMONG_DATA else each for each in counts]


def _counted(kept: Kept, count: int) -> Kept:
    return replace(kept, why=f"{AMONG_DATA} ({count:,} {'file' if count == 1 else 'files'})")
