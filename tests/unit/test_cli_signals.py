import signal
import subprocess
import sys
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


def start(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks(number: signal.Signals) -> None:
    process = start()
    process.send_signal(number)

    assert process.communicate(timeout=HANG_SECONDS) == ("stopped in good order\n", None)
    assert process.returncode == 0


def test_the_second_signal_ends_the_process_at_once_by_that_signal() -> None:
    process = start("go on")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == -signal.SIGTERM


def test_a_hang_up_under_nohup_stays_ignored() -> None:
    command = ["nohup", sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)

    assert process.communicate(timeout=HANG_SECONDS)[0] == "stopped in good order\n"
