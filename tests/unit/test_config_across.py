"""In what saved experiments differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.experiments.config.across import SettingAcross, settings_across
from tests.unit.compared_experiments import new


def saved(**settings: Any) -> dict[str, Any]:
    return new(Path("nowhere"), "pair", **settings).saved_config()


def of(*experiments: dict[str, Any]) -> dict[str, SettingAcross]:
    return {setting.pointer: setting for setting in settings_across(experiments)}


def test_experiments_that_are_the_same_but_for_their_names_do_not_differ() -> None:
    other = saved(comment="again", tags=["b"]) | {"experiment_id": "other", "hypothesis": "y"}

    assert of(saved(), other) == {}
    assert of(saved()) == {}


def test_defaults_are_filled_in_before_anything_is_compared() -> None:
    written = saved(arm={"hyperparameters": {"learning_rate": 3e-4}})

    assert of(saved(), written) == {}


def test_each_setting_has_a_value_of_each_experiment() -> None:
    fast = {"hyperparameters": {"learning_rate": 1e-2}}
    found = of(saved(), saved(), saved(arm=fast), saved(variant={"n_envs": 4}))

    rate = found["/baseline_config/hyperparameters/learning_rate"]
    assert (rate.arm, rate.values) == ("baseline", (3e-4, 3e-4, 1e-2, 3e-4))
    assert rate.are_defaults == (True, True, False, True)
    assert found["/variant_config/n_envs"].values == (1, 1, 1, 4)
    assert "/baseline_config/n_envs" not in found


def test_what_decides_about_the_experiment_as_a_whole_differs_too() -> None:
    found = of(saved(), saved(evaluation={"frequency": 1000, "episodes": 3}, seeds=[5, 6]))

    assert found["/evaluation/episodes"] == SettingAcross(
        "/evaluation/episodes", None, (10, 3), (False, False)
    )
    assert found["/seeds"].values == (2, (5, 6)) or found["/seeds"].values == (2, [5, 6])
    assert len(found) == 2


def test_an_environment_out_of_date_and_the_newest_one_are_the_same() -> None:
    assert of(saved(), saved(arm={"environment": "CartPole-v0"})) == {}


def test_an_arm_that_cannot_be_resolved_is_compared_as_it_was_written() -> None:
    later = saved(arm={"hyperparameters": {"learning_rate": 3e-4}})
    later["baseline_config"]["of_a_later_version"] = {"a": 1, "b/c": 2}

    found = of(saved(), later)

    assert found["/baseline_config/of_a_later_version/a"].values == (None, 1)
    assert found["/baseline_config/of_a_later_version/b~1c"].values == (None, 2)
    assert found["/baseline_config/hyperparameters/learning_rate"].values == (None, 3e-4)
    assert "/variant_config/hyperparameters/learning_rate" not in found


def test_sections_that_are_no_objects_are_passed_over() -> None:
    assert of({"baseline_config": [], "variant_config": 3}, {"baseline_config": None}) == {}
