"""Tasks of modules that the command line allowed: what is wrong with one is told by its name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.domain.errors import TrainingError
from src.experiments.tasks import dialogue, facts_of, make_task

RIDDLES = """
import os


class Riddle:
    opening = "2?"
    reward = 0.0
    text = "two"

    def __str__(self):
        return self.text

    def reply(self, said):
        self.reward = {reward}
        return {reply}


class Riddles:
    turns = 2
    instructions = "Answer."
    alphabet = "012?"
    {attributes}

    def __init__(self, largest=1):
        {constructor}

    def begin(self, rng, *, held_out):
        riddle = Riddle()
        riddle.text = "late" * held_out + str(rng.random())
        {begin}
        return riddle

    def demonstrate(self, rng):
        return {demonstration}
"""
RIGHT = {
    "reward": "1.0",
    "reply": "None",
    "attributes": "",
    "constructor": "pass",
    "begin": "pass",
    "demonstration": "['2?', '1']",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a module of tasks, in a package of packages."""
    folder = tmp_path / "lib" / "my_lab" / "language"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    yield folder
    for name in [each for each in sys.modules if each.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


NAME, MODULE = "my_lab.language.tasks:Riddles", "my_lab.language.tasks"


def write(package: Path, **changed: str) -> None:
    (package / "tasks.py").write_text(RIDDLES.format(**{**RIGHT, **changed}))


def validate(tmp_path: Path, *flags: str, settings: dict[str, Any] | None = None) -> int:
    arm = {
        "algorithm": "GRPO",
        "environment": NAME,
        "environment_kwargs": settings or {},
        "hyperparameters": {"num_generations": 4, "per_device_train_batch_size": 8},
        "training_steps": 4,
    }
    document = {
        "baseline_config": arm,
        "variant_config": {"extends": "baseline", "algorithm": "DR_GRPO"},
    }
    path = tmp_path / "exp.json"
    path.write_text(json.dumps(document))
    return main(["validate", "--schema-only", str(path), *flags])


ALLOWED = ("--allow-env-module", MODULE)


def test_a_task_of_a_dotted_module_is_allowed_by_name(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(package)

    assert validate(tmp_path) == 2
    assert f"allow it with --allow-env-module {MODULE}" in capsys.readouterr().err
    assert validate(tmp_path, *ALLOWED) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"constructor": "raise KeyError('places')"}, "KeyError: 'places'"),
        ({"constructor": "raise SystemError"}, "SystemError"),
        ({"constructor": "self.turns = 0"}, "turns must be a whole number of at least 1, not 0"),
        ({"attributes": "turns = True"}, "turns must be a whole number of at least 1, not True"),
        ({"attributes": "instructions = 3"}, "instructions must be a text, not 3"),
        ({"attributes": "alphabet = ''"}, "alphabet is missing or empty"),
        ({"attributes": "alphabet = None"}, "alphabet must be a text, not None"),
        ({"begin": "raise LookupError('no riddle')"}, "begin raised LookupError: no riddle"),
        ({"begin": "if held_out: raise LookupError('none')"}, "begin raised LookupError: none"),
        ({"begin": "return 3"}, "the opening of a problem raised AttributeError"),
        ({"begin": "Riddle.opening = ''"}, "opening must be a text that is not empty"),
        ({"begin": "Riddle.reward = float('nan')"}, "reward must be a finite number, not nan"),
        ({"begin": "Riddle.reward = '1'"}, "reward must be a finite number, not '1'"),
        ({"begin": "riddle.facts = lambda: {'hints': 1 / 0}"}, "facts raised ZeroDivisionError"),
        ({"begin": "riddle.facts = lambda: 3"}, "facts must be finite numbers by name, not 3"),
        ({"begin": "riddle.facts = lambda: {'a b': 3}"}, "facts must be finite numbers by name"),
        ({"begin": "riddle.facts = lambda: {'a': '3'}"}, "facts must be finite numbers by name"),
        ({"demonstration": "['2?', '3']"}, "alphabet lacks characters of its texts: ['3']"),
        ({"begin": "Riddle.opening = '5?'"}, "alphabet lacks characters of its texts: ['5']"),
        ({"reply": "'7'"}, "alphabet lacks characters of its texts: ['7']"),
        ({"reply": "'7' * (said != '1')"}, "alphabet lacks characters of its texts: ['7']"),
        ({"begin": "riddle.text = str((held_out, os.urandom(9)))"}, "another problem when a seed"),
        ({"begin": "riddle.opening = '01'[os.urandom(1)[0] % 2]"}, "another problem when a seed"),
        ({"begin": "riddle.text = str(rng.random())"}, "begin draws the same problem for training"),
        ({"begin": "riddle.text = '2'"}, "begin draws the same problem for training"),
        ({"demonstration": "['2?']"}, "demonstrate must return a list of texts"),
        ({"demonstration": "'2?'"}, "demonstrate must return a list of texts"),
        ({"demonstration": "1 / 0"}, "demonstrate raised ZeroDivisionError"),
        (
            {"attributes": "begin = None; _ = '''", "demonstration": "1'''"},
            "is not a language task",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_a_line_with_the_task_s_name(
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, str],
    message: str,
) -> None:
    write(package, **changed)

    assert validate(tmp_path, *ALLOWED) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "/baseline_config/environment: " in told[1]
    assert NAME in told[1]
    assert message in told[1]


def test_settings_that_are_not_right_are_refused_at_their_place(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(package)

    assert validate(tmp_path, *ALLOWED, settings={"biggest": 3}) == 2
    told = capsys.readouterr().err
    assert "/baseline_config/environment_kwargs: the task" in told
    assert NAME in told


def test_a_module_that_cannot_be_imported_is_refused(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "tasks.py").write_text("raise OSError('no riddles today')")

    assert validate(tmp_path, *ALLOWED) == 2
    assert "no riddles today; install or correct the module" in " ".join(
        capsys.readouterr().err.replace("\n  remedy: ", "; ").split()
    )


def test_what_a_task_tells_of_its_dialogues_is_passed_on(package: Path) -> None:
    write(package, begin="riddle.facts = lambda: {'hints': True, 'waits': 0.5}")
    problem = dialogue(make_task(NAME, {}, (MODULE,)), 1, held_out=False)

    assert facts_of(problem) == {"hints": 1.0, "waits": 0.5}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reward": "float('inf')"}, "reward must be a finite number, not inf"),
        ({"reward": "'1'"}, "reward must be a finite number, not '1'"),
        ({"reward": "None"}, "reward must be a finite number, not None"),
        ({"reward": "1 / 0"}, "reply raised ZeroDivisionError"),
        ({"reply": "7"}, "reply must return a text or None, not 7"),
    ],
)
def test_what_goes_wrong_in_a_dialogue_is_told_by_the_task_s_name(
    package: Path, changed: dict[str, str], message: str
) -> None:
    write(package, **changed)
    problem = dialogue(make_task(NAME, {}, (MODULE,)), 1, held_out=False)

    with pytest.raises(TrainingError, match=f"the task '{NAME}': {message}"):
        _ = problem.reply("1"), problem.reward
