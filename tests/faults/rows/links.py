"""What could lead `clean` out of what it cleans: nothing outside has changed, whatever it met."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ..command import ROOT
from ..figures import Bench, Trial
from ..link_layouts import LAYOUTS
from ..link_scene import EVERY, Inode, Layout, Scene, inodes
from ..pair import SMALL_STEPS

CLEAN = (sys.executable, "-m", "src.experiments", "clean")
SECONDS = 60.0


def layouts(bench: Bench, count: int) -> Iterator[Trial]:
    """So many layouts, spread over all that can be made on this machine."""
    possible = [layout for layout in LAYOUTS if layout.why_not() is None]
    count = min(count, len(possible))
    for number in range(count):
        yield Trial(partial(_check, bench, possible[number * len(possible) // count]))


def _check(bench: Bench, layout: Layout, folder: Path) -> None:
    bench.small_undisturbed("PPO")
    scene = Scene(folder, bench.folder / f"small-PPO-{SMALL_STEPS}" / "pair")
    layout.build(scene)
    outside, inside = inodes(scene.outside), inodes(scene.inside)

    def meanwhile() -> None:
        assert layout.meanwhile is not None
        layout.meanwhile(scene)
        outside.clear()
        outside.update(inodes(scene.outside))

    code, output = _clean(layout, scene, meanwhile if layout.meanwhile else None)
    told = f"{layout.name}: exit {code}: {output}"
    _check_outside(layout, outside, inodes(scene.outside), told)
    assert code == layout.code, told
    assert [path for path in layout.goes if scene.holds(path)] == [], told
    assert [path for path in layout.stays if not scene.holds(path)] == [], told
    if not layout.goes:
        assert inodes(scene.inside) == inside, told


def _check_outside(
    layout: Layout, before: Mapping[str, Inode], after: Mapping[str, Inode], told: str
) -> None:
    """All is as it was; where a file had a name inside that went, it has only lost that name."""
    if not layout.names_lost:
        assert after == before, told
        return
    assert after.keys() == before.keys(), told
    lost = 0
    for path, inode in before.items():
        assert after[path].but_for_names() == inode.but_for_names(), f"{path}: {told}"
        if after[path].names == inode.names:
            assert after[path] == inode, f"{path}: {told}"
        lost += inode.names - after[path].names
    shared = sum(inode.names > 1 for inode in before.values() if inode.content)
    assert lost == (shared if layout.names_lost == EVERY else layout.names_lost), told


def _clean(layout: Layout, scene: Scene, meanwhile: Callable[[], None] | None) -> tuple[int, str]:
    """Carry the command out; its exit code and what it printed."""
    what = ["pair", "--output-dir", str(scene.inside)]
    if layout.workspace:
        what = ["--workspace", str(scene.inside)]
    words = [*layout.prefix(scene), *CLEAN, *what, *layout.words]
    if meanwhile is not None:
        return _answer_yes(words, meanwhile)
    done = subprocess.run(
        [*words, "--yes"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    return done.returncode, done.stdout + done.stderr


def _answer_yes(words: Sequence[str], meanwhile: Callable[[], None]) -> tuple[int, str]:
    """On a terminal: let something happen while the command asks, then say yes."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    output = b""
    while b"[y/N]" not in output:
        data = _read(terminal)
        assert data, output
        output += data
    meanwhile()
    os.write(terminal, b"y\n")
    while data := _read(terminal):
        output += data
    os.close(terminal)
    return process.wait(SECONDS), output.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that nobody holds the other end
        return b""
