"""What each storage policy leaves of the quickstart pair, of one seed, measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

from ..doubles.remotes import WandbRemote
from ..doubles.wandb_files import read_offline_run

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MEBIBYTE = 2**20
FOLDERS_OF_ALL = {"artifacts", "checkpoints", "config", "logs", "metrics", "models", "provenance"}
SIGNS = {".lock", ".ends", ".ledger.json.lock", ".wandb.lock"}
"""Locks, and the wish that telling ends: a few bytes each."""
LEFT_BY_TRACKER_ONLY = {
    "cleaned.json",
    "elsewhere.json",
    "experiment_quickstart.json",
    "manifest.json",
    "provenance/command.txt",
    "provenance/experiment_file.json",
    "provenance/git_commit.txt",
    "provenance/hardware.json",
    "provenance/packages.txt",
    "provenance/provenance.json",
    "provenance/uncommitted.diff",
    "provenance/untracked.diff",
    "results.json",
    "runs/baseline_seed42/result.json",
    "runs/variant_seed42/result.json",
    "tracking/ledger.json",
}


def quickstart(folder: Path, *options: str, environment: dict[str, str] | None = None) -> str:
    words = ["run", str(ROOT / "configs" / "quickstart.json"), "seeds=1", "--resume", *options]
    done = subprocess.run(
        [sys.executable, "-m", "src.experiments", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def left(folder: Path) -> dict[str, int]:
    """The files below an experiment that are no lock, with their sizes."""
    root = folder / "results" / "experiments" / "quickstart"
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in SIGNS]
    return {str(path.relative_to(root)): path.stat().st_size for path in files}


@contextmanager
def served(folder: Path) -> Iterator[tuple[WandbRemote, dict[str, str]]]:
    home = folder / "server"
    home.mkdir()
    with WandbRemote(home) as remote:
        yield remote, dict(remote.environment)


def test_standard_keeps_everything(tmp_path: Path) -> None:
    with served(tmp_path) as (remote, environment):
        quickstart(tmp_path, "--wandb", environment=environment)

        assert len(remote.statuses()) == 2
    files = left(tmp_path)
    assert {name.partition("/")[0] for name in files} >= FOLDERS_OF_ALL | {"report", "wandb"}
    assert {"models/baseline_model_final.zip", "report/learning_curves.png"} <= set(files)
    assert any(name.startswith("wandb/run-") for name in files)


def test_hybrid_keeps_all_but_figures(tmp_path: Path) -> None:
    with served(tmp_path) as (_, environment):
        quickstart(tmp_path, "--wandb", "--disable-local-files", environment=environment)
    files = left(tmp_path)

    assert {name.partition("/")[0] for name in files} >= FOLDERS_OF_ALL | {"report", "wandb"}
    assert "models/variant_model_final.zip" in files
    assert not [name for name in files if name.startswith("report/") and name.endswith("g")]


def test_hybrid_without_trackers_makes_no_figures(tmp_path: Path) -> None:
    quickstart(tmp_path, "--disable-local-files")

    files = left(tmp_path)
    assert sorted(name for name in files if name.startswith("report/")) == [
        "report/index.html",
        "report/report.md",
    ]


def test_tracker_only_leaves_results_and_where_the_rest_is(tmp_path: Path) -> None:
    with served(tmp_path) as (remote, environment):
        told = quickstart(tmp_path, "--wandb-only", environment=environment)
        again = quickstart(tmp_path, "--wandb-only", environment=environment)

        assert [status for _, status in remote.statuses()] == ["finished", "finished"]
    files = left(tmp_path)
    assert set(files) == LEFT_BY_TRACKER_ONLY
    assert sum(files.values()) < MEBIBYTE
    root = tmp_path / "results" / "experiments" / "quickstart"
    pointer = json.loads((root / "elsewhere.json").read_text())
    for run in ("baseline_seed42", "variant_seed42"):
        assert pointer["trackers"]["wandb"]["runs"][run]["url"] in told
    assert "was already complete" in again
    assert set(left(tmp_path)) == LEFT_BY_TRACKER_ONLY


def test_tracker_only_offline_leaves_a_small_buffer(tmp_path: Path) -> None:
    told = quickstart(tmp_path, "--wandb-only", "--wandb-offline")

    files = left(tmp_path)
    buffer = {name: size for name, size in files.items() if name.startswith("wandb/offline-run-")}
    assert set(files) - set(buffer) == LEFT_BY_TRACKER_ONLY
    assert sum(files.values()) < MEBIBYTE
    assert 20_000 < sum(buffer.values()) < 80_000
    assert "wandb sync " in told
    root = tmp_path / "results" / "experiments" / "quickstart"
    runs = [read_offline_run(folder) for folder in (root / "wandb").glob("offline-run-*")]
    assert [run.group for run in runs] == ["quickstart", "quickstart"]
    assert all(run.exit_code == 0 and len(run.history) >= 8 for run in runs)
