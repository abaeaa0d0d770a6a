"""Measures what docs/performance.md shows, and writes it there.

    python benchmarks/performance.py --rounds 5 --peers .venv-peers/bin/python
    python benchmarks/performance.py --only training pieces

A section that is not measured this time stays as it is; each one tells when and on what it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

from measuring import CORES, ROOT, tell

PAGE = ROOT / "docs" / "performance.md"
WIDTH = 100
PACKAGES = ("torch", "stable-baselines3", "gymnasium", "numpy")
INTRODUCTION = """# Performance

Written by `make bench`; the figures are of the machine that each section names, and say little
about another one. Everything is compared side by side, in alternating rounds; medians, ranges in
brackets. What the pieces of acceleration do, and how to choose among them:
[acceleration](guides/acceleration.md).
"""


@dataclass(frozen=True)
class Part:
    """A section of the page, and the command whose output it shows."""

    title: str
    words: str
    program: str
    options: tuple[str, ...] = ()
    takes_rounds: bool = True
    takes_peers: bool = False


PARTS = {
    "training": Part(
        "Training beside bare Stable-Baselines3",
        "An experiment as a user starts it, with journal, monitoring of the machine and checkpoints"
        " as often as they are by default. The clock runs from the first step to the last update,"
        " without evaluation, which both sides do equally often. `start later` is how much later"
        " the first step is taken than in a bare script. The last column begins the SHA-256 of the"
        " parameters of all rounds of both sides.",
        "overhead.py",
        ("--through", "runner", "--no-help-time"),
    ),
    "process": Part(
        "The same, of the training process alone",
        "With journal and checkpoints. Its CPU time can be told apart, and depends less on what"
        " else the machine does.",
        "overhead.py",
        ("--through", "trainer", "--no-help-time"),
    ),
    "pieces": Part(
        "What each piece is worth",
        "The library's own `learn` without acceleration, with all of it, and with all but one"
        " piece: the share of the bare library's CPU time that is lost without it. What two pieces"
        " save together counts for neither; rows of pieces that do nothing for an algorithm show"
        " how far chance goes.",
        "pieces.py",
    ),
    "profile": Part(
        "Where the time goes",
        "Microseconds of one step of the environment, its share of the updates included.",
        "profile_parts.py",
        takes_rounds=False,
    ),
    "field": Part(
        "The field",
        "A pair of runs from command to end, start-up included, beside other ways to train them.",
        "pair.py",
        ("--only", "bare", "zoo", "tune", "sequential", "parallel"),
        takes_peers=True,
    ),
    "eight": Part(
        "Eight runs at once",
        "From command to end, against half of the sum of the bare library's training times.",
        "pair.py",
        ("--eight",),
    ),
    "scale": Part(
        "From ten runs to a thousand",
        "What each run costs the orchestrator itself; the runs of this measurement learn nothing.",
        "scale.py",
    ),
    "light": Part(
        "The orchestrator while eight runs train",
        "Its resident memory, and its share of a core.",
        "light.py",
        takes_rounds=False,
    ),
    "journals": Part(
        "Long journals",
        "Results and report of one run with a long journal, read by cursor.",
        "light.py",
        ("--records", "2000000"),
        takes_rounds=False,
    ),
    "listing": Part(
        "A thousand experiments on the disk",
        "`list`, `show` and `watch`, in processes of their own.",
        "listing.py",
    ),
    "checkpoints": Part(
        "Checkpoints",
        "What saving costs of the time of training, at the default frequency.",
        "checkpoint.py",
    ),
    "trackers": Part(
        "Trackers",
        "All three told while training goes on, beside none.",
        "trackers.py",
    ),
}


def measured(part: Part, rounds: int, peers: str | None) -> str:
    """The section, measured now."""
    options = list(part.options)
    options += ["--rounds", str(rounds)] if part.takes_rounds else []
    options += ["--peers", peers] if part.takes_peers and peers else []
    tell(f"{part.program} {' '.join(options)}")
    command = [sys.executable, str(ROOT / "benchmarks" / part.program), *options]
    here = Path(sys.executable).parent  # py-spy lies beside the interpreter
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    rounds_told = ["--rounds", str(rounds)] if part.takes_rounds else []
    shown = " ".join([part.program, *part.options, *rounds_told])
    lines = (line.rstrip() for line in done.stdout.strip().splitlines())
    words = fill(f"{conditions()} `{shown}`:", WIDTH)
    return "\n".join([f"{fill(part.words, WIDTH)}\n", f"{words}\n", "```text", *lines, "```"])


def conditions() -> str:
    """When and on what: no name of a machine or a person."""
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    python = platform.python_version()
    return f"{when}; {processor()}, {CORES} cores, {memory()}; Python {python}, {versions}."


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    found = re.search(r"^model name\s*: (.+)$", told, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def memory() -> str:
    """The machine's memory."""
    import psutil

    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB"


def sections(page: str) -> dict[str, str]:
    """What stands under each heading."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def write(bodies: dict[str, str]) -> None:
    """Write the page in the order of its parts."""
    shown = [
        f"## {part.title}\n\n{bodies[part.title]}\n"
        for part in PARTS.values()
        if part.title in bodies
    ]
    PAGE.write_text("\n".join([INTRODUCTION, *shown]), encoding="utf-8")


def measure_all(names: Sequence[str], rounds: int, peers: str | None) -> None:
    """Measure one part after the other; the page is written after each."""
    bodies = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    for name in names:
        bodies[PARTS[name].title] = measured(PARTS[name], rounds, peers)
        write(bodies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", help="the interpreter of the peers' virtual environment")
    options = parser.parse_args()
    measure_all(options.only, options.rounds, options.peers)


if __name__ == "__main__":
    main()
