"""How many runs are let in at once, and the line that says so."""

from dataclasses import replace

from src.experiments.domain.records import RunEstimate, RunKey
from src.experiments.execution.admission import Room, admit

ESTIMATE = RunEstimate(
    run=RunKey("baseline", 1),
    steps_per_second=1100.0,
    training_seconds=10.0,
    memory_mb=500.0,
    disk_mb=1.0,
    planned_timesteps=10_000,
    parameters=9000,
    shared_mb=200.0,
)


def test_all_that_are_wanted_where_nothing_bounds_them():
    admission = admit([ESTIMATE], wanted=8, room=Room(), threads=1)

    assert admission.slots == 8
    assert (
        admission.line == "8 runs at a time: each takes about 500 MiB and makes about 1,100 steps/s"
    )


def test_memory_that_the_runs_share_is_counted_once():
    room = Room(memory_mb=1100.0, memory_of="are allowed by memory_mb")

    admission = admit([ESTIMATE], wanted=8, room=room, threads=1)

    assert admission.slots == 3  # 200 + 3 * 300
    assert "3 runs at a time instead of 8" in admission.line
    assert "1,100 MiB are allowed by memory_mb" in admission.line


def test_the_most_demanding_arm_decides():
    greedy = replace(ESTIMATE, run=RunKey("variant", 1), memory_mb=1000.0, steps_per_second=300.0)
    room = Room(memory_mb=1100.0)

    admission = admit([ESTIMATE, greedy], wanted=8, room=room, threads=1)

    assert admission.slots == 1
    assert "1 run at a time instead of 8" in admission.line
    assert "300 to 1,100 steps/s" in admission.line


def test_one_run_is_always_let_in_because_estimates_may_err():
    assert admit([ESTIMATE], wanted=4, room=Room(memory_mb=256.0), threads=1).slots == 1


def test_a_share_of_the_processor_bounds_the_threads():
    room = Room(cpu_percent=50.0, cores=8)

    assert admit([], wanted=8, room=room, threads=1).slots == 4
    assert admit([], wanted=8, room=room, threads=2).slots == 2
    assert "cpu_percent is 50 of 8 cores" in admit([], wanted=8, room=room, threads=1).line


def test_memory_on_the_gpu_bounds_those_who_use_it():
    on_gpu = replace(ESTIMATE, gpu_memory_mb=900.0)
    room = Room(gpu_memory_mb=2000.0)

    assert admit([on_gpu], wanted=8, room=room, threads=1).slots == 2
    assert admit([ESTIMATE], wanted=8, room=room, threads=1).slots == 8


def test_each_gpu_holds_whole_runs():
    on_gpu = replace(ESTIMATE, gpu_memory_mb=6000.0)

    assert (
        admit([on_gpu], wanted=8, room=Room(gpus_free_mb=(10_000.0, 10_000.0)), threads=1).slots
        == 2
    )
    both = Room(gpus_free_mb=(10_000.0, 10_000.0), gpu_memory_mb=100_000.0)
    admission = admit([on_gpu], wanted=8, room=both, threads=1)
    assert admission.slots == 2
    assert "10,000 and 10,000 MiB are free on the GPUs" in admission.line


def test_without_an_estimate_nothing_is_made_up():
    assert admit([], wanted=2, room=Room(memory_mb=100.0), threads=1).line == "2 runs at a time"


def test_runs_of_several_processes_are_let_in_as_far_as_there_are_cores_for_all():
    admission = admit([ESTIMATE], wanted=2, room=Room(cores=2, processes=2), threads=1)

    assert admission.slots == 1
    assert "2 processes train each, on 2 cores" in admission.line
    assert admit([], wanted=8, room=Room(cores=8, processes=2), threads=2).slots == 2
    assert (
        admit([], wanted=8, room=Room(cores=8, processes=2, cpu_percent=50.0), threads=1).slots == 2
    )
    assert admit([], wanted=8, room=Room(cores=8), threads=2).slots == 8
