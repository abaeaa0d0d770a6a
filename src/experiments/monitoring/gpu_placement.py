"""Which GPU each run gets.

A run's process sees one device only, by ``CUDA_VISIBLE_DEVICES``, so that it cannot take memory on
another one. Inside it that device is ``cuda:0``: a run with the device ``cuda:3`` is trained as
``cuda`` there (`device_inside`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..domain.errors import UsageError
from ..domain.records import RunKey
from .gpu import GpuDevice

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
DEVICE_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA counts as NVML does, and not from the fastest device on."""


@dataclass(frozen=True)
class _Placed:
    """Where a run is, and how much memory it was promised."""

    name: str
    index: int | None
    memory_mb: float | None


class GpuPlacement:
    """Spreads runs over the GPUs by the memory that is free; one thread uses it.

    A run's memory is reckoned with from its placing on, before it is really taken. What a device
    has left for further runs is what its processes leave free, or, where that is less, what is
    left beside other programs when every run here has taken what it was promised.

    Args:
        devices: this machine's devices at one moment.
        visible: ``CUDA_VISIBLE_DEVICES`` of this process, whose devices alone are used; None for
            all of them.
    """

    def __init__(self, devices: Callable[[], Sequence[GpuDevice]], visible: str | None) -> None:
        self._devices = devices
        self._visible = visible
        self._placed: dict[RunKey, _Placed] = {}
        self._used_by_others: dict[str, float] = {}
        """MiB on each device that no run of this experiment takes."""

    def check(self, device: str) -> None:
        """Make sure that a device such as ``cuda:1`` is among those that may be used.

        Raises:
            UsageError: naming those that are; not where there is none at all.
        """
        candidates, number = self._candidates(), _number_of(device)
        if candidates and number is not None and number >= len(candidates):
            known = ", ".join(f"cuda:{each}" for each in range(len(candidates)))
            raise UsageError(
                f"device {device} is not available",
                where=None if self._visible is None else f"{VISIBLE_DEVICES}={self._visible}",
                remedy=f"choose among {known}, or 'cuda' for the one with the most free memory",
            )

    def place(self, run: RunKey, device: str, memory_mb: float | None) -> Mapping[str, str]:
        """Choose a run's device: the variables that its process needs; none without a GPU.

        Args:
            run: is placed anew where it has a device already.
            device: ``cpu``, ``cuda:N`` (the N-th visible one), ``cuda`` or ``auto``.
            memory_mb: what the run will take on the device; None where nothing is known.

        Raises:
            UsageError: as `check`.
        """
        self.release(run)
        if device == "cpu":
            return {VISIBLE_DEVICES: ""}
        self.check(device)
        candidates = self._candidates()
        if not candidates:
            return {}
        self._learn_of_others(candidates)
        number = _number_of(device)
        chosen = self._roomiest(candidates) if number is None else candidates[number]
        self._placed[run] = _Placed(_name(chosen), chosen.index, memory_mb)
        return {**DEVICE_ORDER, VISIBLE_DEVICES: _name(chosen)}

    def release(self, run: RunKey) -> None:
        """Forget a run that has ended; one that was never placed is no error."""
        self._placed.pop(run, None)

    def device_of(self, run: RunKey) -> int | None:
        """Index of the run's device as ``nvidia-smi`` counts; None where it has none."""
        placed = self._placed.get(run)
        return placed.index if placed else None

    def _candidates(self) -> list[GpuDevice]:
        return [] if self._visible == "" else visible_devices(self._devices(), self._visible)

    def _on(self, device: GpuDevice) -> list[_Placed]:
        return [placed for placed in self._placed.values() if placed.name == _name(device)]

    def _learn_of_others(self, devices: Sequence[GpuDevice]) -> None:
        for device in devices:
            used, name = device.memory_used_mb or 0.0, _name(device)
            if self._on(device):
                used = min(used, self._used_by_others.get(name, used))
            self._used_by_others[name] = used

    def _roomiest(self, devices: Sequence[GpuDevice]) -> GpuDevice:
        """The device with most memory left; where one does not tell it, that with fewest runs."""
        shares = [self._share(device) for device in devices]
        tells_all = None not in shares
        ranks = [
            (-(share or 0.0) if tells_all else 0.0, len(self._on(device)), position)
            for position, (device, share) in enumerate(zip(devices, shares, strict=True))
        ]
        return devices[min(ranks)[-1]]

    def _share(self, device: GpuDevice) -> float | None:
        """MiB for a further run, those of unknown needs getting an even share of what is left."""
        free, total = device.memory_free_mb, device.memory_total_mb
        if free is None or total is None:
            return None
        runs = self._on(device)
        promised = sum(placed.memory_mb for placed in runs if placed.memory_mb is not None)
        left = min(free, total - self._used_by_others[_name(device)] - promised)
        sharers = 1 + sum(placed.memory_mb is None for placed in runs)
        return left / sharers if left > 0 else left


def visible_devices(devices: Sequence[GpuDevice], visible: str | None) -> list[GpuDevice]:
    """The devices that CUDA shows, in its order: the N-th of them is ``cuda:N``.

    Args:
        devices: of this machine.
        visible: ``CUDA_VISIBLE_DEVICES``, indices (in the order of the PCI bus) or UUIDs, which
            may be cut short; None for all. As CUDA does, it is read up to the first unknown one.
    """
    if visible is None:
        return list(devices)
    shown: list[GpuDevice] = []
    for entry in visible.split(","):
        device = _named(devices, entry.strip())
        if device is None:
            break
        if device not in shown:
            shown.append(device)
    return shown


def device_inside(device: str) -> str:
    """The device's name in a process that sees one only: ``cuda:3`` is ``cuda`` there."""
    return "cuda" if device.startswith("cuda:") else device


def _named(devices: Sequence[GpuDevice], entry: str) -> GpuDevice | None:
    if entry.startswith("MIG-"):  # a part of a device, of which NVML tells less
        return GpuDevice(None, "MIG instance", None, None, None, uuid=entry)
    if entry.isdecimal():
        return next((device for device in devices if device.index == int(entry)), None)
    found = [device for device in devices if entry and (device.uuid or "").startswith(entry)]
    return found[0] if len(found) == 1 else None


def _name(device: GpuDevice) -> str:
    """How `VISIBLE_DEVICES` names it."""
    return device.uuid or str(device.index)


def _number_of(device: str) -> int | None:
    """N of ``cuda:N``; None for any other."""
    kind, _, number = device.partition(":")
    return int(number) if kind == "cuda" and number else None
