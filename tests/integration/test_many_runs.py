"""What the orchestrator spends at the end does not grow with the number of runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MOST_MB = 300.0
"""Above what the process had before; most of it are the libraries that draw and test."""
MOST_MB_PER_RUN = 0.1
"""A result is kept in memory, with its evaluations."""


def derive(folder, runs, rows=200, metrics=25):
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.integration.many_runs",
            folder,
            *map(str, (runs, rows, metrics)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(output.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc for the memory")
def test_memory_is_bounded_however_many_runs_there_are(tmp_path):
    few = derive(tmp_path / "few", 10)
    many = derive(tmp_path / "many", 300)

    assert many["store_mb"] < MOST_MB
    assert many["store_mb"] - few["store_mb"] < 290 * MOST_MB_PER_RUN
    assert many["report_mb"] - few["report_mb"] < 290 * MOST_MB_PER_RUN
