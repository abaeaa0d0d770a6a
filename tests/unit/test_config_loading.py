from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.experiments.config import (
    Configuration,
    ExperimentConfig,
    check_configuration,
    load_experiment_file,
    parse_experiment,
)
from src.experiments.domain.errors import ConfigurationError, MissingExtraError, UsageError
from tests.waiting import HANG_SECONDS

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 4096, "seed": 7}
CHANGED = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}


def document(**changes: Any) -> dict[str, Any]:
    return {"hypothesis": "?", "baseline_config": ARM, "variant_config": CHANGED, **changes}


def pointers(error: ConfigurationError) -> list[str]:
    return [problem.pointer for problem in error.problems]


def test_the_committed_examples_are_accepted() -> None:
    paths = [path for path in Path("configs").glob("*.json") if "schema" not in path.name]

    assert len(paths) >= 5
    for path in paths:
        load_experiment_file(path)


def test_an_experiment_survives_being_written_and_read_again() -> None:
    config = parse_experiment(
        document(seeds=[1, 2], early_abort={"after_fraction": 0.2}, comparison={"sequential": {}})
    )

    assert parse_experiment(json.loads(config.model_dump_json())) == config
    assert parse_experiment(config.model_dump()) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_arms_may_be_configurations() -> None:
    baseline = Configuration(**ARM)
    variant = Configuration(**{**ARM, "n_envs": 2})

    config = parse_experiment({"baseline_config": baseline, "variant_config": variant})

    assert list(config.arms) == ["baseline", "variant"]
    assert config.arms["variant"].n_envs == 2


def test_a_variant_that_extends_the_baseline_changes_only_what_it_names() -> None:
    baseline = {
        **ARM,
        "n_envs": 4,
        "hyperparameters": {
            "gamma": 0.9,
            "policy_kwargs": {"net_arch": [64], "activation_fn": "ReLU"},
        },
    }
    variant = {
        "extends": "baseline",
        "hyperparameters": {"n_epochs": 5, "policy_kwargs": {"net_arch": [32]}},
    }

    config = parse_experiment(document(baseline_config=baseline, variant_config=variant))

    assert config.variant_config.n_envs == 4
    assert config.variant_config.hyperparameters == {
        "gamma": 0.9,
        "n_epochs": 5,
        "policy_kwargs": {"net_arch": [32], "activation_fn": "ReLU"},
    }


def test_another_algorithm_inherits_no_hyperparameters() -> None:
    baseline = {**ARM, "hyperparameters": {"clip_range": 0.1}, "policy": "MlpPolicy"}
    variant = {"extends": "baseline", "algorithm": "A2C"}

    config = parse_experiment(document(baseline_config=baseline, variant_config=variant))

    assert config.variant_config.hyperparameters == {}


def test_a_schedule_replaces_the_inherited_one_whole() -> None:
    linear = {"schedule": "linear", "initial": 1e-3, "final": 1e-4}
    variant = {
        "extends": "baseline",
        "hyperparameters": {"learning_rate": {"schedule": "constant", "initial": 1e-3}},
    }
    baseline = {**ARM, "hyperparameters": {"learning_rate": linear}}

    config = parse_experiment(document(baseline_config=baseline, variant_config=variant))

    assert config.variant_config.hyperparameters == {"learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("seeds", "expected"), [(None, [7]), (3, [7, 8, 9]), ([5, 3], [5, 3]), (2.0, [7, 8])]
)
def test_seeds_are_a_list_a_count_or_the_arms_own(seeds: Any, expected: list[int]) -> None:
    assert parse_experiment(document(seeds=seeds)).seed_list == expected


def test_an_arm_without_a_seed_takes_the_other_ones() -> None:
    without = {name: value for name, value in ARM.items() if name != "seed"}
    variant = {**without, "seed": 3, "n_envs": 2}

    config = parse_experiment(document(baseline_config=without, variant_config=variant))

    assert config.seed_list == [3]


def test_counting_beyond_the_largest_seed_is_refused() -> None:
    baseline = {**ARM, "seed": 2**32 - 2}

    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(document(baseline_config=baseline, seeds=3))

    assert pointers(caught.value) == ["/seeds"]


def test_the_same_environment_in_two_versions_is_no_difference_of_environments() -> None:
    baseline = {**ARM, "environment": "LunarLander-v2"}
    variant = {**ARM, "environment": "LunarLander-v3", "n_envs": 2}

    parse_experiment(document(baseline_config=baseline, variant_config=variant))


def test_different_environments_are_accepted_when_they_are_meant() -> None:
    variant = {**ARM, "environment": "Acrobot-v1"}

    parse_experiment(document(variant_config=variant, allow_different_environments=True))


def test_a_buffer_that_outgrows_the_memory_limit_is_refused() -> None:
    baseline = {
        "algorithm": "DQN",
        "environment": "CarRacing-v3",
        "environment_kwargs": {"continuous": False},
        "training_steps": 100_000,
        "hyperparameters": {"buffer_size": 50_000},
    }
    limits = {"memory_mb": 1024}

    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(document(baseline_config=baseline, resource_limits=limits))

    assert "/baseline_config/hyperparameters/buffer_size" in pointers(caught.value)


def test_no_module_is_imported_that_was_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_environments.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    given = document(baseline_config={**ARM, "environment": "my_environments:Mine-v0"})

    with pytest.raises(ConfigurationError, match="--allow-env-module my_environments"):
        parse_experiment(given)
    assert "my_environments" not in sys.modules

    config = parse_experiment(given, environment_modules=["my_environments"])
    assert config.environment_modules == ("my_environments",)


@pytest.mark.parametrize("name", ["no_such_module_here", "os; import sys", "../x"])
def test_a_module_that_cannot_be_imported_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="--allow-env-module"):
        parse_experiment(document(), environment_modules=[name])


def test_a_missing_preset_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[zoo\]'"):
        check_configuration({**ARM, "preset": "rl-zoo"})


def test_a_configuration_alone_is_checked_and_normalised() -> None:
    configuration = check_configuration(
        {**ARM, "algorithm": "QR-DQN", "hyperparameters": {"buffer_size": 1e4}}
    )

    assert configuration.algorithm == "QRDQN"
    assert configuration.hyperparameters == {"buffer_size": 10_000}
    assert isinstance(configuration.hyperparameters["buffer_size"], int)
    assert check_configuration(configuration) == configuration


def test_problems_of_a_configuration_are_value_errors_with_pointers() -> None:
    with pytest.raises(ValueError, match="2 problems") as caught:
        check_configuration({**ARM, "training_steps": 0, "hyperparameters": {"gamma": 5}})

    assert isinstance(caught.value, ConfigurationError)
    assert pointers(caught.value) == ["/training_steps", "/hyperparameters/gamma"]


def test_objects_of_python_are_refused_where_data_belongs() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(
            {
                **ARM,
                "environment_kwargs": {"x": object()},
                "hyperparameters": {"learning_rate": lambda progress: progress},
            }
        )

    assert set(pointers(caught.value)) == {
        "/environment_kwargs",
        "/hyperparameters/learning_rate",
    }


def test_the_models_are_frozen() -> None:
    config = parse_experiment(document())

    with pytest.raises(ValueError, match="frozen"):
        config.seeds = 3  # type: ignore[misc]


def test_checking_a_file_imports_no_learning_library() -> None:
    program = (
        "import sys\n"
        "from src.experiments.config import audit, load_experiment_file\n"
        "audit(load_experiment_file('configs/quickstart.json'))\n"
        "heavy = {'torch', 'stable_baselines3', 'sb3_contrib', 'scipy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS,
    )

    assert done.stdout.strip() == "[]"


def test_the_experiment_model_names_every_field_of_the_file() -> None:
    assert set(ExperimentConfig.model_fields) == {
        "experiment_id", "hypothesis", "comment", "tags", "seeds", "baseline_config",
        "variant_config", "evaluation", "comparison", "early_abort", "recovery",
        "resource_limits", "hang_seconds", "torch_threads", "accelerate", "checkpoint",
        "storage", "trackers", "diagnostics", "allow_different_environments",
    }  # fmt: skip
