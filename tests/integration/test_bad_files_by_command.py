"""A bad experiment file on the real command line: exit 2, the message, no trace, no torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_configs.builders import AWKWARD, FOLDER, expected_message
from tests.waiting import HANG_SECONDS

FILES = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
SAMPLE = ["everything_at_once", "fifo"]
ALL = sorted({*FILES, *AWKWARD})
HEAVY = {"torch", "stable_baselines3", "sb3_contrib", "scipy", "matplotlib"}
IMPORTED = re.compile(r"^import time:[^|]*\|[^|]*\| *(\S+)\n", re.MULTILINE)
"""A line of what the interpreter tells of its imports."""


def refuse(name, folder):
    """Run the file of that name in an empty folder; the refusal as the terminal shows it."""
    if name in AWKWARD:
        path = folder / f"{name}.json"
        AWKWARD[name](path)
    else:
        path = FILES[name]
    before = {entry.name for entry in folder.iterdir()}
    # by an option, for of a variable the process that imports training ahead would tell as well
    python = [sys.executable, "-X", "importtime"]
    command = [*python, "-m", "src.experiments.runner", "--config", str(path)]
    done = subprocess.run(
        [*command, "--output-dir", str(folder / "results")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    stderr = re.sub(r"^import time:.*\n", "", done.stderr, flags=re.MULTILINE)

    assert "pydantic" in set(IMPORTED.findall(done.stderr)), "imports are told"
    assert not HEAVY & set(IMPORTED.findall(done.stderr))
    assert {entry.name for entry in folder.iterdir()} == before
    assert (done.returncode, done.stdout) == (2, "")
    return path, stderr


def check(name, folder):
    path, stderr = refuse(name, folder)
    first, *problems = expected_message(name, path).splitlines()

    assert stderr.splitlines()[0] == f"error: {first.removeprefix(f'{path}: ')} in {path}"
    assert [line.strip() for line in stderr.splitlines()[1:]] == [p.strip() for p in problems]
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", [name for name in SAMPLE if name in ALL])
def test_a_bad_file_ends_in_its_message_and_exit_2(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_bad_file_ends_in_its_message_and_exit_2(name, tmp_path):
    check(name, tmp_path)
