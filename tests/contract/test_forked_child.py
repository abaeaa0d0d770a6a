"""A child of the fork server does not outlive it, whatever the system tells a process."""

import pickle
import signal
import time

import psutil
import pytest

from src.experiments.execution.fork_messages import Start, Started
from src.experiments.execution.fork_server import ForkServer

from .jobs import compute_long, sleep_long

WITHOUT_PRCTL = "tests.contract.without_prctl"


@pytest.mark.parametrize("target", [sleep_long, compute_long])
@pytest.mark.parametrize("preload", ["", WITHOUT_PRCTL], ids=["with prctl", "without"])
def test_a_child_ends_when_its_server_is_killed(preload, target):
    server = ForkServer([preload], {})
    try:
        server.send(Start(1, pickle.dumps(target), None, {}))
        started = server.receive(30.0)
        assert isinstance(started, Started)
        child = psutil.Process(started.pid)
        time.sleep(0.2)
        assert is_alive(child)
        assert (child.num_threads() > 1) == (preload == WITHOUT_PRCTL)

        server._process.kill()
        server._process.wait()
        gone_by = time.monotonic() + 5.0
        while is_alive(child) and time.monotonic() < gone_by:
            time.sleep(0.02)

        assert not is_alive(child)
    finally:
        server.close()
        if is_alive(child):
            child.send_signal(signal.SIGKILL)


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
