"""What a process takes of memory, its peak and its share."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pynvml
import pytest
import torch

from src.experiments.domain.units import MIB
from src.experiments.training import process_memory


def test_a_peak_is_remembered_until_the_reset():
    process_memory.reset_peak_memory()
    before = process_memory.peak_memory()
    np.ones(8 * MIB).sum()  # 64 MiB, gone at once
    after = process_memory.peak_memory()
    process_memory.reset_peak_memory()

    assert after - before > 50 * MIB
    assert after - process_memory.peak_memory() > 30 * MIB


def test_what_is_shared_is_a_part_of_what_is_resident():
    assert (
        0
        <= process_memory.shared_memory()
        < process_memory.resident_memory()
        <= process_memory.peak_memory()
    )


def test_what_a_process_started_is_weighed_with_it_and_what_they_share_once():
    alone = process_memory.tree_memory()
    greedy = "import numpy; a = numpy.ones(8 << 20); print(flush=True); input()"  # 64 MiB
    command = [sys.executable, "-c", greedy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        both = process_memory.tree_memory()
        child.communicate(b"\n")

    assert 60 * MIB < both.peak - alone.peak < 200 * MIB
    assert both.shared < both.peak


def test_without_a_gpu_its_memory_is_unknown():
    assert process_memory.gpu_memory_mb("cpu") is None


@pytest.fixture
def reserved(monkeypatch):
    """A device of which torch had reserved 300 MiB and has 100 MiB still."""
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 100 * MIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: 300 * MIB)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)

    def let_the_driver_tell(*processes):
        listed = [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in processes]
        monkeypatch.setattr(
            pynvml,
            "nvmlDeviceGetComputeRunningProcesses",
            lambda handle: listed if handle == 1 else [],
        )

    return let_the_driver_tell


def test_the_context_is_what_the_driver_counts_beyond_torch(reserved):
    reserved((os.getpid(), 450 * MIB), (1, 999 * MIB))

    assert process_memory.gpu_memory_mb("cuda:0") == 300 + 350


@pytest.mark.parametrize("processes", [[(1, 999 * MIB)], [(os.getpid(), None)]])
def test_where_the_driver_does_not_tell_the_context_is_a_usual_one(reserved, processes):
    reserved(*processes)

    assert process_memory.gpu_memory_mb("cuda") == 300 + process_memory.CUDA_CONTEXT_MB


def test_without_a_driver_the_context_is_a_usual_one(reserved, monkeypatch):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)

    assert process_memory.gpu_memory_mb("cuda") == 300 + process_memory.CUDA_CONTEXT_MB
