"""What the benchmarks share: commands timed in alternating rounds, side by side, as ratios."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
LIMIT_SECONDS = 1800.0
"""After so long a command has failed."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
OFFLINE = {"HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0", "WANDB_MODE": "offline"}

Hashes = dict[str, str]
"""SHA-256 of each run's parameters, by the run's name."""


class RowFailedError(Exception):
    """A command ended with an error; the message is the end of what it printed."""


@dataclass(frozen=True)
class Row:
    """One way to do the work: command lines, timed from the first start to the last exit."""

    key: str
    name: str
    threads: str
    """The thread setting, in words."""
    commands: Callable[[Path], list[list[str]]]
    """Makes the command lines, which write to the folder that is given."""
    at_once: bool = False
    """Whether the commands run side by side or one after the other."""
    one_thread: bool = False
    """Whether the environment variables ask for one thread; else they ask for nothing."""
    hashes: Callable[[Path], Hashes] | None = None
    """Reads what the runs came to; None where that is not looked at."""

    def seconds(self, folder: Path) -> float:
        """Wall clock of the whole row.

        Raises:
            RowFailedError: when a command fails.
        """
        commands = self.commands(folder)
        started = time.perf_counter()
        if self.at_once:
            _run_side_by_side(commands, self._environment(), folder)
        else:
            for command in commands:
                _run_side_by_side([command], self._environment(), folder)
        return time.perf_counter() - started

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in THREADS}
        return {**inherited, **OFFLINE, **(dict.fromkeys(THREADS, "1") if self.one_thread else {})}


@dataclass
class Measured:
    """The seconds of each row, round by round, and what the runs came to."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    hashes: dict[str, list[Hashes]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """The rows that failed, and how; they are measured no more."""

    def ratios(self, key: str, other: str) -> list[float] | None:
        """One row by another, round by round; None where one of them was not measured."""
        ours, theirs = self.seconds.get(key, []), self.seconds.get(other, [])
        if {key, other} & set(self.failures) or not ours or len(ours) != len(theirs):
            return None
        return [a / b for a, b in zip(ours, theirs, strict=True)]


def measure(
    rows: Sequence[Row], rounds: int, also: Callable[[Row, Path], Mapping[str, float]]
) -> Measured:
    """Run every row in every round, each second round in reverse order.

    `also` reads further seconds from the folder that a row has written.
    """
    measured = Measured()
    for number in range(rounds):
        for row in rows if number % 2 == 0 else reversed(rows):
            if row.key not in measured.failures:
                seconds = _measure_row(row, measured, also)
                tell(f"round {number + 1} of {rounds}: {row.name}, {row.threads}: {seconds}")
    return measured


def _measure_row(
    row: Row, measured: Measured, also: Callable[[Row, Path], Mapping[str, float]]
) -> str:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        try:
            seconds = row.seconds(Path(folder))
        except RowFailedError as error:
            measured.failures[row.key] = str(error)
            return f"FAILED\n{error}"
        for key, value in {row.key: seconds, **also(row, Path(folder))}.items():
            measured.seconds.setdefault(key, []).append(value)
        if row.hashes:
            measured.hashes.setdefault(row.key, []).append(row.hashes(Path(folder)))
    return f"{seconds:.2f} s"


def _run_side_by_side(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path
) -> None:
    outputs = [folder / f"output-{number}.txt" for number in range(len(commands))]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command, output in zip(commands, outputs, strict=True):
            with output.open("wb") as file:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            processes.append(process)
        for process, output in zip(processes, outputs, strict=True):
            _await(process, output)
    finally:
        for process in processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _await(process: subprocess.Popen[bytes], output: Path) -> None:
    try:
        code = process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise RowFailedError(f"not ready after {LIMIT_SECONDS:.0f} s") from None
    if code:
        tail = output.read_text(errors="replace").strip().splitlines()[-15:]
        raise RowFailedError("\n".join((f"exit code {code}", *tail)))


def machine() -> str:
    """The cores, and how busy they are; only figures of a quiet machine mean anything."""
    return f"cores: {CORES}; busy with something else before: {os.getloadavg()[0]:.1f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the range in brackets."""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def tell(text: str) -> None:
    """Say how far the benchmark is, apart from its table."""
    print(text, file=sys.stderr, flush=True)
