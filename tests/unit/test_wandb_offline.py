"""Offline runs of Weights & Biases on the disk, and the temporary folder beside them."""

import shlex
import subprocess
from pathlib import Path

import pytest

from src.experiments.tracking.wandb.offline import (
    offline_folders,
    remove_offline_folders,
    tidy_folder,
    wandb_sync_command,
)

UID = "0123456789abcdef"


def offline_run(directory: Path, name: str, uid: str = UID) -> Path:
    folder = directory / "wandb" / name
    folder.mkdir(parents=True)
    (folder / f"run-{uid}.wandb").write_text("records")
    return folder


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "-dash", "$(touch x)"])
def test_the_printed_command_names_the_folders_to_a_shell(tmp_path, name):
    run = offline_run(tmp_path / name, f"offline-run-20260101_000000-{UID}")
    command = wandb_sync_command(Path(name))
    said = subprocess.run(
        ["sh", "-c", command.replace("wandb sync", "printf '%s\\n'", 1)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert shlex.split(command)[:2] == ["wandb", "sync"]
    assert [Path(tmp_path, line) for line in said.stdout.splitlines()] == [run]


def test_the_folders_of_a_run_are_those_of_its_id_alone(tmp_path):
    first = offline_run(tmp_path, f"offline-run-20260101_000000-{UID}")
    second = offline_run(tmp_path, f"offline-run-20260101_000000-{UID}-1")
    offline_run(tmp_path, "offline-run-20260101_000000-fedcba9876543210", "fedcba9876543210")
    offline_run(tmp_path, f"run-20260101_000000-{UID}")
    (tmp_path / "wandb" / f"offline-run-20260102_000000-{UID}").mkdir()

    assert offline_folders(tmp_path, UID) == [first, second]


def test_a_link_to_a_folder_is_not_removed_nor_what_it_leads_to(tmp_path):
    elsewhere = offline_run(tmp_path / "elsewhere", f"offline-run-20260101_000000-{UID}")
    link = tmp_path / "wandb" / elsewhere.name
    link.parent.mkdir()
    link.symlink_to(elsewhere)
    remove_offline_folders(tmp_path, UID)

    assert link.is_symlink()
    assert (elsewhere / f"run-{UID}.wandb").exists()


def test_a_buffer_keeps_what_an_upload_needs(tmp_path):
    run = offline_run(tmp_path, f"offline-run-20260101_000000-{UID}")
    for name in ("logs", "tmp/code", "files/media/table"):
        (run / name).mkdir(parents=True)
    (run / "logs" / "debug.log").touch()
    (run / "logs" / "debug-core.log").symlink_to("/nowhere")
    (run / "files" / "media" / "table" / "a.json").touch()
    tidy_folder(run, keeps_logs=False)

    left = sorted(str(path.relative_to(run)) for path in run.rglob("*") if not path.is_dir())
    assert left == ["files/media/table/a.json", f"run-{UID}.wandb"]
    assert not (run / "tmp").exists()


def test_a_kept_folder_loses_only_the_link_that_leads_nowhere(tmp_path):
    run = offline_run(tmp_path, f"offline-run-20260101_000000-{UID}")
    (run / "logs").mkdir()
    (run / "logs" / "debug.log").touch()
    (run / "logs" / "debug-core.log").symlink_to("/nowhere")
    tidy_folder(run, keeps_logs=True)

    assert [path.name for path in (run / "logs").iterdir()] == ["debug.log"]
