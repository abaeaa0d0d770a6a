"""``experiments report``: the report of an experiment that lies there, written anew."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from src.experiments.tracking.ledger import RunEntry, TellingState, TrackerEntry, write_entry
from src.experiments.tracking.manifest import write_manifest
from tests.integration.verdict_commands import Terminal
from tests.unit.compared_experiments import LATE, RISING, finished, new
from tests.unit.written_experiments import write_session
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(capsys, tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> Experiment:
    return finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE}, comment="<b>Late</b>")


def test_the_whole_report_is_written_from_the_journals_and_its_path_is_printed(
    terminal: Terminal, pair: Experiment
) -> None:
    write_session(
        pair, datetime(2030, 1, 2, tzinfo=UTC), "experiments", "run", "--resume", "e.json"
    )
    write_manifest(pair.paths)

    assert terminal("report", "pair") == f"{pair.paths.report_page}\n"

    page = pair.paths.report_page.read_text(encoding="utf-8")
    assert pair.comparison.sentence.split("(")[0].replace("'", "&#39;") in page
    assert "&lt;b&gt;Late&lt;/b&gt;" in page
    assert "experiments run --resume e.json" in page
    names = {path.name for path in pair.paths.report.iterdir()}
    assert {"index.html", "report.md", "learning_curves.png", "learning_curves.svg"} <= names


def test_the_manifest_tells_of_the_new_report(terminal: Terminal, pair: Experiment) -> None:
    write_manifest(pair.paths)

    found = terminal.told("report", "pair")

    assert found == {"experiment_id": "pair", "report": str(pair.paths.report_page)}
    listed = {each["path"]: each for each in json.loads(pair.paths.manifest.read_text())["files"]}
    digest = hashlib.sha256(pair.paths.report_page.read_bytes()).hexdigest()
    assert listed["report/index.html"]["sha256"] == digest


def test_a_policy_that_keeps_no_figures_gets_none(terminal: Terminal, tmp_path: Path) -> None:
    settings = {"storage": "hybrid", "trackers": ["tensorboard"]}
    experiment = finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE}, **settings)

    terminal("report", "pair")

    assert {path.name for path in experiment.paths.report.iterdir()} == {"index.html", "report.md"}


def test_what_only_a_tracker_has_is_looked_for_there(terminal: Terminal, pair: Experiment) -> None:
    url = "https://tracker.test/pair/1"
    told = {run: RunEntry(remote_id="1", url=url) for run in pair.runs()}
    entry = TrackerEntry(state=TellingState.COMPLETE, place="server").with_runs(told)
    write_entry(pair.paths.ledger, "clearml", entry)
    pair.paths.elsewhere.write_text("{}")

    assert terminal("report", "pair", code=2) == ""

    assert "journals and models were uploaded and are not kept here" in terminal.err
    assert str(pair.paths.elsewhere) in terminal.err
    assert url in terminal.err
    assert not pair.paths.report.exists()


def test_an_experiment_on_which_somebody_works_is_left_alone(
    terminal: Terminal, pair: Experiment
) -> None:
    with FileLock(pair.paths.lock):
        terminal("report", "pair", code=3)

    assert "the experiment is locked by another process" in terminal.err
    assert not pair.paths.report.exists()


def test_an_experiment_of_which_no_run_has_ended_has_no_report(
    terminal: Terminal, tmp_path: Path
) -> None:
    experiment = new(tmp_path, "fresh")
    experiment.publish()

    terminal("report", "fresh", code=2)

    assert "there is nothing to report: no run has ended yet" in terminal.err
    assert not experiment.paths.report.exists()


def test_an_unknown_id_names_the_nearest(terminal: Terminal, pair: Experiment) -> None:
    terminal("report", "pear", code=2)

    assert "did you mean pair?" in terminal.err


@pytest.mark.integration
@pytest.mark.slow
def test_the_report_of_a_trained_experiment_comes_out_as_the_runner_wrote_it(
    terminal: Terminal,
) -> None:
    words = [
        *("run", "configs/quickstart.json", 'experiment_id="trained"', "seeds=[1,2]"),
        *("baseline_config.training_steps=512", "baseline_config.hyperparameters.n_steps=256"),
        *("evaluation.frequency=256", "evaluation.final_episodes=5", "--mode", "parallel"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "src.experiments", *words, "--output-dir", terminal.output_dir],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = terminal.output_dir / "trained" / "report"
    written = {name: (report / name).read_bytes() for name in ("report.md", "learning_curves.svg")}

    shutil.rmtree(report)
    terminal("report", "trained")

    assert {name: (report / name).read_bytes() for name in written} == written


# --- in a browser ------------------------------------------------------------------------------


def opening(page: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from src.experiments.cli.reporting import open_page\n"
        "print(open_page(Path(sys.argv[1])))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, page],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_the_page_is_opened_in_the_browser_that_the_user_has_chosen(tmp_path: Path) -> None:
    page = tmp_path / "a page & more.html"
    page.write_text("<p>")
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    browser.chmod(0o700)

    done = opening(page, PATH=os.environ["PATH"], BROWSER=f"{browser} %s")

    assert done.stdout == "True\n", done.stderr
    assert seen.read_text() == f"file://{tmp_path}/a%20page%20%26%20more.html"


def test_without_a_browser_the_path_is_told(tmp_path: Path) -> None:
    assert shutil.which("x-www-browser", path=str(tmp_path)) is None

    done = opening(tmp_path / "index.html", PATH=str(tmp_path))

    assert done.stdout == "False\n"
    assert f"open {tmp_path}/index.html yourself" in done.stderr
