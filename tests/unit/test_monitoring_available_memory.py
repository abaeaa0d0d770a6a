import psutil
import pytest

from src.experiments.domain.cgroups import memory_groups
from src.experiments.domain.units import MIB
from src.experiments.monitoring import available_memory_mb
from src.experiments.monitoring.machine import examine_machine

from .fake_cgroups import FakeCgroups

VERSION_2 = "0::/jobs/mine\n"
VERSION_1 = "5:cpu,cpuacct:/elsewhere\n4:memory:/jobs/mine\n0::/jobs/mine\n"


def test_a_machine_without_groups_has_what_it_has_free(tmp_path):
    free_mb = psutil.virtual_memory().available / MIB

    assert available_memory_mb(tmp_path, tmp_path) == pytest.approx(free_mb, rel=0.2)


def test_a_groups_limit_bounds_what_is_free(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", memory__max=100 * MIB, memory__current=40 * MIB)

    assert available_memory_mb(*fake.roots) == 60.0


def test_files_that_nobody_used_lately_are_given_back_when_needed(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group(
        "jobs/mine",
        memory__max=100 * MIB,
        memory__current=40 * MIB,
        memory__stat=f"anon 1\ninactive_file {30 * MIB}\nactive_file 7",
    )

    assert available_memory_mb(*fake.roots) == 90.0


def test_the_narrowest_group_around_counts(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", memory__max="max", memory__current=10 * MIB)
    fake.group("jobs", memory__max=50 * MIB, memory__current=30 * MIB)

    assert available_memory_mb(*fake.roots) == 20.0


def test_a_limit_that_only_slows_down_counts(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", memory__max=90 * MIB, memory__high=50 * MIB, memory__current=10 * MIB)

    assert available_memory_mb(*fake.roots) == 40.0


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path):
    fake = FakeCgroups(tmp_path, "0::/../../hidden\n")
    fake.group("", memory__max=50 * MIB, memory__current=30 * MIB)

    assert available_memory_mb(*fake.roots) == 20.0


def test_version_1_with_its_own_names(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_1)
    fake.group(
        "memory/jobs/mine",
        memory__limit_in_bytes=100 * MIB,
        memory__usage_in_bytes=70 * MIB,
        memory__stat=f"inactive_file 1\ntotal_inactive_file {20 * MIB}",
    )
    fake.group("memory", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=0)

    assert available_memory_mb(*fake.roots) == 50.0


def test_version_1_in_a_container_that_does_not_see_its_path(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_1)
    fake.group("memory", memory__limit_in_bytes=50 * MIB, memory__usage_in_bytes=20 * MIB)

    assert available_memory_mb(*fake.roots) == 30.0


def test_a_group_that_has_more_than_its_limit_leaves_nothing(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", memory__max=10 * MIB, memory__current=11 * MIB)

    assert available_memory_mb(*fake.roots) == 0.0


def test_groups_are_told_from_the_own_one_outwards(tmp_path):
    fake = FakeCgroups(tmp_path, VERSION_2)
    fake.group("jobs/mine", memory__max="max")

    root = fake.cgroups
    assert memory_groups(*fake.roots) == (root / "jobs" / "mine", root / "jobs", root)


def test_the_examined_machine_tells_its_memory(tmp_path):
    machine = examine_machine(tmp_path, tmp_path / ".env", timeout_seconds=0.1)

    assert 0.0 < machine.memory_available_mb <= machine.memory_mb
