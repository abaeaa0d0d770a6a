import os
import subprocess
from pathlib import Path

import pytest

from src.experiments.cleaning import (
    WORKSPACE_KINDS,
    Findings,
    Kind,
    Outcome,
    Selection,
    Tree,
    check_workspace,
    find_in_workspace,
    remove_from_workspace,
)
from src.experiments.cleaning.tracked import tracked_files
from src.experiments.domain.errors import StorageError, UsageError

OFFLINE = "wandb/offline-run-20300102_030405-abcd1234"
ONLINE = "wandb/run-20300102_030405-abcd1234"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def put(workspace: Path, *paths: str) -> None:
    for path in paths:
        file = workspace / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content of {path}")


def git(workspace: Path, *words: str) -> None:
    identity = ("-c", "user.name=N", "-c", "user.email=n@example.org")
    environment = {"PATH": os.environ["PATH"], "HOME": str(workspace), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", *identity, *words], cwd=workspace, env=environment, check=True, capture_output=True
    )


def look(workspace: Path) -> Findings:
    with Tree(workspace) as tree:
        return find_in_workspace(tree)


def clean(workspace: Path, *kinds: Kind) -> Outcome:
    with Tree(workspace) as tree:
        findings = find_in_workspace(tree)
        return remove_from_workspace(tree, findings, Selection(frozenset(kinds)))


def found(workspace: Path) -> dict[str, str]:
    return {each.path: each.kind.value for each in look(workspace).candidates}


def kept(workspace: Path) -> dict[str, str]:
    return {each.path: each.why for each in look(workspace).kept}


def test_what_training_leaves_about_is_found_and_nothing_else(workspace: Path) -> None:
    put(
        workspace,
        "train.py",
        "config.yaml",
        "run.json",
        "sprites.npz",
        "logo.svg",
        "notes.ipynb",
        "epoch_3.png",
        "outputs/animation.HTML",
        "outputs/best.pt",
        "src/model/__pycache__/model.cpython-311.pyc",
        f"{ONLINE}/run-abcd1234.wandb",
        f"{ONLINE}/files/media/images/a.png",
        "wandb/settings",
        "wandb/mine/b.txt",
    )

    assert found(workspace) == {
        "epoch_3.png": "figures",
        "outputs/animation.HTML": "figures",
        "outputs/best.pt": "checkpoints",
        "src/model/__pycache__/model.cpython-311.pyc": "caches",
        f"{ONLINE}/run-abcd1234.wandb": "trackers",
        f"{ONLINE}/files/media/images/a.png": "trackers",
    }
    assert kept(workspace) == {}


def test_figures_and_tensors_among_source_and_data_are_kept_and_counted(workspace: Path) -> None:
    put(workspace, "data/raw/1.png", "data/raw/2.png", "data/sprites.pt", "Docs/x.html")
    put(workspace, "app/templates/page.html", "data/__pycache__/x.pyc")

    assert found(workspace) == {"data/__pycache__/x.pyc": "caches"}
    assert kept(workspace) == {
        "Docs/": "kept as source or data (1 file)",
        "app/templates/": "kept as source or data (1 file)",
        "data/": "kept as source or data (3 files)",
    }


def test_folders_that_keep_themselves_are_not_entered(workspace: Path) -> None:
    put(
        workspace,
        ".git/hooks/x.png",
        ".venv/lib/x.png",
        ".cache/x.pt",
        "env/pyvenv.cfg",
        "env/lib/x.html",
        "node_modules/p/x.html",
        "other/.git/config",
        "other/x.png",
        "mlruns/0/artifacts/x.png",
        "results/experiments/pair/experiment_pair.json",
        "results/experiments/pair/report/x.png",
    )
    (workspace / ".git").rename(workspace / ".hidden")

    assert found(workspace) == {}
    assert kept(workspace) == {
        "env/": "installed packages",
        "mlruns/": "the store of another tool",
        "node_modules/": "installed packages",
        "other/": "a repository of its own",
        "results/experiments/pair/": "an experiment: experiments clean pair",
    }


def test_an_offline_run_that_was_never_synced_is_a_kind_of_its_own(workspace: Path) -> None:
    put(workspace, f"{OFFLINE}/run-abcd1234.wandb", f"{OFFLINE}/files/x.yaml")
    put(workspace, f"deep/{OFFLINE}/run-abcd1234.wandb")
    put(workspace, f"deep/{OFFLINE}/run-abcd1234.wandb.synced")

    assert found(workspace) == {
        f"{OFFLINE}/run-abcd1234.wandb": "unsynced",
        f"{OFFLINE}/files/x.yaml": "unsynced",
        f"deep/{OFFLINE}/run-abcd1234.wandb": "trackers",
        f"deep/{OFFLINE}/run-abcd1234.wandb.synced": "trackers",
    }


def test_links_are_no_candidates_but_those_that_wandb_makes(
    workspace: Path, tmp_path: Path
) -> None:
    put(tmp_path, "outside/x.png", f"outside/{ONLINE}/x", "outside/__pycache__/x.pyc")
    put(workspace, f"{ONLINE}/files/x")
    for name in ("x.png", "__pycache__"):
        (workspace / name).symlink_to(tmp_path / "outside" / name)
    (workspace / "deep").symlink_to(tmp_path / "outside")
    (workspace / "wandb" / "latest-run").symlink_to(tmp_path / "outside")
    (workspace / ONLINE / "files" / "saved").symlink_to(tmp_path / "outside" / "x.png")

    assert found(workspace) == {
        f"{ONLINE}/files/x": "trackers",
        f"{ONLINE}/files/saved": "trackers",
        "wandb/latest-run": "trackers",
    }
    assert len(clean(workspace, *WORKSPACE_KINDS).removed) == 3
    assert sorted(each.name for each in workspace.iterdir()) == ["__pycache__", "deep", "x.png"]
    assert (tmp_path / "outside" / "x.png").read_text() == "content of outside/x.png"


def test_special_files_are_no_candidates(workspace: Path) -> None:
    put(workspace, f"{ONLINE}/x")
    os.mkfifo(workspace / "x.png")
    os.mkfifo(workspace / ONLINE / "pipe")

    assert set(found(workspace)) == {f"{ONLINE}/x"}
    clean(workspace, *WORKSPACE_KINDS)
    assert (workspace / ONLINE / "pipe").is_fifo()


def test_only_what_is_selected_goes_with_the_folders_of_caches_and_runs(workspace: Path) -> None:
    put(workspace, "plots/a.png", "m/__pycache__/a.pyc", f"{ONLINE}/files/media/a.png", "a.pt")
    (workspace / ONLINE / "tmp" / "code").mkdir(parents=True)

    outcome = clean(workspace, Kind.FIGURES, Kind.CACHES, Kind.TRACKERS)

    assert len(outcome.removed) == 3
    assert sorted(str(path.relative_to(workspace)) for path in workspace.rglob("*")) == [
        "a.pt",
        "m",
        "plots",
    ]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_run_that_a_process_is_writing_stays_with_the_links_to_it(workspace: Path) -> None:
    put(workspace, f"{ONLINE}/run-abcd1234.wandb", f"{ONLINE}/files/x", f"other/{ONLINE}/x")
    for folder in (workspace, workspace / "other"):
        (folder / "wandb" / "latest-run").symlink_to(Path(ONLINE).name)

    with (workspace / ONLINE / "run-abcd1234.wandb").open("a"):
        assert kept(workspace) == {f"{ONLINE}/": f"in use by process {os.getpid()}"}
        assert set(found(workspace)) == {f"other/{ONLINE}/x", "other/wandb/latest-run"}


# ---- git


def test_what_git_tracks_is_never_removed(workspace: Path) -> None:
    put(workspace, "logo.png", "new.png", "weights.pt", "sub/ünï\ncode.png", f"{ONLINE}/x")
    git(workspace, "init", "--quiet")
    git(workspace, "add", "logo.png", "weights.pt", "sub", ONLINE)
    git(workspace, "commit", "--quiet", "-m", "x")
    git(workspace, "rm", "--quiet", "--cached", "weights.pt")

    assert set(found(workspace)) == {"new.png", "weights.pt"}
    assert kept(workspace) == dict.fromkeys(
        ("logo.png", "sub/ünï\ncode.png", f"{ONLINE}/x"), "tracked by git"
    )


def test_git_is_asked_from_a_folder_of_the_repository_too(workspace: Path) -> None:
    put(workspace, "part/logo.png", "part/new.png")
    git(workspace, "init", "--quiet")
    git(workspace, "add", "part/logo.png")

    assert tracked_files(workspace / "part") == {"logo.png"}
    assert set(found(workspace / "part")) == {"new.png"}


def test_outside_a_repository_git_is_not_asked(workspace: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(workspace))
    assert tracked_files(workspace) == frozenset()


@pytest.mark.parametrize("damage", ["no git", "no repository"])
def test_where_git_does_not_tell_nothing_is_removed(
    workspace: Path, monkeypatch, damage: str
) -> None:
    put(workspace, "logo.png")
    git(workspace, "init", "--quiet")
    if damage == "no git":
        monkeypatch.setenv("PATH", str(workspace))
    else:
        (workspace / ".git" / "HEAD").write_text("nonsense")
        (workspace / ".git" / "index").write_text("nonsense")

    with pytest.raises(StorageError, match="git does not say which files it tracks: "):
        clean(workspace, *WORKSPACE_KINDS)
    assert (workspace / "logo.png").exists()


def test_asking_git_runs_nothing_of_the_repository(workspace: Path, monkeypatch) -> None:
    put(workspace, "logo.png")
    git(workspace, "init", "--quiet")
    git(workspace, "add", "logo.png")
    hook = workspace / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {workspace}/was_run\n")
    hook.chmod(0o700)
    git(workspace, "config", "core.fsmonitor", str(hook))
    git(workspace, "config", "core.pager", str(hook))
    git(workspace, "config", "alias.ls-files", f"!{hook}")
    monkeypatch.setenv("GIT_DIR", str(workspace / "elsewhere"))
    monkeypatch.setenv("GIT_TRACE", str(workspace / "trace"))

    assert tracked_files(workspace) == {"logo.png"}
    assert not (workspace / "was_run").exists()
    assert not (workspace / "trace").exists()


# ---- what is no workspace


def test_everything_that_a_person_has_is_no_workspace(workspace: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(workspace))
    for directory in (workspace, Path("/")):
        with pytest.raises(UsageError, match="name a project directory"):
            check_workspace(directory)


def test_an_experiments_directory_is_none_either(workspace: Path) -> None:
    put(workspace, "experiment_project.json")
    with pytest.raises(UsageError, match="experiments clean project --output-dir"):
        check_workspace(workspace)
