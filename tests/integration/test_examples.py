"""The example programs run from a clone, as their docstring says."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
EXAMPLE = "examples/experiment_runner_example.py"

pytestmark = pytest.mark.integration


def run_example(*words: object) -> str:
    """What an example prints when it is started from the project's root with tiny runs."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, *map(str, words), "--steps", "256"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_validation_leaves_nothing(tmp_path: Path) -> None:
    printed = run_example("validation", "--output-dir", tmp_path / "out")

    assert "both arms can be trained" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_recovery_tries_again_with_a_smaller_batch(tmp_path: Path) -> None:
    printed = run_example("recovery", "--output-dir", tmp_path)

    assert "baseline failed: the simulator found no memory" in printed
    assert "batch_size 32 instead of 64 after a failure" in printed
    (folder,) = tmp_path.iterdir()
    assert (folder / "report" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("program", ["sequential", "parallel", "monitoring"])
def test_the_other_programs_print_both_arms_and_the_verdict(program: str, tmp_path: Path) -> None:
    printed = run_example(program, "--output-dir", tmp_path)

    for part in ("baseline: ", "variant: ", "insufficient_evidence: ", "report: "):
        assert f"\n{part}" in f"\n{printed}"
