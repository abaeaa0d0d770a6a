"""An experiment, its copy outside, and how what lies outside is compared."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

EVERYTHING = ("--all", "--unsynced", "--unfinished", "--changed")
OFFLINE_RUN = "wandb/offline-run-20300102_030405-abcd1234"
MODEL = "models/baseline_model_final.zip"
RUN_LOCK = "runs/baseline_seed0/.lock"
CHECKPOINT = "checkpoints/baseline_seed0/checkpoint_999.pkl"
EVERY = -1
"""As many as there are."""


class Scene:
    """A folder with an experiment inside and its copy outside."""

    def __init__(self, folder: Path, trained: Path) -> None:
        self.folder = folder
        self.inside = folder / "inside"
        self.outside = folder / "outside"
        self.root = self.inside / "pair"
        self.twin = self.outside / "pair"
        self.file = self.outside / "file"
        for place in (self.root, self.twin):
            shutil.copytree(trained, place)
        self.file.write_text("outside")

    def link(self, path: str, target: Path | str) -> None:
        """Put a link in the place of whatever stands there in the experiment."""
        place = self.root / path
        self.clear(path)
        place.symlink_to(target)

    def link_to_twin(self, *paths: str) -> None:
        """Put links to the same names outside."""
        for path in paths:
            self.link(path, self.twin / path)

    def hard_link(self, path: str, target: Path) -> None:
        """Put another name of an outside file into the experiment."""
        self.clear(path)
        (self.root / path).hardlink_to(target)

    def clear(self, path: str) -> None:
        """Make room for something else of this name."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)

    def holds(self, path: str) -> bool:
        """Whether a name is there; from the scene's folder on after a slash."""
        return os.path.lexists(self.folder / path[1:] if path[0] == "/" else self.root / path)

    def list_file(self, path: str) -> None:
        """Let the manifest name a path, as if it were the first file's."""
        manifest = self.root / "manifest.json"
        content = json.loads(manifest.read_text())
        content["files"][0]["path"] = path
        manifest.write_text(json.dumps(content))


Change = Callable[[Scene], None]


@dataclass(frozen=True)
class Layout:
    """One way to lead a cleaner astray, and what is to come of it."""

    name: str
    build: Change
    words: Sequence[str] = EVERYTHING
    code: int = 0
    """The command's exit code."""
    goes: Sequence[str] = (MODEL,)
    """Names in the experiment that must be gone; where there are none, all is as it was."""
    stays: Sequence[str] = ()
    """Names in the experiment that must still be there; from the scene's folder on after a slash.
    """
    meanwhile: Change | None = None
    """Done while the command asks whether to remove what it has found."""
    prefix: Callable[[Scene], Sequence[str]] = lambda scene: ()
    """Words before the command."""
    why_not: Callable[[], str | None] = lambda: None
    """Why it cannot be made on this machine."""
    names_lost: int = 0
    """How many names of outside files lie inside, and are removed there."""
    workspace: bool = False


@dataclass(frozen=True)
class Inode:
    """All that can be told of what stands under a name."""

    identity: tuple[int, ...]
    content: str
    names: int
    changed_ns: int
    """When anything about it was last changed, its number of names included."""

    def but_for_names(self) -> "Inode":
        """The same, however many names it has."""
        return replace(self, names=0, changed_ns=0)


def inodes(folder: Path) -> dict[str, Inode]:
    """A folder and everything below it, by path; no link is followed."""
    found = {}
    for place, folders, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in (*folders, *names))):
            found[str(path.relative_to(folder))] = _inode(path)
    return found


def _inode(path: Path) -> Inode:
    status = path.lstat()
    identity = (status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns)
    content = ""
    if path.is_symlink():
        content = str(path.readlink())
    elif path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return Inode(identity, content, status.st_nlink, status.st_ctime_ns)
