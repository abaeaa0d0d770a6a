"""The page in a real browser: quiet, alone, legible, and without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.experiments.analysis.report import write_page
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from src.experiments.domain.storage_policy import StoragePolicy
from tests.integration.chromium import chromium, executable
from tests.unit.reported import (
    FIVE,
    SINGLE,
    content,
    hostile_content,
    stopped_early,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium"),
]

PHONE, DESK, PAPER = 360, 1200, 718
BRACES = "{{ 7 * 7 }}{% raw %}${7 * 7}"
CONTENTS = {
    "five": lambda: content(FIVE, warnings=("Two settings differ.",)),
    "single": lambda: content(SINGLE),
    "failed": lambda: content(FIVE, error="boom", remedies={RunKey("variant", 46): "rest"}),
    "stopped": stopped_early,
    "hostile": lambda: hostile_content(experiment_id="a{{ 7 * 7 }}b", comment=BRACES, curves={}),
}
CONTRAST = """
(() => {
  const shares = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = shares(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *:not(svg, svg *, script, style)")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const [one, two] = [shares(getComputedStyle(element).color), behind(element)].map(light);
    const ratio = (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
    if (ratio < 4.5) poor.push([element.textContent.trim().slice(0, 40), ratio.toFixed(2)]);
  }
  return poor;
})()
"""
"""Texts whose contrast is below what WCAG 2.2 asks for (1.4.3, level AA)."""


class Pages(dict[str, Path]):
    """The path of every page by name, written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __missing__(self, name: str) -> Path:
        paths = ExperimentPaths.under(self._folder, name)
        self[name] = write_page(paths, CONTENTS[name](), StoragePolicy())
        return self[name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return Pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(Path(tmp_path_factory.mktemp("profile"))) as running:
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "dark")])
@pytest.mark.parametrize(
    "name",
    [
        "stopped",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("five", "single", "failed", "hostile")
        ),
    ],
)
def test_the_page_is_quiet_asks_for_nothing_and_never_scrolls_sideways(
    browser, pages, name, width, scheme
):
    browser.open(pages[name], width, scheme=scheme)

    asked = [told["request"]["url"] for told in browser.events("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]
    assert browser.events("Runtime.exceptionThrown") == []
    assert browser.events("Runtime.consoleAPICalled") == []
    assert [told["entry"]["text"] for told in browser.events("Log.entryAdded")] == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light")])
def test_everything_is_told_and_legible_in_any_light(browser, pages, width, scheme):
    browser.open(pages["stopped"], width, scheme=scheme)
    text = browser.evaluate("document.body.innerText")

    for expected in (
        "Variant better",
        "Error rate α",
        "P(variant > baseline)",
        "What differs between the arms",
        "Sequential monitoring",
        "rejected: stopped",
        "not needed",
        "Spent but not analysed",
        "1 completed and 1 cancelled",
        "Learning curves",
        "Over all steps together",
        "Sample efficiency",
        "Final return by seed",
        "Failures and retries",
        "Resources over time",
        "reproduce stopped",
        "Provenance",
    ):
        assert expected in text
    assert browser.evaluate(CONTRAST) == []


def test_the_page_follows_the_readers_choice_of_light_and_dark(browser, pages):
    seen = {}
    for scheme in ("light", "dark"):
        browser.open(pages["five"], scheme=scheme)
        line = "document.querySelector('#chart-learning_curves .scatterlayer .lines path').style"
        seen[scheme] = (
            browser.evaluate("getComputedStyle(document.body).backgroundColor"),
            browser.evaluate(f"{line}.stroke"),
        )

    assert seen["light"] == ("rgb(246, 247, 249)", "rgb(0, 114, 178)")
    assert seen["dark"] == ("rgb(15, 18, 22)", "rgb(86, 168, 224)")


def test_a_tab_shows_its_chart_and_hides_the_other(browser, pages):
    browser.open(pages["five"])
    shown = "[...document.querySelectorAll('#curves .chart')].map(chart => !chart.hidden)"
    before = browser.evaluate(shown)

    browser.evaluate("document.querySelector('[data-chart=training_returns]').click()")

    assert (before, browser.evaluate(shown)) == ([True, False], [False, True])
    drawn = "document.querySelectorAll('#chart-training_returns .scatterlayer .trace').length"
    assert browser.evaluate(drawn) > 0


@pytest.mark.parametrize("name", ["five", "stopped"])
def test_without_scripts_every_figure_is_a_picture_with_its_name(browser, pages, name):
    browser.open(pages[name], scripts=False)

    pictures = browser.evaluate(
        "[...document.querySelectorAll('.still')].map(each => each.complete"
        " && each.naturalWidth > 0 && each.getClientRects().length > 0)"
    )
    assert pictures == [True] * (6 if name == "stopped" else 5)
    assert browser.evaluate("document.querySelectorAll('.live:not([hidden])').length") == 0
    text = browser.evaluate("document.body.innerText")
    assert all(name in text for name in ("Evaluation", "Training episodes", "Memory", "CPU"))


def test_on_paper_every_figure_is_a_picture_and_no_table_is_cut(browser, pages):
    browser.open(pages["stopped"], PAPER)
    browser("Emulation.setEmulatedMedia", media="print")

    assert (
        browser.evaluate(
            "[...document.querySelectorAll('.chart')].map(chart => ["
            "chart.querySelector('.still').getClientRects().length > 0,"
            "chart.querySelector('.live').getClientRects().length > 0])"
        )
        == [[True, False]] * 6
    )
    assert (
        browser.evaluate(
            "[...document.querySelectorAll('table')].filter(table =>"
            " table.getBoundingClientRect().right > innerWidth).length"
        )
        == 0
    )
    browser("Emulation.setEmulatedMedia", media="")
    assert browser.pdf().startswith(b"%PDF-")


def test_hostile_text_is_read_and_does_nothing(browser, pages):
    browser.open(pages["hostile"])
    text = browser.evaluate("document.body.innerText")

    assert "<script>alert(1)</script>" in text
    assert '<img src=x onerror="alert(2)">' in text
    assert BRACES in text
    assert "a{{ 7 * 7 }}b" in text
    assert browser.events("Page.javascriptDialogOpening") == []
    assert browser.evaluate("document.querySelectorAll('img:not(.still), iframe').length") == 0
    assert browser.evaluate("document.scripts.length") == 4
