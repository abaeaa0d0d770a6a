"""``experiments clean`` as a user meets it: lists, questions, and an experiment that goes on."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from src.experiments.cli.app import main
from src.experiments.durability.lock import FileLock
from tests.unit.experiments_to_clean import COPIES, MODELS, OFFLINE_RUN, Written, write_experiment
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "src.experiments"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_experiment(tmp_path_factory.mktemp("template"))


@pytest.fixture
def written(template: Written, tmp_path: Path) -> Written:
    return template.copy(tmp_path)


@pytest.fixture
def clean(written: Written) -> Callable[..., int]:
    def call(*words: str) -> int:
        return main(["clean", "pair", "--output-dir", str(written.output_dir), *words])

    return call


# ---- listing


def test_without_a_selection_it_lists_and_says_what_selects(clean, written, capsys) -> None:
    before = written.files()

    assert clean() == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "files", "size", "option", "what"]
    assert lines[2].split()[:5] == ["models", "2", "0", "KiB", "--models"]
    options = "--models, --figures, --checkpoints, --logs, --all"
    assert lines[-1] == f"nothing is removed; select with {options}"
    assert written.files() == before


def test_without_a_terminal_nothing_is_removed_unless_that_is_confirmed(
    clean, written, capsys
) -> None:
    before = written.files()

    assert clean("--models") == 0
    assert "nothing is removed without --yes: 4 files, 0 KiB" in capsys.readouterr().out
    assert written.files() == before

    assert clean("--models", "--yes") == 0
    assert "removed 4 files, 0 KiB" in capsys.readouterr().out
    assert before - written.files() == MODELS | COPIES


def test_a_dry_run_only_lists(clean, written, capsys) -> None:
    before = written.files()

    assert clean("--all", "--yes", "--dry-run") == 0

    assert re.search(r"records +\d+ +\d+ KiB +remove +--all", capsys.readouterr().out)
    assert written.files() == before


def test_what_stays_is_named_and_steers_no_terminal(clean, written, capsys) -> None:
    written.put("evil\x1b[2J\nname")
    for number in range(7):
        written.put(f"notes_{number}.md")
    written.put("models/variant_model_final.zip", "changed by somebody")

    assert clean("--models") == 0
    out = capsys.readouterr().out
    assert "stays    evil\\x1b[2J\\nname, notes_0.md, notes_1.md, notes_2.md, notes_3.md" in out
    assert " and 3 more: not part of the experiment\n" in out
    assert "models/variant_model_final.zip: differs from the manifest; --changed" in out

    assert clean("--models", "-v") == 0
    assert "notes_6.md: not part of the experiment\n" in capsys.readouterr().out


def test_a_program_gets_one_object(clean, written, capsys) -> None:
    written.put("notes\x1b.md")
    written.put(f"{OFFLINE_RUN}/run-abcd1234.wandb", "four")

    assert clean("--figures", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert clean("--figures", "--json", "--yes") == 0
    out = capsys.readouterr().out
    removed = json.loads(out)

    assert "\x1b" not in out
    assert listed["removed"] is None
    assert listed["kinds"]["unsynced"] == {"files": 1, "bytes": 4, "selected": False}
    assert listed["kinds"]["figures"]["selected"]
    assert removed["removed"]["files"] == 3
    assert removed["removed"] == {
        name: listed["kinds"]["figures"][name] for name in ("files", "bytes")
    }
    assert removed["kept"] == [
        {"path": "notes\x1b.md", "why": "not part of the experiment", "option": None}
    ]
    assert (removed["experiment_id"], removed["exit_code"], removed["failed"]) == ("pair", 0, [])


def test_offline_runs_have_to_be_chosen_as_such(clean, written, capsys) -> None:
    written.put(f"{OFFLINE_RUN}/run-abcd1234.wandb")

    assert clean("--all", "--yes") == 0
    out = capsys.readouterr().out
    assert re.search(r"unsynced +1 +0 KiB +keep +--unsynced +offline W&B runs", out)
    assert "pair is still there, with what is left of it" in out

    assert clean("--all", "--unsynced", "--yes") == 0
    assert "pair is gone" in capsys.readouterr().out
    assert list(written.output_dir.iterdir()) == []


def test_a_removed_experiment_is_listed_no_more(clean, written, capsys) -> None:
    written.put("notes.md")
    clean("--all", "--yes")
    capsys.readouterr()

    main(["list", "--output-dir", str(written.output_dir), "--json"])
    assert json.loads(capsys.readouterr().out)["experiments"] == []
    assert written.files() == {"notes.md"}


# ---- refusals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "neither an id nor --workspace given"),
        (["pair", "--workspace", "."], "both an id and --workspace given"),
        (["pair", "--yes"], "--yes does not say what to remove"),
        (["other", "--all"], "no experiment other exists"),
        (["../pair", "--all"], "experiment id '../pair' is not allowed"),
        (
            ["--workspace", ".", "--models", "--changed"],
            "--models, --changed cannot be combined with",
        ),
        (["--workspace", "/", "--all"], "this is a home directory, or the root of the file system"),
        (["--workspace", "/absent", "--all"], "the directory cannot be opened: No such file"),
    ],
)
def test_what_makes_no_sense_is_refused(written, capsys, words: list[str], message: str) -> None:
    before = written.files()
    assert main(["clean", *words, "--output-dir", str(written.output_dir)]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert written.files() == before


def test_a_locked_experiment_is_refused_by_its_own_code(clean, written, capsys) -> None:
    before = written.files()
    with FileLock(written.paths.lock):
        assert clean("--all") == 0
        assert clean("--all", "--yes") == 3
    assert "locked by another process" in capsys.readouterr().err
    assert written.files() == before


def test_a_hostile_manifest_is_refused(clean, written, capsys) -> None:
    manifest = json.loads(written.paths.manifest.read_text())
    manifest["files"][0]["path"] = "../\x1b[2J"
    written.paths.manifest.write_text(json.dumps(manifest))
    before = written.files()

    assert clean("--all", "--yes") == 1

    assert "'../\\x1b[2J' is not a path inside the experiment" in capsys.readouterr().err
    assert written.files() == before


def test_what_could_not_be_removed_is_named_and_fails(clean, written, capsys, monkeypatch) -> None:
    from src.experiments.cleaning import Tree

    unlink = Tree.unlink

    def refuse(tree: Tree, path: str, expected: object = None) -> None:
        if path.endswith("curves.png"):
            raise PermissionError(1, "Operation not permitted")
        unlink(tree, path, expected)

    monkeypatch.setattr(Tree, "unlink", refuse)

    assert clean("--figures", "--yes") == 1
    out = capsys.readouterr().out
    assert "removed 2 files" in out
    assert "problem  report/curves.png: Operation not permitted" in out


# ---- a workspace


def test_a_workspace_is_cleaned_by_kind(tmp_path: Path, capsys) -> None:
    for name in ("plot.png", "model.pt", "train.py", "__pycache__/train.cpython-311.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("content")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frame.png").write_text("content")
    words = ["clean", "--workspace", str(tmp_path)]

    assert main(words) == 0
    out = capsys.readouterr().out
    assert "nothing is removed; select with --figures, --checkpoints, --caches" in out
    assert "stays    data/: kept as source or data (1 file)" in out

    assert main([*words, "--figures", "--caches", "--yes"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "model.pt", "train.py"]
    assert main([*words, "--all", "--yes"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "train.py"]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith("nothing to remove\n")


# ---- a terminal


class Terminal:
    """The command on a pseudo-terminal."""

    def __init__(self, *words: str) -> None:
        self._file, inside = pty.openpty()
        environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [*PROGRAM, "clean", *words],
            cwd=ROOT,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment,
            start_new_session=True,
        )
        os.close(inside)
        self.output = ""

    def read_until(self, text: str) -> None:
        end = time.monotonic() + HANG_SECONDS
        while text not in self.output:
            assert time.monotonic() < end, self.output
            assert self._read(), self.output

    def answer(self, text: str) -> int:
        os.write(self._file, f"{text}\n".encode())
        return self.end()

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._file)
        return self.process.wait(HANG_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._file], [], [], HANG_SECONDS)
        try:
            data = os.read(self._file, 65536) if ready else b""
        except OSError:  # how Linux tells that nobody holds the other end
            data = b""
        self.output += data.decode()
        return bool(data)


@pytest.fixture
def terminal(written: Written) -> Terminal:
    terminal = Terminal("pair", "--output-dir", str(written.output_dir), "--models")
    terminal.read_until("remove 4 files, 0 KiB? [y/N] ")
    return terminal


@pytest.mark.parametrize(("answer", "gone"), [("y", MODELS | COPIES), ("", set()), ("no", set())])
def test_on_a_terminal_it_asks(terminal, written, answer: str, gone: set[str]) -> None:
    before = written.files()

    assert terminal.answer(answer) == 0

    assert before - written.files() == gone
    assert ("removed 4 files" if gone else "nothing is removed") in terminal.output


def test_an_interrupt_at_the_question_removes_nothing(terminal, written) -> None:
    before = written.files()
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == -signal.SIGINT
    assert written.files() == before


# ---- an experiment that was really trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of a tiny pair that has been trained."""
    folder = tmp_path_factory.mktemp("trained")
    arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 128, "seed": 7}
    content = {
        "experiment_id": "tiny_pair",
        "baseline_config": {**arm, "hyperparameters": {"n_steps": 64, "n_epochs": 1}},
        "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}},
        "evaluation": {"frequency": 64, "episodes": 1, "final_episodes": 1},
        "checkpoint": {"frequency": 64},
        "trackers": ["tensorboard"],
    }
    file = folder / "exp.json"
    file.write_text(json.dumps(content))
    run("run", "--config", str(file), folder=folder)
    return folder


def run(*words: str, folder: Path) -> str:
    command = [*PROGRAM, *words, "--output-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.integration
@pytest.mark.slow
def test_a_cleaned_experiment_is_complete_and_trains_only_what_is_new(trained: Path) -> None:
    root = trained / "tiny_pair"
    before = json.loads((root / "results.json").read_text())
    listed = json.loads(run("clean", "tiny_pair", "--json", folder=trained))
    assert listed["kept"] == []
    assert {"models", "figures", "checkpoints", "trackers", "logs", "records"} <= set(
        listed["kinds"]
    )

    selected = ("--models", "--figures", "--checkpoints", "--trackers", "--logs", "--yes")
    run("clean", "tiny_pair", *selected, folder=trained)
    assert not list(root.rglob("*.zip"))
    left = sorted(path for path in root.rglob("*"))

    [entry] = json.loads(run("list", "--json", folder=trained))["experiments"]
    assert (entry["status"], entry["runs_done"]) == ("completed", 2)
    assert "tiny_pair" in run("show", "tiny_pair", folder=trained)

    told = run("run", "--experiment-id", "tiny_pair", folder=trained)
    assert "tiny_pair was already complete" in told
    assert sorted(path for path in root.rglob("*")) == left

    words = ("--override-design", "--set", "seeds=[7,8]")
    run("run", "--experiment-id", "tiny_pair", *words, folder=trained)
    after = {
        (each["arm"], each["seed"]): each
        for each in json.loads((root / "results.json").read_text())["runs"]
    }
    for each in before["runs"]:
        assert after[each["arm"], 7]["parameters_sha256"] == each["parameters_sha256"]
        assert after[each["arm"], 7]["attempts"] == 1
        assert (root / "models" / f"{each['arm']}_seed8_model_final.zip").exists()
        assert not list((root / "runs" / f"{each['arm']}_seed7").glob("attempt-2"))
