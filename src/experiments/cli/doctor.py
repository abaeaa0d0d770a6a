"""``experiments doctor``: what this machine offers, and whether anything needed is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..domain.errors import install_extra
from . import wording
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose

if TYPE_CHECKING:
    from ..monitoring import GpuDevice
    from ..monitoring.machine import Machine

SLOWEST_GOOD_DISK = 20.0
"""MiB per second below which checkpoints and journals would be felt."""

Group = tuple[str, list[tuple[str, str]]]


def doctor(
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    env_file: Annotated[
        Path,
        typer.Option(
            "--env-file", metavar="FILE", help="Settings file; the names that it sets are listed."
        ),
    ] = Path(".env"),
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Examine this machine: versions, threads, GPU, disk, extras, settings, trackers."""
    from ..monitoring.machine import examine_machine

    machine = examine_machine(output_dir, env_file)
    found = list(problems(machine))
    exit_code = 1 if found else 0
    if json:
        _write_json(machine, found, exit_code)
    else:
        _print(machine, found)
    return exit_code


def problems(machine: Machine) -> Iterator[str]:
    """What keeps experiments from running."""
    from ..monitoring.limits import FREE_DISK_FLOOR_MB

    for package, version in machine.packages.items():
        if version is None:
            yield f"{package} is not installed"
    if machine.disk.write_mb_per_second is None:
        yield f"{machine.disk.folder} cannot be written ({machine.disk.problem})"
    elif machine.disk.free_mb is not None and machine.disk.free_mb < FREE_DISK_FLOOR_MB:
        yield f"only {wording.megabytes(machine.disk.free_mb)} are free in {machine.disk.folder}"


def advice(machine: Machine) -> Iterator[str]:
    """What would make experiments slower or incomplete, without stopping them."""
    speed = machine.disk.write_mb_per_second
    if speed is not None and speed < SLOWEST_GOOD_DISK:
        yield f"the disk of {machine.disk.folder} is slow ({speed:.0f} MiB/s)"
    for answer in machine.trackers:
        if not answer.reachable:
            yield f"{answer.tracker} does not answer at {answer.address} ({answer.problem})"


def groups(machine: Machine) -> list[Group]:
    """Everything that was found, as names and texts under headings."""
    packages = [(name, version or "missing") for name, version in machine.packages.items()]
    return [
        ("versions", [("python", machine.python), ("platform", machine.platform), *packages]),
        ("threads", _threads(machine)),
        ("memory", _memory(machine)),
        ("GPU", _gpus(machine)),
        ("disk", _disk(machine)),
        ("extras", [(each.name, _extra(each.missing, each.name)) for each in machine.extras]),
        ("settings", _settings(machine)),
        ("trackers", _trackers(machine)),
    ]


def conclusion(machine: Machine, found: list[str]) -> str:
    """One line: ready, ready with a remark, or not."""
    if found:
        return f"not ready: {'; '.join(found)}"
    remarks = list(advice(machine))
    return f"ready, but {'; '.join(remarks)}" if remarks else "ready"


def _threads(machine: Machine) -> list[tuple[str, str]]:
    threads = machine.threads
    variables = ", ".join(f"{name}={value}" for name, value in threads.variables.items())
    return [
        ("cores", f"{threads.cores_usable:g} usable of {threads.cores_logical}"),
        ("variables", variables or "none set"),
        ("training", "one thread per process, unless the file's torch_threads says otherwise"),
    ]


def _memory(machine: Machine) -> list[tuple[str, str]]:
    free = wording.megabytes(machine.memory_available_mb)
    return [("free for runs", f"{free} of {wording.megabytes(machine.memory_mb)}")]


def _gpus(machine: Machine) -> list[tuple[str, str]]:
    """The devices by the names that ``--device`` takes, then those that no run gets."""
    from ..monitoring import VISIBLE_DEVICES, visible_devices

    if not machine.gpus:
        return [("devices", "none; training runs on the CPU")]
    shown = visible_devices(machine.gpus, machine.visible_devices)
    hidden = [gpu for gpu in machine.gpus if gpu not in shown]
    lines = [(f"cuda:{number}", _gpu(gpu)) for number, gpu in enumerate(shown)]
    lines += [("hidden", f"{_gpu(gpu)} (number {gpu.index} of nvidia-smi)") for gpu in hidden]
    if machine.visible_devices is not None:
        lines.append((VISIBLE_DEVICES, machine.visible_devices or "empty: no run gets a GPU"))
    return lines


def _gpu(gpu: GpuDevice) -> str:
    if gpu.memory_free_mb is None:
        return f"{gpu.name}, does not report its memory"
    free, total = wording.megabytes(gpu.memory_free_mb), wording.megabytes(gpu.memory_total_mb)
    return f"{gpu.name}, {free} free of {total}"


def _disk(machine: Machine) -> list[tuple[str, str]]:
    disk = machine.disk
    speed = disk.write_mb_per_second
    written = (
        f"{speed:,.0f} MiB/s, synced to disk" if speed is not None else f"none: {disk.problem}"
    )
    return [
        ("folder", str(disk.folder)),
        ("free", wording.megabytes(disk.free_mb)),
        ("writing", written),
    ]


def _extra(missing: tuple[str, ...], name: str) -> str:
    return "installed" if not missing else f"absent; {install_extra(name)}"


def _settings(machine: Machine) -> list[tuple[str, str]]:
    env_file = machine.env_file
    names = ", ".join(env_file.names) or "sets nothing"
    return [(str(env_file.path), names if env_file.present else "absent")]


def _trackers(machine: Machine) -> list[tuple[str, str]]:
    if not machine.trackers:
        return [("configured", "none")]
    return [
        (answer.tracker, f"{answer.address}: {'answers' if answer.reachable else answer.problem}")
        for answer in machine.trackers
    ]


def _write_json(machine: Machine, found: list[str], exit_code: int) -> None:
    from dataclasses import asdict

    from .json_output import write_object

    write_object(
        {
            **asdict(machine),
            "problems": found,
            "advice": list(advice(machine)),
            "conclusion": conclusion(machine, found),
            "exit_code": exit_code,
        }
    )


def _print(machine: Machine, found: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from .screen import results_console

    screen = results_console()
    for heading, lines in groups(machine):
        screen.print(Text(heading, style="bold"))
        grid = Table.grid(padding=(0, 2))
        for name, text in lines:
            grid.add_row(f"  {wording.printable(name)}", Text(wording.printable(text)))
        screen.print(grid)
    style = "red" if found else "yellow" if any(advice(machine)) else "green"
    screen.print(Text(wording.printable(conclusion(machine, found)), style=style), soft_wrap=True)
