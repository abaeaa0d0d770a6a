from dataclasses import replace

import pytest

from src.experiments.cli.doctor import groups, problems
from src.experiments.monitoring import GpuDevice
from src.experiments.monitoring.machine import examine_machine

LARGE = GpuDevice(0, "Large", 5.0, 1024.0, 40960.0, uuid="GPU-aa")
UNTOLD = GpuDevice(1, "Untold", None, None, None, uuid="GPU-bb")
SMALL = GpuDevice(2, "Small", 0.0, 0.0, 16384.0, uuid="GPU-cc")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    return examine_machine(folder, folder / ".env", timeout_seconds=0.1)


def of_gpus(machine, visible=None, gpus=(LARGE, UNTOLD, SMALL)):
    return dict(groups(replace(machine, gpus=gpus, visible_devices=visible)))["GPU"]


def test_each_device_is_told_under_the_name_that_an_option_takes(machine):
    assert of_gpus(machine) == [
        ("cuda:0", "Large, 39.0 GiB free of 40.0 GiB"),
        ("cuda:1", "Untold, does not report its memory"),
        ("cuda:2", "Small, 16.0 GiB free of 16.0 GiB"),
    ]


def test_the_variable_that_hides_devices_is_honoured(machine):
    assert of_gpus(machine, visible="2,0") == [
        ("cuda:0", "Small, 16.0 GiB free of 16.0 GiB"),
        ("cuda:1", "Large, 39.0 GiB free of 40.0 GiB"),
        ("hidden", "Untold, does not report its memory (number 1 of nvidia-smi)"),
        ("CUDA_VISIBLE_DEVICES", "2,0"),
    ]


def test_hiding_all_devices_is_said(machine):
    lines = of_gpus(machine, visible="", gpus=(SMALL,))

    assert lines[-1] == ("CUDA_VISIBLE_DEVICES", "empty: no run gets a GPU")


def test_a_machine_without_a_device_says_so(machine):
    assert of_gpus(machine, gpus=None) == [("devices", "none; training runs on the CPU")]


def test_memory_that_is_free_for_runs_is_told(machine):
    found = dict(groups(replace(machine, memory_available_mb=2048.0, memory_mb=8192.0)))

    assert found["memory"] == [("free for runs", "2.0 GiB of 8.0 GiB")]


def test_too_little_free_disk_keeps_experiments_from_running(machine):
    disk = replace(machine.disk, free_mb=511.0)

    assert any("only 511 MiB are free" in text for text in problems(replace(machine, disk=disk)))
