"""``experiments export``: an experiment's results for other programs and for papers."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import write_results
from tests.integration.verdict_commands import Terminal
from tests.unit.compared_experiments import LATE, RISING, finished, new, train, write_journal
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
HOSTILE = '=HYPERLINK("http://x","y") \x1b[2J\u202e, "quoted"\nand a line'


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(capsys, tmp_path / "results")


@pytest.fixture
def pair(terminal: Terminal) -> Experiment:
    return finished(terminal.output_dir, "pair", {"baseline": RISING, "variant": LATE})


@pytest.fixture
def failed(terminal: Terminal) -> Experiment:
    """One of the variant's runs has failed, with a text that could do harm."""
    experiment = new(terminal.output_dir, "failed", seeds=[1, 2])
    experiment.begin()
    train(experiment, "baseline", RISING)
    train(experiment, "variant", LATE, seeds=[1])
    broken = {"seed": 2, "success": False, "status": RunStatus.FAILED, "error": HOSTILE}
    experiment.add_result("variant", broken)
    experiment.stop()
    experiment.save()
    write_results(experiment)
    return experiment


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def results_of(experiment: Experiment) -> dict[str, Any]:
    results: dict[str, Any] = json.loads(experiment.paths.results.read_text(encoding="utf-8"))
    return results


# --- csv ---------------------------------------------------------------------------------------


def test_csv_has_one_row_a_run_with_the_figures_of_the_results(
    terminal: Terminal, pair: Experiment
) -> None:
    rows = rows_of(terminal("export", "pair", "--format", "csv"))

    runs = results_of(pair)["runs"]
    assert [(row["arm"], int(row["seed"])) for row in rows] == [
        (run["arm"], run["seed"]) for run in runs
    ]
    assert [float(row["final_return"]) for row in rows] == [run["final_return"] for run in runs]
    assert {row["experiment_id"] for row in rows} == {"pair"}
    assert {row["error"] for row in rows} == {""}
    assert not terminal.err


def test_a_failed_run_stays_and_its_text_is_no_formula_and_steers_nothing(
    terminal: Terminal, failed: Experiment
) -> None:
    text = terminal("export", "failed", "--format", "csv")

    last = rows_of(text)[-1]
    assert (last["status"], last["final_return"]) == ("failed", "")
    assert last["error"] == ('\'=HYPERLINK("http://x","y") \\x1b[2J\\u202e, "quoted"\nand a line')


@pytest.mark.parametrize(
    ("what", "rows"),
    [("runs", 4), ("arms", 2), ("comparison", 1), ("evaluations", 32), ("metrics", 64)],
)
def test_each_table_has_its_rows(
    terminal: Terminal, pair: Experiment, what: str, rows: int
) -> None:
    table = rows_of(terminal("export", "pair", "--format", "csv", "--what", what))

    assert len(table) == rows
    assert all(None not in row and None not in row.values() for row in table)


def test_evaluations_and_metrics_are_those_of_the_journals(
    terminal: Terminal, pair: Experiment
) -> None:
    evaluations = rows_of(terminal("export", "pair", "-f", "csv", "--what", "evaluations"))
    metrics = rows_of(terminal("export", "pair", "-f", "csv", "--what", "metrics"))

    assert evaluations[0] == {
        "experiment_id": "pair",
        "arm": "baseline",
        "seed": "1",
        "step": "1000",
        "final": "false",
        "episodes": "",
        "eval/return_mean": "9.0",
    }
    last = [row for row in metrics if row["arm"] == "variant" and row["seed"] == "2"][-1]
    assert (last["step"], last["metric"], last["value"]) == ("8000", "eval/return_mean", "121.0")


# --- documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_documents_hold_the_whole_results_in_ascii(
    terminal: Terminal, failed: Experiment, form: str, parse: Any
) -> None:
    text = terminal("export", "failed", "--format", form)

    assert parse(text) == results_of(failed)
    assert text.isascii()
    assert "\x1b" not in text


def test_an_experiment_under_way_is_exported_as_far_as_it_is(
    terminal: Terminal, tmp_path: Path
) -> None:
    experiment = new(terminal.output_dir, "under-way", seeds=[1, 2])
    experiment.begin()
    train(experiment, "baseline", RISING, seeds=[1])
    experiment.save()
    write_journal(experiment, RunKey("variant", 1), LATE[:3])

    runs = json.loads(terminal("export", "under-way", "--format", "json"))["runs"]
    assert [run["status"] for run in runs] == ["completed", "queued", "queued", "queued"]
    assert terminal.err == "the experiment is stopped: these are its results so far\n"
    steps = rows_of(terminal("export", "under-way", "--format", "csv", "--what", "evaluations"))
    assert len(steps) == len(RISING) + 3


def test_latex_is_a_table_or_its_row_alone(terminal: Terminal, pair: Experiment) -> None:
    row = terminal("export", "pair", "--format", "latex", "--row-only")
    table = terminal("export", "pair", "--format", "latex")

    assert row == (
        r"pair & CartPole-v1 & 2 & $90.00 \pm 1.41$ & $120.0 \pm 1.4$ & $+30.00$ & "
        r"$[23.92,\, 36.08]$ & $0.33$ \\" + "\n"
    )
    assert row in table
    assert r"\toprule" in table


# --- parquet -----------------------------------------------------------------------------------


def test_parquet_keeps_values_and_types(
    terminal: Terminal, failed: Experiment, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "runs.parquet"

    terminal("export", "failed", "--format", "parquet", "--output", file)

    table = parquet.read_table(file)
    runs = results_of(failed)["runs"]
    assert table.to_pylist() == [{"experiment_id": "failed", **run} for run in runs]
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["seed"], types["final_return"], types["parameters_sha256"]) == (
        "int64",
        "double",
        "string",
    )
    assert types["deviations"].startswith("list<")


@pytest.mark.parametrize("what", ["arms", "comparison", "evaluations", "metrics"])
def test_every_table_is_written_as_parquet(
    terminal: Terminal, pair: Experiment, tmp_path: Path, what: str
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / f"{what}.parquet"

    terminal("export", "pair", "--format", "parquet", "--what", what, "--output", file)

    text = terminal("export", "pair", "--format", "csv", "--what", what)
    assert parquet.read_table(file).num_rows == len(rows_of(text))


def test_without_its_package_parquet_names_the_extra(
    terminal: Terminal, pair: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    file = tmp_path / "runs.parquet"

    terminal("export", "pair", "--format", "parquet", "--output", file, code=2)

    assert "remedy: pip install -e '.[parquet]' -c constraints.txt" in terminal.err
    assert not file.exists()


# --- where to ----------------------------------------------------------------------------------


def test_a_file_holds_what_standard_output_would(
    terminal: Terminal, pair: Experiment, tmp_path: Path
) -> None:
    file = tmp_path / "new folder" / "runs.csv"
    text = terminal("export", "pair", "--format", "csv", "--output", "-")

    assert terminal("export", "pair", "--format", "csv", "--output", file) == ""
    assert file.read_text(encoding="utf-8") == text
    assert [path.name for path in file.parent.iterdir()] == ["runs.csv"]


def test_a_link_stays_and_its_target_is_replaced(
    terminal: Terminal, pair: Experiment, tmp_path: Path
) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)

    terminal("export", "pair", "--format", "json", "--output", link)

    assert link.is_symlink()
    assert json.loads(target.read_text()) == results_of(pair)


def test_what_an_experiment_owns_is_not_overwritten(terminal: Terminal, pair: Experiment) -> None:
    before = pair.paths.results.read_bytes()

    terminal("export", "pair", "--format", "csv", "--output", pair.paths.results, code=2)

    assert "--output names a place among the experiment's own files" in terminal.err
    assert pair.paths.results.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["pair"], "Missing option '--format' / '-f'"),
        (["pair", "--format", "xml"], "Invalid value for '--format' / '-f'"),
        (["pair", "--format", "csv", "--what", "models"], "Invalid value for '--what'"),
        (["pear", "--format", "csv"], "no experiment pear exists"),
        (["pair", "--format", "json", "--what", "runs"], "--what runs applies to csv and parquet"),
        (["pair", "--format", "csv", "--row-only"], "--row-only applies to latex, not to csv"),
        (["pair", "--format", "parquet"], "parquet is binary"),
        (["pair", "--format", "parquet", "-o", "-"], "parquet is binary"),
        (["pair", "--format", "csv", "-o", "/"], "--output is not a regular file"),
        (["pair", "--format", "csv", "-o", "/dev/null"], "--output is not a regular file"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    terminal: Terminal, pair: Experiment, words: list[str], what: str
) -> None:
    assert terminal("export", *words, code=2) == ""

    assert terminal.err.startswith(f"error: {what}")
    assert "  remedy: " in terminal.err


def test_a_reader_that_goes_away_ends_it_quietly(pair: Experiment) -> None:
    # more than a pipe holds, so that it is still writing
    write_journal(pair, RunKey("baseline", 1), [1.0] * 4000)
    words = ["export", "pair", "--format", "csv", "--what", "metrics"]
    started = subprocess.Popen(
        [sys.executable, "-m", "src.experiments", *words, "--output-dir", pair.output_dir],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with started:
        started.stdout.readline()
        started.stdout.close()
        error = started.stderr.read()
        assert started.wait(HANG_SECONDS) == -signal.SIGPIPE
    assert error == b""


# --- what is not here --------------------------------------------------------------------------


def test_what_only_a_tracker_has_is_refused_and_results_are_still_exported(
    terminal: Terminal, pair: Experiment
) -> None:
    pair.paths.elsewhere.write_text("{}")

    assert terminal("export", "pair", "--format", "csv", "--what", "metrics", code=2) == ""
    assert "the metrics cannot be exported: journals and models were uploaded" in terminal.err
    assert len(rows_of(terminal("export", "pair", "--format", "csv"))) == 4


def test_a_complete_run_whose_journal_was_removed_is_not_left_out(
    terminal: Terminal, pair: Experiment
) -> None:
    pair.paths.run(RunKey("variant", 2)).journal.unlink()

    assert terminal("export", "pair", "--format", "csv", "--what", "evaluations", code=2) == ""
    assert "the journal of variant_seed2 is no longer here" in terminal.err


@pytest.mark.parametrize("damage", [{"runs": 3}, {"runs": [7]}, {"arms": []}, {"comparison": None}])
def test_results_that_are_none_are_refused(
    terminal: Terminal, pair: Experiment, damage: dict[str, Any]
) -> None:
    pair.paths.results.write_text(json.dumps(results_of(pair) | damage))

    assert terminal("export", "pair", "--format", "csv", code=1) == ""
    assert "it does not hold an experiment's results" in terminal.err


def test_a_secret_of_the_environment_is_not_exported(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "correct horse battery")
    experiment = new(terminal.output_dir, "leaky", seeds=[1])
    experiment.begin()
    broken = {"seed": 1, "success": False, "error": "login with correct horse battery refused"}
    experiment.add_result("baseline", broken)
    experiment.save()

    for form in ("csv", "json", "yaml"):
        text = terminal("export", "leaky", "--format", form)
        assert "login with [redacted] refused" in text
        assert "horse" not in text
