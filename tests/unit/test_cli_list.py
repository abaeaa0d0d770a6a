"""``experiments list``: filters, what the index may tell, and how it is printed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli import filters, overview, stored
from src.experiments.cli.app import main
from src.experiments.cli.filters import Filters, is_environment, moment_since
from src.experiments.cli.overview import Overview, overviews
from src.experiments.cli.overview_lines import fitted, overview_lines
from src.experiments.domain.errors import UsageError
from src.experiments.durability.experiment_index import INDEX_NAME
from src.experiments.durability.lock import FileLock
from tests.unit.compared_experiments import new

NOW = datetime(2030, 6, 15, 12, tzinfo=UTC)
LONG_AGO = 1_000_000_000_000_000_000


def write(output_dir: Path, experiment_id: str, **changes: Any) -> Path:
    """An experiment that has come to its verdict long ago."""
    root = output_dir / experiment_id
    root.mkdir(parents=True, exist_ok=True)
    config = {
        "seeds": [1],
        "tags": ["sweep", experiment_id],
        "comment": "c",
        "baseline_config": {"algorithm": "PPO", "environment": "LunarLander-v2"},
        "variant_config": {"algorithm": "A2C", "environment": "LunarLander-v2"},
        **changes.pop("config", {}),
    }
    status = changes.pop("status", "completed")
    saved = {
        "experiment_id": experiment_id,
        "status": status,
        "hypothesis": "h",
        "created_at": "2030-06-01T03:04:05+00:00",
        "config": config,
        **changes.pop("experiment", {}),
    }
    results = {
        "status": changes.pop("results_status", status),
        "runs": [{"status": "completed"}, {"status": "completed"}],
        "arms": {"baseline": {"environment": "LunarLander-v3"}},
        "comparison": {"verdict": "equivalent"},
    }
    assert not changes
    for path, content in (
        (root / f"experiment_{experiment_id}.json", saved),
        (root / "results.json", results),
    ):
        path.write_text(json.dumps(content))
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return root


def listed(
    output_dir: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> list[dict[str, Any]]:
    assert main(["list", "--json", "--output-dir", str(output_dir), *options]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["experiments"]
    return entries


def ids(output_dir: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    return [entry["experiment_id"] for entry in listed(output_dir, capsys, *options)]


# ---- filters


@pytest.fixture
def several(tmp_path: Path) -> Path:
    write(tmp_path, "first")
    write(tmp_path, "second", status="failed", experiment={"created_at": "2029-01-01T00:00:00"})
    pendulum = {"algorithm": "SAC", "environment": "my_module:Pendulum-v1"}
    write(tmp_path, "third", config={"tags": [], "baseline_config": pendulum})
    return tmp_path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["first", "second", "third"]),
        (["--tag", "sweep"], ["first", "second"]),
        (["--tag", "sweep", "--tag", "second"], ["second"]),
        (["--tag", "first", "--tag", "second"], []),
        (["--tag", "Sweep"], []),
        (["--env", "LunarLander-v2"], ["first", "second", "third"]),
        (["--env", "LunarLander-v3"], ["first", "second", "third"]),
        (["--env", "lunarlander"], ["first", "second", "third"]),
        (["--env", "LunarLander-v1"], []),
        (["--env", "Pendulum"], ["third"]),
        (["--env", "Pendulum-v1"], ["third"]),
        (["--env", "my_module:Pendulum-v1"], ["third"]),
        (["--env", "Lunar"], []),
        (["--algorithm", "ppo"], ["first", "second"]),
        (["--algorithm", "A2C"], ["first", "second", "third"]),
        (["--status", "FAILED"], ["second"]),
        (["--since", "2030-01-01"], ["first", "third"]),
        (["--since", "2030-06-01T03:04:05Z"], ["first", "third"]),
        (["--since", "2030-06-01T03:04:06"], []),
        (["--since", "2030-01-01", "--algorithm", "PPO", "--tag", "sweep"], ["first"]),
    ],
)
def test_filters_combine_with_and(
    several: Path, options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ids(several, capsys, *options) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31T12:00", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_since_is_a_date_a_moment_or_an_age(text: str, expected: datetime) -> None:
    assert moment_since(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-7d", "7 d", "7y", "٧d", "yesterday", "2030-13-01", "999999999w", "1e3d"],
)
def test_since_in_any_other_form_is_one_error_that_names_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        moment_since(text, NOW)

    assert refused.value.remedy == f"use {filters.SINCE_FORMS}"


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        (["--since", "\x1b[2Jnow"], "use a date (2030-01-31)"),
        (["--status", "done"], "use one of created, running, paused, completed, failed, stopped"),
    ],
)
def test_a_bad_value_is_refused_with_exit_code_2(
    several: Path, option: list[str], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--output-dir", str(several), *option]) == 2

    output = capsys.readouterr()
    assert output.err.startswith(f"error: {option[0]} ")
    assert f"\n  remedy: {remedy}" in output.err
    assert "\x1b" not in output.err
    assert not output.out


@pytest.mark.parametrize(
    ("asked", "is_it"),
    [("ALE/Pong-v5", True), ("ale/pong", True), ("Pong", False), ("ALE/Pong-v4", False)],
)
def test_a_version_may_be_left_out_and_nothing_else(asked: str, is_it: bool) -> None:
    assert is_environment(asked, ["ALE/Pong-v5"]) == is_it


def test_an_experiment_whose_moment_cannot_be_read_is_since_no_moment() -> None:
    entry = Overview("a", "completed", None, 0, None, 0, "???", "", "", (), (), (), ())

    assert not Filters(since=NOW).admit(entry)
    assert Filters().admit(entry)


def test_before_there_are_results_the_journal_tells_which_environment_runs(tmp_path: Path) -> None:
    experiment = new(tmp_path, "begun", arm={"environment": "CartPole-v0"})
    experiment.publish()
    before = stored.read(experiment.paths).environments
    journal = experiment.paths.run(experiment.runs()[0]).journal
    journal.parent.mkdir(parents=True)
    journal.write_text('{"kind": "started", "step": 0, "environment": "CartPole-v1"}\n')

    assert before == ["CartPole-v0"]
    assert stored.read(experiment.paths).environments == ["CartPole-v0", "CartPole-v1"]
    journal.write_bytes(b"\xff{")
    assert stored.read(experiment.paths).environments == ["CartPole-v0"]


# ---- the index


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the experiments whose files are really read."""
    read, reads = stored.read, []

    def counted(paths: Any) -> Any:
        reads.append(paths.experiment_id)
        return read(paths)

    monkeypatch.setattr(overview.stored, "read", counted)
    return reads


def test_files_are_read_once_and_again_when_they_have_changed(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    cold = overviews(several)
    warm = overviews(several)
    write(several, "second", status="completed", config={"seeds": [1, 2]})
    changed = overviews(several)

    assert reads == ["first", "second", "third", "second"]
    assert cold == warm
    assert [entry.runs for entry in changed] == [2, 4, 2]


def test_a_filter_leaves_the_index_whole(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["list", "--output-dir", str(several), "--status", "failed"]) == 0
    reads = count_reads(monkeypatch)

    assert len(overviews(several)) == 3
    assert reads == []


def test_experiments_that_have_vanished_are_neither_listed_nor_kept(several: Path) -> None:
    overviews(several)
    (several / "first" / "experiment_first.json").unlink()

    assert [entry.experiment_id for entry in overviews(several)] == ["second", "third"]
    assert '"first"' not in (several / INDEX_NAME).read_text()


@pytest.mark.parametrize("results_status", ["paused", "running"])
def test_where_a_running_experiment_stands_is_never_served_from_the_index(
    tmp_path: Path, results_status: str
) -> None:
    root = write(tmp_path, "pair", status="running", results_status=results_status)
    models = root / "models"
    models.mkdir()
    with FileLock(tmp_path / "pair" / ".lock"):
        (before,) = overviews(tmp_path)
        for name in ("a", "b", "c"):
            (models / f"{name}.zip").touch()
        (after,) = overviews(tmp_path)
    (stopped,) = overviews(tmp_path)

    assert (before.runs_done, after.runs_done) == (2, 2 if results_status == "running" else 3)
    assert (before.status, after.status, stopped.status) == ("running", "running", "stopped")


def test_runs_of_results_that_are_behind_are_counted_anew(tmp_path: Path) -> None:
    models = write(tmp_path, "pair", results_status="paused") / "models"
    models.mkdir()
    (before,) = overviews(tmp_path)
    for name in ("a", "b", "c"):
        (models / f"{name}.zip").touch()
    (after,) = overviews(tmp_path)

    assert (before.runs_done, after.runs_done) == (2, 3)


def test_what_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write(tmp_path, "pair") / "results.json").write_text("{")
    reads = count_reads(monkeypatch)

    first, second = overviews(tmp_path), overviews(tmp_path)

    assert len(reads) == 2
    assert "not valid JSON" in first[0].problems[0]
    assert first == second


@pytest.mark.parametrize(
    "lie",
    [
        {"runs_done": "3"},
        {"runs_done": True},
        {"tags": "sweep"},
        {"tags": [1]},
        {"verdict": {}},
        {"experiment_id": "another"},
        {"more": 1},
    ],
)
def test_entries_of_a_wrong_form_are_read_anew(tmp_path: Path, lie: dict[str, Any]) -> None:
    write(tmp_path, "pair")
    (told,) = overviews(tmp_path)
    index = tmp_path / INDEX_NAME
    document = json.loads(index.read_text())
    document["entries"]["pair"][1] |= lie
    index.write_text(json.dumps(document))

    assert overviews(tmp_path) == [told]
    assert json.loads(index.read_text())["entries"]["pair"][1]["tags"] == ["sweep", "pair"]


def test_a_file_that_asks_for_more_seeds_than_are_allowed_costs_nothing(tmp_path: Path) -> None:
    write(tmp_path, "pair", config={"seeds": 10**40})

    (entry,) = overviews(tmp_path)

    assert entry.runs is None


# ---- how it is printed


def entry(experiment_id: str = "pair", **changes: Any) -> Overview:
    told = {
        "status": "completed",
        "verdict": "variant_better",
        "runs_done": 2,
        "runs": 2,
        "runs_not_needed": 0,
        "created": "2030-01-02T03:04:05+00:00",
        "hypothesis": "A shorter horizon makes PPO learn CartPole faster",
        "comment": "after the bug",
        "tags": ("a", "b"),
        "algorithms": ("PPO",),
        "environments": ("CartPole-v1",),
        "problems": (),
    }
    return Overview(experiment_id, **(told | changes))


def test_where_there_is_room_each_experiment_has_a_line() -> None:
    lines = list(overview_lines([entry(), entry("a-longer-id", runs=None)], 100))

    facts, cut = (
        "completed  variant_better",
        "2030-01-02 03:04  A shorter horizon makes PPO learn C…",
    )
    assert lines == [
        "id           status     verdict         runs  created           hypothesis",
        "───────────  ─────────  ──────────────  ────  ────────────────  " + "─" * 36,
        f"pair         {facts}  2/2   {cut}",
        f"a-longer-id  {facts}  2/?   {cut}",
    ]
    assert max(map(len, lines)) == 100


def test_on_a_narrow_terminal_an_id_stays_whole_and_nothing_is_wider() -> None:
    longest = "a-shorter-horizon-makes-ppo-learn_20300102T030405_abcdef"
    lines = list(overview_lines([entry(), entry(longest)], 80))

    assert lines == [
        "pair  A shorter horizon makes PPO learn CartPole faster",
        "  completed  variant_better  2/2   2030-01-02 03:04",
        f"{longest}  A shorter horizon mak…",
        "  completed  variant_better  2/2   2030-01-02 03:04",
    ]


def test_a_pipe_gets_whole_lines_of_any_length() -> None:
    lines = list(overview_lines([entry("x" * 64, verdict="insufficient_evidence")], None))

    assert lines[2].split()[:2] == ["x" * 64, "completed"]
    assert lines[2].endswith("learn CartPole faster")


def test_in_full_everything_is_told_and_wrapped() -> None:
    lines = list(overview_lines([entry(problems=("results.json: gone",))], 40, in_full=True))

    assert lines == [
        "pair",
        "  hypothesis  A shorter horizon makes",
        "              PPO learn CartPole faster",
        "  comment     after the bug",
        "  tags        a, b",
        "  trains      PPO on CartPole-v1",
        "  status      completed, 2/2 runs,",
        "              created 2030-01-02 03:04",
        "  verdict     variant_better",
        "  problem     results.json: gone",
    ]


def test_wide_characters_take_the_columns_that_they_take() -> None:
    assert fitted("実験", 6) == "実験  "
    assert fitted("実験実験", 6) == "実験 …"
    assert fitted("abc", 2) == "a…"
    assert fitted("abc", 0) == ""


def test_text_that_would_steer_a_terminal_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[31m\u202e\r\n"
    write(
        tmp_path,
        "pair",
        config={"tags": [hostile], "comment": hostile},
        experiment={"hypothesis": hostile, "created_at": hostile, "status": hostile},
        results_status=hostile,
    )

    for options in ([], ["-v"]):
        assert main(["list", "--output-dir", str(tmp_path), *options]) == 0
        output = capsys.readouterr().out
        assert "\\x1b[31m" in output
        assert not {"\x1b", "\u202e", "\r"} & set(output)


def test_verbose_shows_the_tags(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "-v", "--output-dir", str(several), "--tag", "first"]) == 0

    assert "\n  tags        sweep, first\n" in capsys.readouterr().out


def test_nothing_like_that_is_said_to_be_so(
    several: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--output-dir", str(several), "--tag", "no"]) == 0

    assert capsys.readouterr().out == f"no experiments like that under {several}\n"


def test_the_form_is_named_anew_when_the_entries_change() -> None:
    """A reminder: entries of another form must not be taken for this one's."""
    fields = {
        "overview-2": "experiment_id status verdict runs_done runs runs_not_needed created"
        " hypothesis comment tags algorithms environments problems"
    }

    assert fields[overview.FORM].split() == list(Overview.__dataclass_fields__)
