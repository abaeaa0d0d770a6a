import pytest

from src.experiments.domain.records import ResourceSample
from src.experiments.monitoring import (
    Level,
    Limits,
    Pressure,
    Resource,
    Usage,
    pressures,
    together,
)


def sample(time=1.0, cpu=0.0, memory=0.0, **more):
    return ResourceSample(time=time, cpu_percent=cpu, memory_mb=memory, **more)


def levels(limits, usage):
    return {each.resource: each.level for each in pressures(limits, usage)}


def test_limits_are_those_of_the_file_and_the_floor_is_always_there():
    limits = Limits.of({"memory_mb": 8192, "disk_gb": None, "hang_seconds": 600})

    assert limits == Limits(memory_mb=8192, free_disk_mb=512.0)


def test_memory_is_proportional_where_it_is_known():
    usage = together([sample(memory=400.0, pss_mb=150.0), sample(memory=300.0)], cores=2)

    assert usage.memory_mb == 450.0


def test_cpu_is_a_share_of_the_whole_machine():
    assert together([sample(cpu=100.0), sample(cpu=60.0)], cores=4).cpu_percent == 40.0
    assert together([sample(cpu=210.0)], cores=2).cpu_percent == 100.0


def test_of_a_machine_whose_cores_are_unknown_busy_ones_are_counted():
    usage = together([sample(cpu=210.0), sample(cpu=100.0)])

    assert (usage.cpu_percent, usage.cores_busy) == (None, 3.1)


def test_gpu_memory_is_summed_over_the_runs_that_have_any():
    samples = [sample(gpu_memory_mb=100.0), sample(), sample(gpu_memory_mb=50.0)]

    assert together(samples, cores=1).gpu_memory_mb == 150.0
    assert together([sample()], cores=1).gpu_memory_mb is None


def test_the_disk_is_as_the_newest_sample_has_it():
    samples = [
        sample(time=3.0),
        sample(time=1.0, disk_usage_mb=10.0, disk_free_mb=900.0),
        sample(time=2.0, disk_usage_mb=20.0, disk_free_mb=800.0),
    ]

    usage = together(samples, cores=1)

    assert (usage.disk_usage_mb, usage.disk_free_mb) == (20.0, 800.0)


def test_nothing_measured_is_none_not_zero_and_no_pressure():
    usage = together([], cores=2)
    limits = Limits(memory_mb=1.0, cpu_percent=1.0, disk_gb=1.0, gpu_memory_mb=1.0)

    assert usage == Usage()
    assert pressures(limits, usage) == ()


def test_no_limit_is_no_pressure():
    assert pressures(Limits(), Usage(1e9, 1e9, 100.0, 1e9, 1e9)) == ()


@pytest.mark.parametrize(
    ("used", "level"),
    [(899.0, None), (900.0, Level.WARNING), (1000.0, Level.WARNING), (1000.1, Level.BREACH)],
)
@pytest.mark.parametrize("resource", [Resource.MEMORY, Resource.GPU_MEMORY])
def test_a_limit_warns_at_nine_tenths_and_is_breached_above_it(resource, used, level):
    name = f"{resource.value}_mb"
    limits, usage = Limits(**{name: 1000.0}), Usage(**{name: used})

    assert levels(limits, usage) == ({resource: level} if level else {})


@pytest.mark.parametrize(
    ("used", "level"), [(44.9, None), (45.0, Level.WARNING), (50.1, Level.BREACH)]
)
def test_cpu_has_its_limit(used, level):
    found = levels(Limits(cpu_percent=50.0), Usage(cpu_percent=used))

    assert found == ({Resource.CPU: level} if level else {})


def test_the_directorys_size_is_compared_in_gib():
    assert levels(Limits(disk_gb=2.0), Usage(disk_usage_mb=2049.0)) == {Resource.DISK: Level.BREACH}
    assert levels(Limits(disk_gb=2.0), Usage(disk_usage_mb=1800.0)) == {}


@pytest.mark.parametrize(
    ("free", "level"),
    [(1024.0, None), (1023.0, Level.WARNING), (512.0, Level.WARNING), (511.9, Level.BREACH)],
)
def test_free_disk_warns_below_twice_the_floor_and_is_breached_below_it(free, level):
    found = levels(Limits(), Usage(disk_free_mb=free))

    assert found == ({Resource.FREE_DISK: level} if level else {})


@pytest.mark.parametrize(
    ("pressure", "sentence"),
    [
        (
            Pressure(Resource.MEMORY, 7612.2, 8192.0, Level.WARNING),
            "the runs use 7,612 of 8,192 MiB of memory (93 %)",
        ),
        (
            Pressure(Resource.GPU_MEMORY, 5000.0, 4000.0, Level.BREACH),
            "the runs use 5,000 of 4,000 MiB of GPU memory (125 %)",
        ),
        (
            Pressure(Resource.CPU, 81.4, 80.0, Level.BREACH),
            "the runs use 81 % of the usable cores, 80 % allowed",
        ),
        (
            Pressure(Resource.DISK, 1.9, 2.0, Level.WARNING),
            "the experiment's directory takes 1.9 of 2 GiB (95 %)",
        ),
        (
            Pressure(Resource.FREE_DISK, 412.0, 512.0, Level.BREACH),
            "only 412 MiB are free on the results' disk, and 512 MiB must stay free",
        ),
    ],
)
def test_a_pressure_is_a_sentence(pressure, sentence):
    assert str(pressure) == sentence
