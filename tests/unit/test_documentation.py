"""README and guides say what is so: commands, links, experiment files, keys, defaults, programs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from src.experiments.cli import app, options
from src.experiments.cli.failures import ExitCode
from src.experiments.cli.run import run as run_command
from src.experiments.config import experiment_schema, parse_experiment
from src.experiments.domain.errors import install_extra
from src.experiments.domain.verdicts import Verdict
from src.experiments.experiment import CONDITIONS, DESIGN

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "README.md", *sorted(ROOT.glob("docs/guides/*.md"))]
ALL_PAGES = [*PAGES, ROOT / "CHANGELOG.md"]
EVERY_PAGE = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
"""Decisions and what was measured among them."""
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| `([^`]+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)
ARM = {"algorithm": "PPO", "environment": "Pendulum-v1", "training_steps": 4096}
PLANNED_STEPS, FEWEST_STEPS = "16384", "2048"


def blocks(page: Path, info: str) -> list[str]:
    """The fenced blocks of a page whose opening line reads so."""
    return [
        text for words, text in FENCE.findall(page.read_text(encoding="utf-8")) if words == info
    ]


def command_lines() -> list[tuple[str, list[str]]]:
    """Every command line of the project in a bash block, with its page; comments are left out."""
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    found.append((page.name, words))
    return found


def parser(module: str) -> typer.core.TyperCommand:
    """The parser of `experiments …` or of the runner."""
    program = typer.Typer()
    if module == "src.experiments.runner":
        program.command()(run_command)
    else:
        for name, command in app.COMMANDS.items():
            program.command(name, cls=app.CLASSES.get(name))(command)
    return typer.main.get_command(program)


@pytest.mark.parametrize(
    "words",
    [words for _, words in command_lines() if words[0] == "python"],
    ids=lambda words: " ".join(words[2:]),
)
def test_a_command_line_of_the_documentation_is_one_of_ours(words: list[str]) -> None:
    assert words[1] == "-m"
    module, arguments = words[2], words[3:]
    assert module in {"src.experiments", "src.experiments.runner"}
    command = parser(module)
    if module == "src.experiments":
        command, arguments = command.commands[arguments[0]], arguments[1:]

    command.make_context(module, arguments)
    files = [word for word in arguments if word.startswith("configs/")]
    assert all((ROOT / file).is_file() for file in files)


def test_every_command_line_is_ours_or_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page, words in command_lines():
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), (page, words)
        else:
            assert words[0] == "python", (page, words)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if target.startswith("http"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path), link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_experiment_file_and_fragment_is_valid(page: Path) -> None:
    for text in blocks(page, "json experiment-file"):
        parse_experiment(json.loads(text))
    for text in blocks(page, "json arm"):
        variant = {"extends": "baseline", **json.loads(text)}
        parse_experiment({"baseline_config": ARM, "variant_config": variant})
    for text in blocks(page, "json part"):
        variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
        parse_experiment({"baseline_config": ARM, "variant_config": variant, **json.loads(text)})
    assert not blocks(page, "json")


GUIDE = (ROOT / "docs" / "guides" / "experiment-file.md").read_text(encoding="utf-8")
SECTIONS = {
    "An arm": "Configuration",
    "Normalisation": "Normalization",
    "Evaluation": "Evaluation",
    "Comparison": "ComparisonRule",
    "Recovery": "Recovery",
}


def table(heading: str) -> dict[str, str]:
    """The rows of a section's table: key and default as written."""
    _, _, rest = GUIDE.partition(f"\n## {heading}\n")
    return dict(ROW.findall(rest.partition("\n## ")[0]))


def assert_explained(rows: dict[str, str], properties: dict) -> None:
    for key, default in rows.items():
        stated = properties[key].get("default", {} if default else None)
        assert (json.loads(default) if default else None) == stated, key


def test_the_guide_explains_every_key_of_the_file_with_its_default() -> None:
    schema = experiment_schema()
    headings = ("The experiment", "Limits", "Stopping early", "Trackers")
    rows = {key: default for heading in headings for key, default in table(heading).items()}
    assert set(rows) == set(schema["properties"])
    has_table_of_its_own = {"evaluation", "comparison", "recovery"}
    rows = {key: rows[key] for key in rows if key not in has_table_of_its_own}
    assert_explained(rows, schema["properties"])
    for heading, name in SECTIONS.items():
        properties = schema["$defs"][name]["properties"]
        rows = table(heading)
        assert set(rows) == set(properties), heading
        assert_explained(rows, properties)


def section(page: Path, heading: str) -> str:
    """What stands under a heading of the second level."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("page", ["README.md", "docs/guides/when-a-run-fails.md"])
def test_a_table_of_exit_codes_names_all_of_the_program(page: str) -> None:
    codes = re.findall(r"^\| ([\d, ]+) \|", section(ROOT / page, "Exit codes"), re.MULTILINE)
    named = {int(code) for cell in codes for code in cell.split(",")}
    assert named == {code.value for code in ExitCode} | {129, 130, 143}


def test_the_table_of_verdicts_names_all_in_the_order_in_which_they_are_asked() -> None:
    table = section(ROOT / "docs" / "guides" / "reading-the-report.md", "The verdicts")
    cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    named = [word.strip("` ") for cell in cells for word in cell.split(",")]
    assert named == [verdict.value for verdict in Verdict]


def test_what_may_change_later_is_what_the_program_lets_change() -> None:
    page = ROOT / "docs" / "guides" / "experiment-file.md"
    free, priced = section(page, "What may change later").split("`--override-design`")
    assert tuple(re.findall(r"`(\w+)`", free)) == CONDITIONS
    assert set(re.findall(r"`(\w+)`", priced)) == {*DESIGN, "experiment_id"} - {"seeds"}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_a_table_is_in_one_piece(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(rows) > 2, table
        assert re.fullmatch(r"\|(:?-+:?\|)+", rows[1]), table
        assert len(columns) == 1, table


EXTRA = re.compile(r"pip install ([^`\n]*\[\w+\][^`\n]*)")


def test_an_extra_is_installed_in_one_way() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = {
        install_extra(name).removeprefix("pip install ")
        for name in extras["project"]["optional-dependencies"]
    }
    told = [words for page in EVERY_PAGE for words in EXTRA.findall(page.read_text("utf-8"))]
    assert told
    assert set(told) <= known
    sources = [*ROOT.glob("src/**/*.py")]
    assert [path for path in sources if "pip install -e '.[" in path.read_text("utf-8")] == [
        ROOT / "src" / "experiments" / "domain" / "errors.py"
    ]
    assert not any("rl-experiments[" in path.read_text("utf-8") for path in sources)


def test_the_guides_defaults_of_the_command_line_are_the_programs() -> None:
    guide = ROOT / "docs" / "guides" / "several-seeds-and-parallel.md"
    stated = re.search(r"`--max-workers` \((\d+) by default\)", guide.read_text(encoding="utf-8"))
    assert stated is not None
    assert int(stated.group(1)) == options.DEFAULT_MAX_WORKERS


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in ALL_PAGES:
        assert not re.search(r"(/home/|/root/|/tmp/|/work/)", page.read_text(encoding="utf-8"))


def test_the_readmes_figures_are_those_that_were_measured() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    measured = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    ratios = {
        name: float(ratio)
        for name, ratio in re.findall(r"^(\w+) +runner .*?\) +.*?\) +(\S+) \(", measured, re.M)
    }
    fastest, slowest = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    assert f"{ratios[fastest]} ({fastest}) to {ratios[slowest]:.2f} ({slowest})" in readme
    seconds = [
        re.search(rf"^{name}.*? ([\d.]+) \(", measured, re.M).group(1)
        for name in ("ours, parallel", "bare SB3, one", "rl_zoo3, one", "Ray Tune")
    ]
    ours, bare, zoo, tune = seconds
    assert f"takes {ours} s from command to end" in readme
    assert f"takes {bare} s, with rl_zoo3 {zoo} s, with Ray Tune {tune} s" in readme
    survived = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    for row in ("SIGKILL of all processes", "kill at the N-th rename, fsync, write"):
        tried, passed = re.search(rf"^\| {row}[^|]*\| (\d+) \| (\d+) \|", survived, re.M).groups()
        assert f"{passed} of {tried}" in readme
    rates = (ROOT / "docs" / "error-rates.md").read_text(encoding="utf-8")
    naive = [float(rate) for rate in re.findall(r"^naive .*? ([\d.]+) ±", rates, re.M)]
    equal_spreads = r"^sequential, (?!.*SD 1:3).*? ([\d.]+) ±"
    planned = [float(rate) for rate in re.findall(equal_spreads, rates, re.M)]
    assert f"{min(naive):.0f} to {max(naive):.0f} % of equal arms" in readme
    unequal = max(re.findall(r"^sequential, .*SD 1:3 .*? ([\d.]+) ±", rates, re.M), key=float)
    assert f"for {min(planned)} to {max(planned)} %, and for {unequal} % where one arm" in readme


# ---- the programs


def run_program(program: str, folder: Path) -> str:
    """Run a program in a folder of its own, with runs of one rollout; what it printed."""
    script = folder / "program.py"
    script.write_text(program.replace(PLANNED_STEPS, FEWEST_STEPS), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def clone_with_environment(folder: Path) -> Path:
    """What `make` needs of the project, and a virtual environment that is this one."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def carry_out(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """One command line of a page."""
    if words[0] == "python":
        words = [sys.executable, *words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": "true", "MAKEFLAGS": ""}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def with_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which what the README begins with was carried out, line by line."""
    folder = clone_with_environment(tmp_path_factory.mktemp("with_results"))
    start = section(ROOT / "README.md", "Start")
    blocks_of_start = [text for info, text in FENCE.findall(start) if info == "bash"]
    commands = [
        words
        for line in "".join(blocks_of_start[:2]).splitlines()
        if (words := shlex.split(line, comments=True)) and words != ["make", "test"]  # as here
    ]
    assert commands[0] == ["make", "run"]
    for words in commands:
        done = carry_out(words, folder)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    return folder


@pytest.mark.integration
@pytest.mark.slow
def test_what_the_readme_begins_with_ends_in_a_verdict(with_results: Path) -> None:
    results = with_results / "results" / "experiments" / "quickstart" / "results.json"
    comparison = json.loads(results.read_text(encoding="utf-8"))["comparison"]
    assert comparison["verdict"] == "variant_better"
    assert comparison["n_per_arm"] == {"baseline": 8, "variant": 8}
    guide = (ROOT / "docs" / "guides" / "first-experiment.md").read_text(encoding="utf-8")
    numbers = re.findall(r"\d+\.\d+", comparison["sentence"])
    assert all(number in guide for number in numbers), comparison["sentence"]


@pytest.mark.integration
@pytest.mark.slow
def test_the_readmes_trackers_are_told(with_results: Path) -> None:
    (block,) = (
        text
        for info, text in FENCE.findall(section(ROOT / "README.md", "Trackers"))
        if info == "bash"
    )
    lines = [shlex.split(line) for line in block.splitlines()]
    offline = [words for words in lines if "clearml" not in words]  # which wants a server
    assert len(offline) == 2
    for words in offline:
        done = carry_out(words, with_results)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.mark.parametrize("python", ["too_old", "none"])
def test_without_a_python_that_will_do_make_says_which_is_needed(
    python: str, tmp_path: Path
) -> None:
    folder = clone_with_environment(tmp_path)
    shutil.rmtree(folder / ".venv")
    old = tmp_path / "too_old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)

    done = carry_out(["make", "run", f"PYTHON=./{python}"], folder)

    assert done.returncode != 0
    assert "and 3.11 or newer is needed\n  remedy: name another one" in done.stderr
    assert ("Python 3.9.2" in done.stderr) == (python == "too_old")
    assert not (folder / ".venv").exists()


@pytest.mark.integration
def test_the_readmes_program_runs(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    printed = run_program(program.replace("seeds=8", "seeds=1"), tmp_path)
    assert "Baseline: " in printed
    assert "One run per arm says nothing about the algorithms" in printed


@pytest.mark.integration
@pytest.mark.slow
def test_the_readmes_program_ends_in_a_verdict(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    assert "The variant is better: " in run_program(program, tmp_path)


@pytest.mark.integration
@pytest.mark.slow
def test_the_programs_on_results_run(with_results: Path) -> None:
    guides = ROOT / "docs" / "guides"
    printed = run_program("".join(blocks(guides / "results-directory.md", "python")), with_results)
    assert "variant_better" in printed
    (equality,) = blocks(guides / "several-seeds-and-parallel.md", "python")
    assert run_program(equality, with_results) == "True\n"


@pytest.mark.integration
@pytest.mark.slow
def test_the_python_guides_program_runs_from_top_to_bottom(tmp_path: Path) -> None:
    program = "".join(blocks(ROOT / "docs" / "guides" / "python-interface.md", "python"))
    printed = run_program(program, tmp_path)
    assert "insufficient_evidence" in printed
    assert "ExperimentStatus.COMPLETED" in printed
