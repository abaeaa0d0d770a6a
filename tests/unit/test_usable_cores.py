import os
from pathlib import Path

import pytest

from src.experiments.config import audit, parse_experiment
from src.experiments.domain.cores import usable_cores
from src.experiments.execution import executor_kind
from src.experiments.execution.admission import admit
from src.experiments.experiment import Experiment
from src.experiments.monitoring import Limits
from src.experiments.monitoring.machine import threads
from src.experiments.orchestration.guard import Guard
from src.experiments.orchestration.placing import room_for
from src.experiments.provenance import hardware

from .fake_cgroups import FakeCgroups

VERSION_2 = "0::/jobs/mine\n"
VERSION_1 = "5:cpu,cpuacct:/jobs/mine\n4:memory:/jobs/mine\n0::/jobs/mine\n"


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch):
    may_run_on(monkeypatch, 16)


def may_run_on(monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


def test_without_groups_the_affinity_counts(tmp_path):
    assert usable_cores(tmp_path, tmp_path) == 16


def test_a_system_without_affinity_has_all_cores(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    assert usable_cores(tmp_path, tmp_path) == 1


@pytest.mark.parametrize(
    ("said", "cores"),
    [
        ("400000 100000", 4),
        ("150000 100000", 1.5),
        ("5000 100000", 0.05),
        ("3200000 100000", 16),  # more than there are
        ("max 100000", 16),
        ("", 16),
        ("100000", 16),
        ("-1 100000", 16),
        ("100000 0", 16),
        ("some thing", 16),
    ],
)
def test_a_quota_of_version_2(tmp_path, said, cores):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", cpu__max=said)

    found = usable_cores(*fake.roots)
    assert (found, str(found)) == (cores, str(cores))


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("quota", "period", "cores"), [(250000, 100000, 2.5), (-1, 100000, 16), (0, 100000, 16)]
)
def test_a_quota_of_version_1(tmp_path, mount, quota, period, cores):
    fake = FakeCgroups(tmp_path, VERSION_1)
    fake.group(f"{mount}/jobs/mine", cpu__cfs_quota_us=quota, cpu__cfs_period_us=period)

    assert usable_cores(*fake.roots) == cores


def test_the_narrowest_group_around_counts(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", cpu__max="800000 100000")
    fake.group("jobs", cpu__max="300000 100000")

    assert usable_cores(*fake.roots) == 3


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path):
    fake = FakeCgroups(tmp_path, "0::/\n")
    fake.group("", cpu__max="200000 100000")

    assert usable_cores(*fake.roots) == 2


def test_whoever_counts_cores_counts_the_same(tmp_path, monkeypatch):
    may_run_on(monkeypatch, 1)
    arm = {
        "algorithm": "GRPO",
        "environment": "arithmetic",
        "hyperparameters": {
            "num_generations": 4,
            "per_device_train_batch_size": 4,
            "processes": 2,
        },
        "training_steps": 4,
        "seed": 1,
    }
    variant = {"extends": "baseline", "algorithm": "DR_GRPO"}
    room = room_for(
        Experiment(arm, variant, "why", output_dir=tmp_path), Limits(), executor_kind("process")
    )
    notices = audit(parse_experiment({"baseline_config": arm, "variant_config": variant})).notices

    assert (room.cores, threads().cores_usable, hardware().cores_usable) == (1, 1, 1)
    assert admit([], 2, room, 1).line.endswith("2 processes train each, on 1 core")
    assert any("more than there are usable cores here (1)" in each for each in notices)
    assert Guard(Limits(), None, Path(), 1)._cores == 1
