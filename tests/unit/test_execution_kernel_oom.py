from src.experiments.execution.kernel_oom import kernel_oom_kills

from .fake_cgroups import FakeCgroups

MACHINE = "pgfault 1\noom_kill 9\n"


def test_the_own_group_counts(tmp_path):
    fake = FakeCgroups(tmp_path, "0::/jobs/mine\n")
    fake.group("jobs/mine", memory__events="low 0\noom 5\noom_kill 3\noom_group_kill 0")
    fake.group("jobs", memory__events="oom_kill 7")
    fake.vmstat(MACHINE)

    assert kernel_oom_kills(*fake.roots) == 3


def test_a_group_of_version_1_counts(tmp_path):
    fake = FakeCgroups(tmp_path, "4:memory:/jobs\n0::/\n")
    fake.group("memory/jobs", memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2")
    fake.vmstat(MACHINE)

    assert kernel_oom_kills(*fake.roots) == 2


def test_without_a_group_the_whole_machine_counts(tmp_path):
    fake = FakeCgroups(tmp_path, "0::/\n")
    fake.group("", cgroup__procs="1")
    fake.vmstat(MACHINE)

    assert kernel_oom_kills(*fake.roots) == 9


def test_a_kernel_that_does_not_count_tells_nothing(tmp_path):
    fake = FakeCgroups(tmp_path, "0::/\n")
    fake.vmstat("pgfault 1\n")

    assert kernel_oom_kills(*fake.roots) is None


def test_a_system_without_such_files_tells_nothing(tmp_path):
    assert kernel_oom_kills(tmp_path, tmp_path) is None
