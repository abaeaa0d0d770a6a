import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from src.experiments.cli.signals import stopping

asked = []
with stopping(asked.append):
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
        if asked and not sys.argv[1:]:
            break
        if asked:
            print("asked", flush=True)
            asked.clear()
print("stopped in good order", flush=True)
"""


@contextmanager
def started(*prefix: str, arguments: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """The program once it is ready; it ends with the test, however that ends."""
    command = [*prefix, sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks(number: signal.Signals) -> None:
    with started() as process:
        process.send_signal(number)

        assert process.communicate(timeout=HANG_SECONDS) == ("stopped in good order\n", None)
        assert process.returncode == 0


def test_the_second_signal_ends_the_process_at_once_by_that_signal() -> None:
    with started(arguments=["go on"]) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_SECONDS)

        assert process.returncode == -signal.SIGTERM


def test_a_hang_up_under_nohup_stays_ignored() -> None:
    with started("nohup") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)

        assert process.communicate(timeout=HANG_SECONDS)[0] == "stopped in good order\n"
