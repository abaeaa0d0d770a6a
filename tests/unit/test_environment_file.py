from __future__ import annotations

from pathlib import Path

import pytest

from src.experiments.config.environment_file import tracker_variables
from src.experiments.domain.errors import UsageError


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("USE_CLEARML", "WANDB_MODE", "WANDB_API_KEY", "CLEARML_API_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_a_file_and_variables_nothing_is_said() -> None:
    variables = tracker_variables()

    assert (variables.use_clearml, variables.wandb_mode) == (None, None)


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    Path(".env").write_text(
        "# Режим работы\nUSE_CLEARML=false\n\n"
        "CLEARML_API_HOST=http://clearml.example:8008\n"
        'CLEARML_S3_SECRET_KEY="a b#c"  # quoted\n'
        "export WANDB_MODE=dryrun\nDATABASE_URL=another-program\n",
        encoding="utf-8",
    )

    variables = tracker_variables()

    assert variables.use_clearml is False
    assert variables.wandb_mode == "offline"
    assert variables.values["CLEARML_API_HOST"] == "http://clearml.example:8008"
    assert variables.values["CLEARML_S3_SECRET_KEY"] == "a b#c"
    assert "DATABASE_URL" not in variables.values


def test_the_environment_outweighs_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.env").write_text("USE_CLEARML=false\n")
    monkeypatch.setenv("USE_CLEARML", "Yes")

    assert tracker_variables(Path("other.env")).use_clearml is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"USE_CLEARML=perhaps\n", "USE_CLEARML is 'perhaps'; use true or false"),
        (b"WANDB_MODE=sometimes\n", "WANDB_MODE is 'sometimes'; use online, offline or disabled"),
        (b"A=1\n=secret-of-nobody\n", "file.env, line 2: it is not NAME=VALUE"),
        (b"A=\xff\xfe\n", "file.env: the environment file cannot be read: it is not UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(content: bytes, message: str) -> None:
    Path("file.env").write_bytes(content)

    with pytest.raises(UsageError) as caught:
        tracker_variables(Path("file.env"))

    assert message in str(caught.value)
    assert "secret-of-nobody" not in str(caught.value)


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(UsageError, match="No such file"):
        tracker_variables(Path("absent.env"))


def test_a_line_of_another_programs_file_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    Path(".env").write_text("it is written: otherwise\n= nothing\nUSE_CLEARML=true\n")

    assert tracker_variables().use_clearml is True
    assert "is ignored" in caplog.text
