"""Environments that only this process knows are refused before anything is written."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.registration import registry

from src.experiments.config import check_registrations
from src.experiments.domain.errors import ConfigurationError, RefusedError, UsageError
from src.experiments.domain.records import ExecutionMode
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner
from src.experiments.tasks.registry import find_task

REGISTERS = "import gymnasium\ngymnasium.register({id!r}, {entry!r}, max_episode_steps=50)\n"
POLE = "gymnasium.envs.classic_control:CartPoleEnv"


@pytest.fixture(autouse=True)
def as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules may lie in `tmp_path`; what a test imports and registers is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "src.experiments.cli.entry", raising=False)
    registered, imported = dict(registry), set(sys.modules)
    yield
    registry.clear()
    registry.update(registered)
    for name in set(sys.modules) - imported:
        if name.startswith("fresh_"):
            del sys.modules[name]


def write(folder: Path, name: str, env_id: str, entry: str = POLE, **more: str) -> None:
    text = "".join(more.values()) + REGISTERS.format(id=env_id, entry=entry)
    (folder / f"{name}.py").write_text(text)


def experiment(env_id: str, folder: Path, *modules: str) -> Experiment:
    arm = {"algorithm": "A2C", "environment": env_id, "training_steps": 100, "seed": 1}
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    output = folder / "results"
    return Experiment(arm, variant, "", output_dir=output, environment_modules=modules)


def refusal(question: Experiment) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_registrations(question.config)
    return str(caught.value)


def test_what_a_script_registers_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Script(CartPoleEnv):
        pass

    Script.__module__ = "__main__"
    gym.register("Script-v0", Script)
    question = experiment("Script-v0", tmp_path)

    with pytest.raises(ConfigurationError) as caught:
        ExperimentRunner(question).run()

    message, got, remedy = str(caught.value).splitlines()[1].strip().split("; ")
    assert message.startswith("/baseline_config/environment: is registered only in this process")
    assert got == 'got "Script-v0"'
    assert remedy.startswith("put it into a module of your own, such as my_lab.py, and name that")
    assert remedy.endswith("environment_modules=['my_lab'], or --allow-env-module my_lab")
    assert not (tmp_path / "results").exists()


def test_in_this_process_what_it_registers_is_enough(tmp_path: Path) -> None:
    gym.register("Here-v0", CartPoleEnv)
    question = experiment("Here-v0", tmp_path)

    with pytest.raises(ConfigurationError):
        ExperimentRunner(question).setup_environment()
    runner = ExperimentRunner(question, executor="in_process")
    runner.setup_environment()
    runner.cleanup()


def test_a_rehearsal_in_other_processes_refuses_it_too(tmp_path: Path) -> None:
    gym.register("There-v0", CartPoleEnv)

    with pytest.raises(ConfigurationError, match="only in this process"):
        ExperimentRunner(experiment("There-v0", tmp_path), ExecutionMode.VALIDATION).run()


def test_a_module_that_is_merely_imported_has_to_be_named(tmp_path: Path) -> None:
    text = "from gymnasium.envs.classic_control import CartPoleEnv as Pole\n"
    write(tmp_path, "fresh_lab", "Lab-v0", "fresh_lab:Pole", first=text)
    importlib.import_module("fresh_lab")

    message = refusal(experiment("Lab-v0", tmp_path))

    assert "environment_modules=['fresh_lab'], or --allow-env-module fresh_lab" in message
    for env_id in ("Lab-v0", "fresh_lab:Lab-v0"):
        check_registrations(experiment(env_id, tmp_path, "fresh_lab").config)


def test_a_module_that_was_mended_is_refused_no_more(tmp_path: Path) -> None:
    module = tmp_path / "fresh_mended.py"
    module.write_text("")
    gym.register("Mended-v0", POLE, max_episode_steps=50)
    question = experiment("Mended-v0", tmp_path, "fresh_mended")
    refusal(question)
    module.write_text(REGISTERS.format(id="Mended-v0", entry=POLE))

    check_registrations(question.config)


def test_what_an_allowed_module_imports_is_known_too(tmp_path: Path) -> None:
    write(tmp_path, "fresh_inner", "Inner-v0")
    (tmp_path / "fresh_outer.py").write_text("print('welcome')\nimport fresh_inner\n")
    importlib.import_module("fresh_inner")

    check_registrations(experiment("Inner-v0", tmp_path, "fresh_outer").config)
    assert "--allow-env-module NAME" in refusal(experiment("Inner-v0", tmp_path))


def test_an_environment_of_gymnasium_is_known_unless_it_was_registered_anew(
    tmp_path: Path,
) -> None:
    check_registrations(experiment("CartPole-v1", tmp_path).config)

    registry.pop("Acrobot-v1")
    gym.register("Acrobot-v1", CartPoleEnv, max_episode_steps=500)

    message = refusal(experiment("Acrobot-v1", tmp_path))
    registry.pop("CartPole-v1")
    gym.register("CartPole-v1", POLE, max_episode_steps=500, kwargs={"sutton_barto_reward": True})
    refusal(experiment("CartPole-v1", tmp_path))
    assert "is registered as something else in the processes that train" in message


def test_where_no_process_answers_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gym.register("Unasked-v0", CartPoleEnv)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python"))

    check_registrations(experiment("Unasked-v0", tmp_path).config)


@pytest.mark.parametrize("modules", [(), ("__main__",)])
def test_the_program_itself_cannot_be_named(tmp_path: Path, modules: tuple[Any, ...]) -> None:
    with pytest.raises((ConfigurationError, UsageError), match="into a module of your own"):
        experiment("__main__:Script-v0", tmp_path, *modules)


def test_a_task_of_the_program_is_to_be_put_into_a_module_too() -> None:
    with pytest.raises(RefusedError) as caught:
        find_task("__main__:Riddles")

    assert "such as my_lab.py" in str(caught.value.allowed)
