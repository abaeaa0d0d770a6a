"""The report: complete, inert whatever it is told, and without any outside resource."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from src.experiments.analysis import ReportContent, aggregate, compare
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import ExperimentStatus, RunKey, RunStatus, TrainingResult
from src.experiments.domain.storage_policy import Storage, StoragePolicy
from src.experiments.domain.verdicts import DecisionRule
from tests.unit.reported import (
    FEW_FIGURES,
    FIVE,
    HOSTILE,
    SHA,
    SINGLE,
    content,
    curves,
    hostile_content,
    journal,
    result,
    write_report,
)


class Page(HTMLParser):
    """The parts of a page that could act, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skipping = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._skipping = tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._skipping = False

    def handle_data(self, data):
        if not self._skipping:
            self.text += data


@pytest.fixture
def paths(tmp_path):
    return ExperimentPaths.under(tmp_path / "results", "learning_rate")


@pytest.fixture
def write(paths):
    def written(report, policy=None):
        path = write_report(paths, report, policy or StoragePolicy())
        return path.read_text(encoding="utf-8")

    return written


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """The files of one report with everything in it, by name."""
    paths = ExperimentPaths.under(tmp_path_factory.mktemp("results"), "learning_rate")
    write_report(paths, content(FIVE, warnings=("Two settings differ.",)), StoragePolicy())
    return {file.name: file.read_bytes() for file in paths.report.iterdir()}


@pytest.fixture(scope="module")
def five_page(five):
    return five["index.html"].decode()


@pytest.fixture(scope="module")
def single_page(tmp_path_factory):
    paths = ExperimentPaths.under(tmp_path_factory.mktemp("results"), "single")
    return write_report(paths, content(SINGLE), StoragePolicy()).read_text(encoding="utf-8")


# --- what is told ------------------------------------------------------------------------------


def test_the_report_is_a_page_a_markdown_file_and_the_figures(five):
    figures = ("cpu", "final_returns", "learning_curves", "memory", "training_returns")
    files = [f"{name}.{kind}" for name in figures for kind in ("png", "svg")]
    assert sorted(five) == sorted(["index.html", "report.md", *files])
    assert five["learning_curves.png"].startswith(b"\x89PNG")
    assert b"<svg" in five["learning_curves.svg"]


def test_the_page_tells_the_verdict_the_runs_the_difference_and_the_origin(five_page):
    text = Page(five_page).text

    for expected in (
        "Variant better",
        content(FIVE).comparison.sentence,
        "A higher learning rate learns faster",
        "hyperparameters.learning_rate",
        "library default",
        "CartPole-v0 runs as CartPole-v1.",
        "Two settings differ.",
        "A single seed says nothing about the algorithm",
        "10,240",
        "2,560",
        SHA[:10],
        "seed 46",
        "eb2a7c6",
        "2025-11-21 07:30 UTC",
        "python -m src.experiments.runner --config exp.json",
        "Hedges' g",
    ):
        assert expected in text


def test_markdown_tells_the_same(five):
    markdown = five["report.md"].decode()

    assert markdown.startswith("# A higher learning rate learns faster\n")
    assert "**▲ Variant better.**" in markdown
    assert "![Evaluation](learning_curves.png)" in markdown
    assert "| baseline, seed 42 | completed | 1.00 |" in markdown
    assert "hyperparameters.learning\\_rate | 0.0003 (library default) | 0.001 |" in markdown


def test_the_interval_is_drawn_only_where_there_is_one(five_page, single_page):
    assert 'class="track"' in five_page
    assert 'class="track"' not in single_page


def test_the_drawing_shows_the_margin_and_stays_inside_its_frame(write):
    page = write(content(FIVE, DecisionRule(equivalence_margin=20.0), **FEW_FIGURES))

    places = [float(value) for value in re.findall(r'style="left:(-?[\d.]+)%', page)]
    assert len(places) == 8
    assert all(0 <= place <= 100 for place in places)
    assert 'class="margin"' in page


def test_a_single_seed_has_no_band_and_no_mean_bar(single_page):
    figures = _figures(single_page)

    assert all("fill" not in trace for trace in figures["learning_curves"]["data"])
    assert figures["final_returns"]["layout"]["shapes"] == []
    names = [trace["name"] for trace in figures["learning_curves"]["data"]]
    assert names == ["baseline, seed 42", "variant, seed 42"]


def test_several_seeds_have_a_band_about_the_difference_and_each_seed_behind(five_page):
    figures = _figures(five_page)
    below = [t for t in figures["learning_curves"]["data"] if t.get("yaxis") == "y2"]

    band, difference = below[0], next(t for t in below if t.get("name") == "difference")
    assert band["fill"] == "toself"
    assert difference["y"] == pytest.approx([10.1] * 3)  # 13.1 against 3 at every step
    assert min(band["y"]) < 10.1 < max(band["y"])
    thin = [t for t in figures["learning_curves"]["data"] if t["line"]["color"].endswith("59")]
    assert len(thin) == 10
    # only one source decides, so that nothing is tested twice
    assert all("yaxis" not in trace for trace in figures["training_returns"]["data"])


def test_both_arms_keep_their_colour_in_every_figure(five_page):
    figures = _figures(five_page)

    for name in ("learning_curves", "training_returns"):
        arms = [t for t in figures[name]["data"] if t.get("yaxis") != "y2"]
        colours = {t["name"][:8]: t["line"]["color"] for t in arms}
        assert colours["baseline"] == "#0072B2"
        assert colours["variant,"] == "#D55E00"
    dots = [trace["marker"]["color"] for trace in figures["final_returns"]["data"]]
    assert dots == ["#0072B2", "#D55E00"]


def test_a_failed_run_shows_its_error_and_the_remedy(write):
    run = RunKey("variant", 46)
    report = content(
        FIVE,
        error="non-finite loss at step 4096",
        remedies={run: "lower the learning rate"},
        status=ExperimentStatus.FAILED,
        **FEW_FIGURES,
    )
    text = Page(write(report)).text

    assert "1 run did not complete" in text
    assert "non-finite loss at step 4096" in text
    assert "lower the learning rate" in text
    assert "4 of 5 scored" in text
    assert "--experiment-id learning_rate" in text


def test_a_failed_run_without_a_known_remedy_points_to_its_log(write):
    text = Page(write(content(FIVE, error="crashed", **FEW_FIGURES))).text

    assert "logs/variant_training.log" in text


def test_an_experiment_without_any_result_still_has_a_report(write):
    runs: dict[str, list[TrainingResult]] = {"baseline": [], "variant": []}
    empty = ReportContent("x", "Nothing yet", compare(runs, DecisionRule()), arms={})

    page = Page(write(empty))
    assert "Insufficient evidence" in page.text
    assert "script" not in [tag for tag, _ in page.tags]


def test_a_run_that_was_cut_short_has_a_report(write):
    cut_short = curves({RunKey("baseline", 42): []})
    report = content(FIVE, curves=cut_short, resources={}, provenance={})

    assert "Variant better" in Page(write(report)).text


def test_a_non_finite_value_in_a_journal_leaves_a_gap(write):
    journals = {RunKey("baseline", 42): journal(float("nan")), RunKey("variant", 42): journal(1.0)}
    figures = _figures(write(content(SINGLE, curves=curves(journals))))

    assert figures["learning_curves"]["data"][0]["y"] == [None, None, None]


# --- many runs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The page and the Markdown of a report on 2 x 150 runs, of which 30 failed."""
    runs = {
        arm: [
            result(arm, seed, float(seed), error="boom" if arm == "variant" and seed < 30 else None)
            for seed in range(150)
        ]
        for arm in ("baseline", "variant")
    }
    rule = DecisionRule()
    paths = ExperimentPaths.under(tmp_path_factory.mktemp("results"), "many")
    report = content(
        FIVE,
        comparison=compare(runs, rule),
        arms={arm: aggregate(arm, each) for arm, each in runs.items()},
        curves=curves(
            {RunKey(arm, run.seed): journal(1.0) for arm, each in runs.items() for run in each}
        ),
    )
    page = write_report(paths, report, StoragePolicy()).read_text(encoding="utf-8")
    return page, (paths.report / "report.md").read_text(encoding="utf-8")


def test_of_many_runs_some_are_drawn_and_the_page_says_so(many):
    traces = _figures(many[0])["learning_curves"]["data"]

    thin = [t for t in traces if t["line"]["color"].endswith("59")]
    dotted = [t for t in traces if t["line"].get("dash") == "dot" and t["line"]["width"] == 1]
    assert (len(thin), len(dotted)) == (40, 20)
    assert "at most 20 of an arm's seeds" in Page(many[0]).text
    assert _figures(many[0])["final_returns"]["data"][0]["marker"]["size"] < 11


def test_every_one_of_many_runs_is_in_the_table_and_the_arms_come_first(many):
    table = many[0][many[0].index("Arms and runs") :]

    assert table.count('<span class="seed">') == 300
    assert 'class="scroll tall"' in many[0]
    first = table[: table.index('<span class="seed">')]
    assert first.count("150 of 150 scored") + first.count("120 of 150 scored") >= 2
    assert many[1].count("| variant, seed ") == 150


def test_of_many_failures_some_are_told_one_by_one(many):
    page, markdown = many

    assert "30 runs did not complete" in Page(page).text
    assert page.count("<article>") == 20
    assert "And 10 more:" in Page(page).text
    assert "And 10 more:" in markdown
    assert "seed 9: failed, and 20 more" in Page(page).text


def test_a_run_that_is_still_to_come_is_queued_in_the_table_and_no_failure(write):
    runs = {arm: [result(arm, 1, 5.0), result(arm, 2, 6.0)] for arm in ("baseline", "variant")}
    runs["variant"][1] = replace(runs["variant"][1], success=False, status=RunStatus.QUEUED)
    report = content(
        FIVE,
        comparison=compare(runs, DecisionRule()),
        arms={arm: aggregate(arm, each) for arm, each in runs.items()},
        status=ExperimentStatus.FAILED,
        curves=curves({RunKey("variant", seed): journal(1.0) for seed in (1, 2)}),
    )
    page = write(report)

    assert "did not complete" not in Page(page).text
    assert page.count('<span class="status queued">queued</span>') == 1
    assert "1 of 2 scored" in Page(page).text
    names = [trace["name"] for trace in _figures(page)["learning_curves"]["data"]]
    assert "variant, seed 1" in names  # what seed 2 has trained is no part of a mean


# --- hostile text ------------------------------------------------------------------------------


def test_hostile_text_is_shown_and_never_obeyed(write, five_page):
    harmless, attacked = Page(five_page), Page(write(hostile_content()))

    def scripts(page):
        return sum(tag == "script" for tag, _ in page.tags)

    assert scripts(attacked) == scripts(harmless) == 4
    assert all("onerror" not in attributes for _, attributes in attacked.tags)
    assert attacked.text.count(HOSTILE) >= 10


def test_text_cannot_turn_its_direction_or_hide(write, paths):
    page = write(hostile_content())
    markdown = (paths.report / "report.md").read_text(encoding="utf-8")

    visible = page[: page.index('<script type="application/json"')]
    assert "\u202e" not in visible + markdown
    assert "\\u202eright to left" in visible


def test_hostile_text_is_inert_in_markdown(write, paths):
    write(hostile_content())
    markdown = (paths.report / "report.md").read_text(encoding="utf-8")

    outside_commands = [line for line in markdown.splitlines() if not line.startswith("    ")]
    assert not any("<script" in line or "<img" in line for line in outside_commands)


def test_data_inside_a_script_element_cannot_end_it():
    from src.experiments.analysis.page import embedded_json

    embedded = embedded_json({"name": "</script><!-- & \u2028", "nan": float("nan")})

    assert not set("<>&\u2028") & set(embedded)
    assert json.loads(embedded) == {"name": "</script><!-- & \u2028", "nan": None}


def test_a_hostile_arm_name_is_inert_in_the_figures(write):
    values = {HOSTILE: FIVE["baseline"], "variant": FIVE["variant"]}

    assert sum(tag == "script" for tag, _ in Page(write(content(values))).tags) == 4


def test_secrets_appear_nowhere(write, paths):
    secret = "correct-horse-battery"
    page = write(
        content(
            FIVE,
            hypothesis=f"does {secret} help",
            provenance={"environment": {"WANDB_API_KEY": "0123456789", "note": secret}},
            command=f"run --key {secret}",
            secrets={secret},
            **FEW_FIGURES,
        )
    )
    markdown = (paths.report / "report.md").read_text(encoding="utf-8")

    assert secret not in page + markdown
    assert "0123456789" not in Page(page).text
    assert "[redacted]" in page


# --- the file itself ---------------------------------------------------------------------------


def test_the_page_asks_for_nothing_outside_itself(five_page):
    page = Page(five_page)

    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    policies = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policies[0].startswith("default-src 'none'")


def test_the_still_figures_are_in_the_page_for_readers_without_scripts(five_page):
    images = [attrs for tag, attrs in Page(five_page).tags if tag == "img"]

    assert len(images) == 5
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)
        assert image["alt"]


def test_the_same_content_gives_the_same_figures(five, write, paths):
    write(content(FIVE))

    for file in paths.report.glob("*.[ps][nv]g"):
        assert file.read_bytes() == five[file.name]


def test_hybrid_storage_keeps_figures_off_the_disk_and_in_the_page(write, paths):
    page = write(content(FIVE, resources={}), StoragePolicy(Storage.HYBRID))

    assert sorted(file.name for file in paths.report.iterdir()) == ["index.html", "report.md"]
    assert sum(tag == "img" for tag, _ in Page(page).tags) == 3
    assert "](" not in (paths.report / "report.md").read_text(encoding="utf-8")


def test_importing_the_room_loads_no_heavy_library():
    heavy = ("scipy.stats", "matplotlib", "plotly", "jinja2", "statsmodels", "torch")
    program = (
        "import sys, src.experiments.analysis;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )

    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert output.stdout.strip() == "[]"


def test_drawing_leaves_matplotlibs_settings_alone(write):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write(content(SINGLE, **FEW_FIGURES))

    assert dict(mpl.rcParams) == before


def _figures(page):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.S)
    return json.loads(found.group(1))
