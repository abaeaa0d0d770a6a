import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.experiments.cli.app import COMMANDS, SUMMARIES, main, runner_main
from src.experiments.cli.schema import schema_text
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "scipy", "matplotlib", "gymnasium", "numpy", "rich")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS
    )


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from src.experiments.cli.app import main; code = main(['run', '--help'])\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )

    assert run_python("-c", program).stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run", "--trackers", "wandb"], "No such option: --trackers"),
        (["run", "--max-workers", "many"], "Invalid value for '--max-workers'"),
        (["run", "--mode", "both"], "Invalid value for '--mode'"),
        (["show"], "Missing argument 'ID'."),
        (["rum"], "No such command 'rum'. Did you mean 'run'?"),
    ],
)
def test_usage_errors_read_like_all_others(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert not output.out
    assert lines[0].startswith(f"error: {what}")
    assert lines[1].startswith("  where: experiments")
    assert lines[2].startswith("  remedy: experiments")


def test_underscores_in_option_names_are_dashes_and_values_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["show", "a_b", "--output_dir", "no_such_dir"]) == 2

    assert "error: no experiment a_b exists\n  where: --output-dir no_such_dir\n" in (
        capsys.readouterr().err
    )


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: experiments" in capsys.readouterr().out


def test_the_list_of_commands_says_of_each_in_full_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main([])
    _, _, listed = capsys.readouterr().out.partition("Commands:\n")
    told = {name: words for name, *words in map(str.split, listed.splitlines()) if words}

    assert {name: " ".join(words) for name, words in told.items()} == SUMMARIES
    assert set(SUMMARIES) == set(COMMANDS)
    for summary in SUMMARIES.values():
        assert len(summary) <= 45
        assert not summary.endswith((".", "Dr"))


def test_the_runner_module_takes_the_options_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        runner_main(["--help"])

    assert exit_.value.code == 0
    assert "--experiment-id" in capsys.readouterr().out


def test_an_interrupted_command_ends_by_the_signal() -> None:
    program = (
        "import os, signal\n"
        "from src.experiments.cli import app\n"
        "def wait() -> int:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 0\n"
        "app.COMMANDS['schema'] = wait\n"
        "app.main(['schema'])"
    )

    done = run_python("-c", program)

    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_under_standard_output_is_an_error_with_a_remedy() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "src.experiments", "list"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")


def test_the_schema_is_indented_and_keeps_its_letters() -> None:
    assert schema_text({"a": "γ"}) == '{\n  "a": "γ"\n}\n'


def test_doctor_concludes_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("WANDB_MODE=offline\nSOME_TOKEN=canary-value\n")

    code = main(["doctor", "--output-dir", str(tmp_path), "--env-file", str(env_file)])

    text = capsys.readouterr().out
    assert code == 0
    assert "SOME_TOKEN, WANDB_MODE" in text
    assert "canary-value" not in text
    assert text.splitlines()[-1].startswith("ready")


def test_doctor_as_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "--output-dir", str(tmp_path), "--env-file", str(tmp_path / "x")])

    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], found["problems"]) == (0, [])
    assert found["threads"]["cores_usable"] >= 1
