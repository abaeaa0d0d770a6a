from types import SimpleNamespace

import pytest

from src.experiments.monitoring.gpu import (
    GpuDevice,
    GpuReader,
    busiest_percent,
    open_gpu,
    usage_of,
)

GIB = 2**30


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


class LosesItsDevices(TwoDevices):
    def nvmlDeviceGetHandleByIndex(self, index):
        raise self.NVMLError("GPU is lost")


class LosesItsDriver(TwoDevices):
    def nvmlDeviceGetCount(self):
        raise self.NVMLError("driver not loaded")


def test_a_device_is_described_with_its_processes():
    large, _ = GpuReader(TwoDevices()).devices()

    assert large == GpuDevice(0, "Large device", 63.0, 3072.0, 8192.0, {10: 1024.0, 11: 512.0})


def test_what_a_device_does_not_support_is_none():
    _, old = GpuReader(TwoDevices()).devices()

    assert old == GpuDevice(1, "Old binding", None, 2048.0, 8192.0, {12: None})


@pytest.mark.parametrize("nvml", [LosesItsDevices(), LosesItsDriver()])
def test_a_lost_device_is_absent(nvml):
    assert GpuReader(nvml).devices() == ()


def test_a_trees_use_is_the_sum_of_its_own_processes():
    devices = GpuReader(TwoDevices()).devices()

    assert usage_of(devices, {10, 99}) == (63.0, 1024.0)
    assert usage_of(devices, {10, 11}) == (63.0, 1536.0)


def test_a_tree_on_no_device_has_no_figures():
    devices = GpuReader(TwoDevices()).devices()

    assert usage_of(devices, {99}) == (None, None)
    assert usage_of((), {10}) == (None, None)


def test_an_untold_use_is_none_not_zero():
    devices = GpuReader(TwoDevices()).devices()

    assert usage_of(devices, {12}) == (None, None)


def test_the_busiest_device_counts():
    assert busiest_percent(GpuReader(TwoDevices()).devices()) == 63.0
    assert busiest_percent(()) is None


def test_a_machine_without_a_driver_has_no_reader_or_a_reader_with_devices():
    reader = open_gpu()

    assert reader is None or reader.devices()
