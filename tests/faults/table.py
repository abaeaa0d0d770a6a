"""Every fault that the program promises to survive, with the functions that try it."""

import signal
import sys
from functools import partial

from . import tracing, volume
from .figures import Row
from .rows import (
    canaries,
    corruption,
    disk,
    files,
    killing,
    limits,
    links,
    many,
    numbers,
    sharing,
    stopping,
    syscalls,
    trackers,
    workers,
)

ALL = sys.maxsize
"""As many as there are, which is found out first."""

ROWS = (
    Row(
        "kill-all",
        "SIGKILL of all processes at a random instant",
        200,
        2,
        killing.kills_of_everything,
    ),
    Row(
        "kill-orchestrator",
        "SIGKILL of the orchestrator only",
        50,
        2,
        killing.kills_of_the_orchestrator,
    ),
    Row(
        "kill-at-call",
        "kill at the N-th rename, fsync, write",
        ALL,
        3,
        syscalls.kills_at_calls,
        note="every N of a small pair that trains in the command's own process",
        why_not=tracing.why_not,
    ),
    Row(
        "kill-worker-at-call",
        "the same in a training process of its own",
        15,
        1,
        syscalls.kills_of_workers_at_calls,
        note="N = 1 to 5 of each call, counted from its first journal rows on",
        why_not=tracing.why_not,
    ),
    Row(
        "disk-full",
        "ENOSPC on a small tmpfs, by fill level",
        20,
        1,
        disk.full_disks,
        why_not=volume.why_not,
    ),
    Row(
        "disk-broken",
        "EIO from some fsync on",
        5,
        1,
        disk.broken_disks,
        why_not=tracing.why_not,
    ),
    Row(
        "worker-dies",
        "worker SIGKILL, SIGSEGV, os._exit under abort, retry, skip",
        9,
        3,
        workers.deaths_under_policies,
    ),
    Row(
        "memory",
        "memory limit breached; memory really short",
        4,
        1,
        limits.shortages_of_memory,
        note="the limit under each policy; a control group, else a bounded address space",
    ),
    Row(
        "hang",
        "environment hangs in step, reset, close; worker SIGSTOPped",
        4,
        1,
        limits.hangs,
    ),
    *(
        Row(
            number.name.lower(),
            f"{number.name} at a random instant, also while saving",
            50,
            2,
            partial(stopping.stops, number),
            note="a third while a checkpoint is saved, a fifth twice",
        )
        for number in (signal.SIGINT, signal.SIGTERM)
    ),
    Row(
        "checkpoint-damaged",
        "checkpoint truncated, bit-flipped, emptied, swapped, from the future",
        100,
        2,
        corruption.damaged_checkpoints,
        note="a quarter with no good one left",
    ),
    Row(
        "experience-damaged",
        "stored experience damaged",
        20,
        1,
        corruption.damaged_experience,
        note="half with no good checkpoint left",
    ),
    Row("two-at-once", "two orchestrators on one id at once", 50, 2, sharing.two_at_once),
    Row(
        "file-edited",
        "configuration edited before resume",
        5,
        1,
        sharing.edited_files,
        note="conditions may change; the design with --override-design",
    ),
    Row(
        "bad-files",
        "experiment file that cannot be carried out",
        len(files.CASES),
        2,
        files.bad_files,
        note="exit code 2, its message, nothing written",
        is_shared=False,
    ),
    Row(
        "not-finite",
        "NaN or Inf in reward, observation, loss",
        6,
        1,
        numbers.not_finite,
    ),
    Row(
        "tracker",
        "tracker unreachable, 401, 500, killed, frozen in mid-run",
        2 * len(trackers.FAULTS),
        4,
        trackers.failing_servers,
        note="ClearML and W&B by their SDKs; then told by sync, twice",
    ),
    Row(
        "canaries",
        "canary secrets, all outputs scanned, process arguments",
        60,
        3,
        canaries.canaries,
        note="files, output, arguments, requests to ClearML and W&B, offline runs, event files",
    ),
    Row(
        "clean",
        "symlink, hardlink, .. and mount layouts under clean",
        ALL,
        8,
        links.layouts,
    ),
    Row(
        "many-runs",
        f"{many.FULL_RUNS} small runs one after the other",
        many.FULL_RUNS,
        many.FEW_RUNS,
        many.many_runs,
        is_shared=False,
    ),
)
