"""Packages that decide the bits are told from those that do not."""

import pytest

from src.experiments.reproduction.versions import Change, deciding_packages, replayed, surroundings

from .recorded_provenance import recorded

CARTPOLE = {"baseline_config": {"environment": "CartPole-v1"}}
LANDER = {
    "baseline_config": {"environment": "LunarLander-v2"},
    "variant_config": {"environment": "CartPole-v1"},
}


def test_nothing_differs_from_itself():
    found = surroundings(recorded(), CARTPOLE, {})

    assert (found.deciding, found.other, found.machine) == ((), (), ())


def test_packages_of_training_decide_and_others_are_only_noted():
    packages = dict(recorded().packages)
    packages |= {"torch": "1.0", "rich": "1.0", "Stable_Baselines3": "1.0", "gone-package": "3"}
    del packages["stable_baselines3"]

    found = surroundings(recorded(packages=packages), CARTPOLE, {})

    assert {each.name for each in found.deciding} == {"torch", "stable-baselines3"}
    (torch,) = (each for each in found.deciding if each.name == "torch")
    assert str(torch) == f"torch 1.0 → {recorded().packages['torch']}"
    assert {each.name for each in found.other} == {"rich", "gone-package"}
    assert str(found.other[0]) == "gone-package 3 → none"


@pytest.mark.parametrize(("config", "decides"), [(LANDER, True), (CARTPOLE, False)])
def test_an_engine_decides_for_the_environments_that_it_moves(config, decides):
    assert ("box2d" in deciding_packages(recorded(), config)) is decides


@pytest.mark.parametrize(("algorithm", "decides"), [("GRPO", True), ("PPO", False)])
def test_the_libraries_of_language_models_decide_for_these(algorithm, decides):
    packages = dict.fromkeys(["trl", "transformers", "accelerate", "tokenizers"], "0.0.1")
    arm = {"algorithm": algorithm, "environment": "arithmetic"}
    found = surroundings(
        recorded(packages={**recorded().packages, **packages}), {"baseline_config": arm}, {}
    )

    told = found.deciding if decides else found.other
    assert set(packages) <= {each.name for each in told}


def test_the_package_of_an_allowed_module_decides_unless_it_is_in_the_repository():
    assert "pytest" in deciding_packages(recorded(modules={"pytest": None}), CARTPOLE)
    in_repository = recorded(modules={"pytest": "pytest/__init__.py"})
    assert "pytest" not in deciding_packages(in_repository, CARTPOLE)


def test_an_environment_that_is_not_registered_here_costs_only_its_own_package():
    unknown = {"baseline_config": {"environment": "lab/Windy-v0", "wrappers": ["AtariWrapper"]}}

    assert "torch" in deciding_packages(recorded(), unknown)


def test_the_minor_version_of_python_decides():
    hardware = dict(recorded().hardware)

    other = surroundings(recorded(hardware=hardware | {"python": "CPython 3.9.1"}), CARTPOLE, {})
    assert [each.name for each in other.deciding] == ["Python"]

    corrected = hardware["python"].rpartition(".")[0] + ".999"
    same = surroundings(recorded(hardware=hardware | {"python": corrected}), CARTPOLE, {})
    assert same.deciding == ()


def test_the_processor_and_threads_are_noted():
    elsewhere = recorded(
        hardware=dict(recorded().hardware) | {"cpu_model": "Abacus 9", "hostname": "other"},
        environment={"OMP_NUM_THREADS": "4", "PYTHONPATH": "/x"},
    )

    found = surroundings(elsewhere, CARTPOLE, {"OMP_NUM_THREADS": "1"})

    assert [each.name for each in found.machine] == ["cpu_model", "OMP_NUM_THREADS"]
    assert found.machine[1] == Change("OMP_NUM_THREADS", "4", "1")


def test_variables_that_change_sums_are_set_as_they_were():
    environment = {"OMP_NUM_THREADS": "8", "PYTHONHASHSEED": "1", "HOME": "/home"}

    told = replayed(
        recorded(environment={"OMP_NUM_THREADS": "2", "LD_PRELOAD": "/evil.so"}), environment
    )

    assert told == {"OMP_NUM_THREADS": "2", "HOME": "/home"}
