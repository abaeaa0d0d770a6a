"""Python finds the recreated code before anything of the user's working tree."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from src.experiments.domain.errors import UsageError
from src.experiments.reproduction.places import at_hand, in_worktree

from .recorded_provenance import PROGRAM, recorded

ROOT = PROGRAM.parents[1]


def test_the_roots_of_modules_come_first_and_this_program_last(tmp_path):
    for name in ("src", "lib", "elsewhere"):
        (tmp_path / name).mkdir()
    told = recorded(
        import_roots=(".", "src", "absent"), imports_elsewhere=(str(tmp_path / "elsewhere"),)
    )

    place = in_worktree(told, tmp_path)

    expected = [tmp_path, tmp_path / "src", tmp_path / "elsewhere", ROOT]
    assert [Path(entry) for entry in place.search_path] == expected
    assert (place.directory, place.runner) == (tmp_path, "src.experiments.runner")
    assert place.remarks == ()


def test_it_runs_where_it_was_started(tmp_path):
    told = recorded()
    place = in_worktree(replace(told, code=replace(told.code, prefix="studies/")), tmp_path)

    assert place.directory == tmp_path / "studies"
    assert place.directory.is_dir()
    assert place.search_path[0] == str(tmp_path / "studies")


@pytest.mark.parametrize(("package", "root"), [("src.experiments", "."), ("experiments", "src")])
def test_the_program_in_the_repository_is_used_under_its_name(tmp_path, package, root):
    folder = tmp_path / "src" / "experiments"
    folder.mkdir(parents=True)
    (folder / "runner.py").write_text("x = 1\n")
    program = {"package": package, "directory": "src/experiments", "sha256": "other"}

    place = in_worktree(recorded(program=program), tmp_path)

    assert place.runner == f"{package}.runner"
    assert Path(place.search_path[0]) == tmp_path / root
    assert str(ROOT) not in place.search_path
    (remark,) = place.remarks
    assert "the recreated program is not the one that trained" in remark


def test_another_version_of_this_program_and_submodules_are_remarked(tmp_path):
    (tmp_path / ".gitmodules").write_text("")
    program = {"package": "src.experiments", "directory": None, "sha256": "other"}

    remarks = in_worktree(recorded(program=program), tmp_path).remarks

    assert "this program, as it is here, is not the one that trained" in remarks[0]
    assert "submodules" in remarks[1]


def test_a_module_that_was_in_the_repository_and_was_not_recorded_is_named(tmp_path):
    told = recorded(modules={"windy": "envs/windy.py", "minigrid": None})
    with pytest.raises(UsageError, match="module windy is not in the recreated code: envs/windy"):
        in_worktree(told, tmp_path)

    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "windy.py").touch()
    assert in_worktree(told, tmp_path)


def test_the_code_at_hand_is_found_as_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    place = at_hand(recorded())

    assert (place.directory, len(place.search_path)) == (tmp_path, len(sys.path))


def test_no_tracker_is_told_and_nothing_else_is_changed(tmp_path):
    place = in_worktree(recorded(), tmp_path)

    environment = place.environment({"HOME": "/home", "PYTHONPATH": "/mine", "USE_CLEARML": "1"})

    assert environment == {
        "HOME": "/home",
        "USE_CLEARML": "false",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
