"""What was paid beside training, in words."""

from __future__ import annotations


def diagnostics_cost(diagnostics_time: float, training_time: float) -> str | None:
    """The sentence for a log, a report, a terminal; None where nothing was measured.

    Args:
        diagnostics_time: seconds in further measurements.
        training_time: seconds in training, of the same runs.
    """
    if not diagnostics_time:
        return None
    seconds = f"{diagnostics_time:.1f}" if diagnostics_time >= 1 else f"{diagnostics_time:.1g}"
    took = f"diagnostics took {seconds} s"
    if not training_time:
        return took
    return f"{took}, {100.0 * diagnostics_time / training_time:.1f} % of training"
