import errno
import json

import pytest
import typer

from src.experiments.cli import failures
from src.experiments.domain.errors import (
    ConfigurationError,
    ExperimentLockedError,
    Problem,
    StorageError,
    UsageError,
)

PROBLEMS = ConfigurationError(
    [
        Problem("/seeds", "below the minimum", value="-1", allowed="use 0 or more"),
        Problem("/baseline_config/algoritm", "unknown key", suggestion="algorithm"),
    ],
    source="exp.json",
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (PROBLEMS, 2),
        (typer.BadParameter("x"), 2),
        (ExperimentLockedError("x"), 3),
        (StorageError("x"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "a"), 1),
        (KeyError("x"), 70),
    ],
)
def test_every_error_has_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code == failures.report(error, [])
    assert not capsys.readouterr().out


def test_an_error_says_what_where_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(StorageError("disk full", where="a/b", remedy="free space"), [])

    assert capsys.readouterr().err == "error: disk full\n  where: a/b\n  remedy: free space\n"


def test_all_problems_of_a_file_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(PROBLEMS, [])

    expected = (
        "error: 2 problems in exp.json\n"
        "  /seeds: below the minimum; got -1; use 0 or more\n"
        "  /baseline_config/algoritm: unknown key; did you mean 'algorithm'?\n"
    )
    assert expected == capsys.readouterr().err


def test_a_bug_is_one_line_and_a_traceback_only_with_vv(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = KeyError("x")
    error.add_note("log: results/a/logs/runner.log")

    failures.report(error, ["-v"])
    short = capsys.readouterr().err
    failures.report(error, ["-v", "--verbose"])
    long = capsys.readouterr().err

    assert short.startswith("error: internal error: KeyError: 'x'\n  remedy: ")
    assert short.endswith("  log: results/a/logs/runner.log\n")
    assert "Traceback" not in short
    assert long.endswith(short)
    assert "KeyError: 'x'" in long[: -len(short)]


def test_what_an_error_quotes_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures.report(StorageError("bad \x1b[2J name"), [])

    assert capsys.readouterr().err == "error: bad \\x1b[2J name\n"


def test_secrets_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(StorageError("cannot reach https://me:hunter2222@host/x"), [])

    assert "hunter2222" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "verbosity"),
    [([], 0), (["-v"], 1), (["-vv"], 2), (["--verbose", "-v"], 2), (["--validate", "-x"], 0)],
)
def test_verbosity_is_known_before_anything_is_parsed(arguments: list[str], verbosity: int) -> None:
    assert verbosity == failures.verbosity(arguments)


def test_an_error_is_also_plain_data() -> None:
    data = json.loads(json.dumps(failures.as_json(PROBLEMS)))

    assert (data["exit_code"], data["status"]) == (2, "failed")
    assert [problem["pointer"] for problem in data["error"]["problems"]] == [
        "/seeds",
        "/baseline_config/algoritm",
    ]
