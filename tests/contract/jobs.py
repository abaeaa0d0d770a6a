"""What the executors' contract has them carry out: importable by name in any process."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def answer():
    return 42


def nothing():
    return None


def raise_memory_error():
    raise MemoryError("no room for the buffer")


def raise_key_error():
    raise KeyError("reward")


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def exit_at_once():
    os._exit(7)


def return_a_lambda():
    return lambda: None


def sleep_long():
    time.sleep(600)


def compute_long():
    until = time.monotonic() + 600
    while time.monotonic() < until:
        sum(range(1000))


def tell_of_beginning(target, pid_file):
    pid_file.write_text(str(os.getpid()))
    target()


def sleep_stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


def sleep_in_c():
    """Never gives Python a chance to handle a signal."""
    ctypes.PyDLL(None).sleep(600)


def sleep_stubbornly(pid_file):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pid_file.write_text(str(os.getpid()))
    time.sleep(600)


def sleep_beside_a_helper(pid_file):
    helper = subprocess.Popen(["sleep", "600"])
    pid_file.write_text(str(helper.pid))
    time.sleep(600)


def leave_a_grandchild(pid_file):
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    pid_file.write_text(str(pid))


def print_and_raise():
    print("the last words")
    raise ValueError("after the last words")


def thread_settings():
    return os.environ.get("OMP_NUM_THREADS"), os.getpid() == os.getsid(0)


def variable(name):
    return os.environ.get(name)


def where():
    return str(Path.cwd()), os.getpid(), os.getppid()


def leave_quietly():
    sys.exit(0)


def tell_a_secret():
    raise RuntimeError(os.environ["CANARY_API_KEY"] + "x" * 100_000)
