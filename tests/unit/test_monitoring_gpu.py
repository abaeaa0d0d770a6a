from types import SimpleNamespace

import pytest

from src.experiments.monitoring.gpu import (
    GpuDevice,
    GpuReader,
    gpu_devices,
    open_gpu,
    usage_of,
)

GIB = 2**30
NOW = 1_900_000_000.0


class TwoDevices:
    """Speaks NVML: a device that tells everything, and one that tells little."""

    class NVMLError(Exception):
        pass

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return b"Old binding" if handle else "Large device"

    def nvmlDeviceGetUUID(self, handle):
        return b"GPU-old" if handle else "GPU-large"

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle:
            raise self.NVMLError("not supported")
        return SimpleNamespace(gpu=63, memory=20)

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=8 * GIB, used=(3 - handle) * GIB, free=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        if handle:
            return [SimpleNamespace(pid=12, usedGpuMemory=None)]
        return [
            SimpleNamespace(pid=10, usedGpuMemory=GIB),
            SimpleNamespace(pid=11, usedGpuMemory=GIB // 2),
        ]

    def nvmlDeviceGetProcessUtilization(self, handle, since_microseconds):
        if handle:
            raise self.NVMLError("not supported")
        samples = [(10, 9.0, 1), (10, 1.0, 22), (10, 0.5, 21), (11, 1.5, 40), (12, 0.1, 4_000_000)]
        times = [(pid, int((NOW - age) * 1e6), percent) for pid, age, percent in samples]
        return [
            SimpleNamespace(pid=pid, timeStamp=time, smUtil=percent)
            for pid, time, percent in times
            if time > since_microseconds
        ]


class Partitioned(TwoDevices):
    """What an ordinary user is told of a device in MIG mode."""

    def _refuse(self, *arguments):
        raise self.NVMLError("insufficient permissions")

    nvmlDeviceGetUtilizationRates = _refuse
    nvmlDeviceGetMemoryInfo = _refuse
    nvmlDeviceGetComputeRunningProcesses = _refuse
    nvmlDeviceGetProcessUtilization = _refuse


class LosesItsDevices(TwoDevices):
    def nvmlDeviceGetHandleByIndex(self, index):
        raise self.NVMLError("GPU is lost")


class LosesItsDriver(TwoDevices):
    def nvmlDeviceGetCount(self):
        raise self.NVMLError("driver not loaded")


def read(nvml):
    return GpuReader(nvml, clock=lambda: NOW).devices()


def test_a_device_is_described_with_its_processes():
    large, _ = read(TwoDevices())

    assert large == GpuDevice(
        index=0,
        name="Large device",
        utilization_percent=63.0,
        memory_used_mb=3072.0,
        memory_total_mb=8192.0,
        memory_mb_by_pid={10: 1024.0, 11: 512.0},
        percent_by_pid={10: 21.0, 11: 40.0, 12: 100.0},
        uuid="GPU-large",
    )
    assert large.memory_free_mb == 5120.0


def test_what_a_device_does_not_support_is_none():
    _, old = read(TwoDevices())

    assert old == GpuDevice(
        1, "Old binding", None, 2048.0, 8192.0, {12: None}, percent_by_pid=None, uuid="GPU-old"
    )


def test_a_device_that_tells_hardly_anything_is_there_all_the_same():
    large, _ = read(Partitioned())

    assert large == GpuDevice(0, "Large device", None, None, None, {}, None, "GPU-large")
    assert large.memory_free_mb is None
    assert usage_of([large], {10}) == (None, None)


@pytest.mark.parametrize("nvml", [LosesItsDevices(), LosesItsDriver()])
def test_a_lost_device_is_absent(nvml):
    assert GpuReader(nvml).devices() == ()


def test_a_trees_use_is_the_sum_of_its_own_processes():
    devices = read(TwoDevices())

    assert usage_of(devices, {10, 99}) == (21.0, 1024.0)
    assert usage_of(devices, {10, 11}) == (61.0, 1536.0)


def test_a_tree_on_several_devices_has_the_memory_of_all_and_the_busiest_ones_use():
    first = GpuDevice(0, "a", 90.0, None, None, {1: 100.0, 2: 50.0}, {1: 10.0, 2: 80.0})
    second = GpuDevice(1, "b", 90.0, None, None, {1: 200.0}, {1: 30.0})

    assert usage_of([first, second], {1}) == (30.0, 300.0)


def test_a_process_that_has_not_computed_lately_uses_nothing_of_a_busy_device():
    device = GpuDevice(0, "a", 90.0, None, None, {1: 100.0, 2: 50.0}, {2: 80.0})

    assert usage_of([device], {1}) == (0.0, 100.0)


def test_a_device_that_does_not_tell_by_process_counts_with_its_whole_use():
    device = GpuDevice(0, "a", 90.0, None, None, {1: 100.0}, None)

    assert usage_of([device], {1}) == (90.0, 100.0)


def test_a_tree_on_no_device_has_no_figures():
    devices = read(TwoDevices())

    assert usage_of(devices, {99}) == (None, None)
    assert usage_of((), {10}) == (None, None)


def test_an_untold_use_is_none_not_zero():
    assert usage_of(read(TwoDevices()), {12}) == (None, None)


def test_the_busiest_device_counts():
    assert GpuReader(TwoDevices()).busiest_percent() == 63.0
    assert GpuReader(Partitioned()).busiest_percent() is None
    assert GpuReader(LosesItsDriver()).busiest_percent() is None


def test_a_machine_has_a_reader_where_it_has_devices():
    assert (open_gpu() is None) == (gpu_devices() == ())
