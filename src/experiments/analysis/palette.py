"""The colours of every figure: Okabe and Ito's, which colour-blind readers can tell apart."""

import math

ARM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""On white: baseline blue, first variant vermilion."""
INK = "#1b1f24"
MUTED = "#59636e"
RULE = "#d8dde3"

ON_DARK = {
    "#0072B2": "#56A8E0",
    "#D55E00": "#F58A42",
    "#009E73": "#2BC499",
    "#CC79A7": "#E3A3C6",
    INK: "#e6e9ed",
    MUTED: "#9aa4b0",
    RULE: "#333a44",
}
"""The same hues on a dark page."""

MOST_LARGE_DOTS = 20
"""With more runs in a column dots become smaller, so that they stay apart."""

COLUMN_WIDTH = 0.44


def arm_colour(index: int) -> str:
    """The colour of an arm, the baseline being the first."""
    return ARM_COLOURS[index % len(ARM_COLOURS)]


def faint(colour: str, opacity: float) -> str:
    """The colour with that opacity, in digits behind its own, which stay when it is swapped.

    Many translucent layers on a dark page would each darken it by a rounding error.
    """
    return f"{colour}{round(255 * opacity):02x}"


def dot_size(largest: int, count: int) -> float:
    """The size of dots of which there are so many in a column."""
    if count <= MOST_LARGE_DOTS:
        return largest
    return round(largest * max(0.3, math.sqrt(MOST_LARGE_DOTS / count)), 1)


def column_offsets(count: int) -> list[float]:
    """Where the dots of a column stand beside its middle; columns are one apart."""
    if count < 2:
        return [0.0] * count
    return [COLUMN_WIDTH * (rank / (count - 1) - 0.5) for rank in range(count)]
