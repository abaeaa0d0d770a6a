"""A bad experiment file on the real command line: exit 2, the message, no trace, no torch."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_configs.builders import AWKWARD, FOLDER, expected_message

FILES = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
SAMPLE = ["everything_at_once", "fifo"]
ALL = sorted({*FILES, *AWKWARD})
LONGEST_CPU_SECONDS = 2.0
"""Of processor time, which is the same however busy the machine is."""


def refuse(name, folder):
    """Run the file of that name in an empty folder; the refusal as the terminal shows it."""
    if name in AWKWARD:
        path = folder / f"{name}.json"
        AWKWARD[name](path)
    else:
        path = FILES[name]
    before = {entry.name for entry in folder.iterdir()}
    command = [sys.executable, "-m", "src.experiments.runner", "--config", str(path)]
    used = cpu_seconds_of_children()
    done = subprocess.run(
        [*command, "--output-dir", str(folder / "results")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert cpu_seconds_of_children() - used < LONGEST_CPU_SECONDS
    assert {entry.name for entry in folder.iterdir()} == before
    assert (done.returncode, done.stdout) == (2, "")
    return path, done.stderr


def cpu_seconds_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
