"""The colours of both arms can be told apart, whatever eyes look at them."""

from __future__ import annotations

import numpy as np
import pytest

from src.experiments.analysis.palette import ARM_COLOURS, ON_DARK, faint

# Machado, Oliveira & Fernandes (2009), table 1, severity 1.0; on linear RGB
SEEN_BY = {
    "trichromats": np.eye(3),
    "protanopes": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopes": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopes": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = XYZ @ np.ones(3)
EASILY_TOLD = 30.0
"""Of CIELAB's distance, in which about 2 is the least that is seen."""


def linear(colour):
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(colour, seen_by):
    seen = np.clip(np.array(SEEN_BY[seen_by]) @ linear(colour), 0, 1)
    x, y, z = np.cbrt(XYZ @ seen / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_distance_is_the_published_one_for_red_and_green():
    # CIELAB of sRGB's primaries: (53.24, 80.09, 67.20) and (87.73, -86.18, 83.18)
    assert lab("#ff0000", "trichromats") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert lab("#00ff00", "trichromats") == pytest.approx([87.73, -86.18, 83.18], abs=0.05)


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("page", ["light", "dark"])
def test_baseline_and_variant_differ(seen_by, page):
    baseline, variant = (ON_DARK[c] if page == "dark" else c for c in ARM_COLOURS[:2])

    assert np.linalg.norm(lab(baseline, seen_by) - lab(variant, seen_by)) > EASILY_TOLD


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize(("page", "background"), [("light", "#ffffff"), ("dark", "#171b21")])
def test_both_stand_out_from_the_page(seen_by, page, background):
    for colour in ARM_COLOURS[:2]:
        shown = ON_DARK[colour] if page == "dark" else colour
        assert np.linalg.norm(lab(shown, seen_by) - lab(background, seen_by)) > EASILY_TOLD


def test_a_faint_colour_keeps_the_digits_by_which_it_is_swapped():
    assert faint("#0072B2", 0.35) == "#0072B259"
