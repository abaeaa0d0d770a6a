"""A child of the fork server does not outlive it, whatever the system tells a process."""

import os
import pickle
import signal
from contextlib import suppress
from functools import partial

import psutil
import pytest

from src.experiments.execution.fork_messages import Start, Started
from src.experiments.execution.fork_server import ForkServer

from ..waiting import HANG_SECONDS, wait_until
from .jobs import compute_long, sleep_long, tell_of_beginning
from .test_executor import is_over, number_in

WITHOUT_PRCTL = "tests.contract.without_prctl"


@pytest.mark.parametrize("target", [sleep_long, compute_long])
@pytest.mark.parametrize("preload", ["", WITHOUT_PRCTL], ids=["with prctl", "without"])
def test_a_child_ends_when_its_server_is_killed(preload, target, tmp_path):
    server, pid = ForkServer([preload], {}), None
    begins = pickle.dumps(partial(tell_of_beginning, target, tmp_path / "pid"))
    try:
        server.send(Start(1, begins, None, {}))
        started = server.receive(HANG_SECONDS)
        assert isinstance(started, Started)
        pid = number_in(tmp_path / "pid")
        assert pid == started.pid
        assert not is_over(pid)
        assert (psutil.Process(pid).num_threads() > 1) == (preload == WITHOUT_PRCTL)

        server._process.kill()
        server._process.wait()

        wait_until(lambda: is_over(pid), "the child is over")
    finally:
        server.close()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
