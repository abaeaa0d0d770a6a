"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 300.0
"""What has not happened by then never will: a guard against hanging, and no measure of speed."""
POLL_SECONDS = 0.01


def wait_until(
    holds: Callable[[], object], what: str = "it holds", seconds: float = HANG_SECONDS
) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: naming it when it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)
