"""`experiments reproduce` trains again by the recorded code, and says truly what came of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
REPRODUCE = [sys.executable, "-m", "src.experiments", "reproduce"]
RUN = [sys.executable, "-m", "src.experiments.runner"]
MODULE = "windy_cartpole"
ENVIRONMENT = '''"""CartPole that pays less in a wind."""

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

from gusts import GUST


class WindyCartPole(CartPoleEnv):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward - GUST, *rest


gym.register("WindyCartPole-v0", entry_point=WindyCartPole, max_episode_steps=100)
'''
FILE = {
    "experiment_id": "windy",
    "baseline_config": {
        "algorithm": "A2C",
        "environment": "WindyCartPole-v0",
        "training_steps": 300,
        "seed": 3,
    },
    "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
    "evaluation": {"frequency": 150, "episodes": 2, "final_episodes": 2},
}
IDENTITY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")

pytestmark = pytest.mark.integration


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


class Laboratory:
    """A user's repository, and a folder for everything temporary."""

    def __init__(self, folder):
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        (self.repository / f"{MODULE}.py").write_text(ENVIRONMENT)
        self.write_file()

    @property
    def original(self):
        return self.repository / "results" / "experiments" / "windy"

    def write_file(self, **changed):
        (self.repository / "exp.json").write_text(json.dumps(FILE | changed))

    def wind(self, gust):
        """A module that stays untracked."""
        (self.repository / "gusts.py").write_text(f"GUST = {gust}\n")

    def commit(self, gust):
        git(self.repository, "init", "--initial-branch", "research")
        git(self.repository, "add", f"{MODULE}.py", "exp.json")
        git(self.repository, "commit", "-m", "first")
        self.wind(gust)
        module = self.repository / f"{MODULE}.py"
        module.write_text(ENVIRONMENT.replace("- GUST", "- 2 * GUST"))
        return self

    def move_on(self):
        """The user commits, and changes everything again."""
        git(self.repository, "add", f"{MODULE}.py", "gusts.py")
        git(self.repository, "commit", "-m", "second")
        self.wind(77)
        (self.repository / f"{MODULE}.py").write_text("raise RuntimeError('half an edit')\n")
        return self

    def start(self, command, *options, path=(ROOT,)):
        environment = {"TMPDIR": str(self.scratch), "PYTHONPATH": os.pathsep.join(map(str, path))}
        return subprocess.Popen(
            [*command, *options],
            cwd=self.repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        )

    def finish(self, command, *options, path=(ROOT,)):
        process = self.start(command, *options, path=path)
        stdout, stderr = process.communicate(timeout=2 * HANG_SECONDS)
        return process.returncode, stdout, stderr

    def run(self, *options, path=(ROOT,)):
        words = ("--config", "exp.json", "--allow-env-module", MODULE, *options)
        code, stdout, stderr = self.finish(RUN, *words, path=path)
        assert code == 0, stdout + stderr
        return self

    def state(self):
        """Everything of the user's that a reproduction must leave alone."""
        questions = (["status", "--porcelain"], ["rev-parse", "HEAD"], ["branch", "--all"])
        told = [git(self.repository, *question) for question in questions]
        files = [path for path in self.repository.glob("*") if path.is_file()]
        contents = {path: path.read_bytes() for path in files}
        return (*told, git(self.repository, "worktree", "list"), contents)

    def processes(self):
        """What works in the temporary folder just now."""
        found = psutil.process_iter(["cmdline"])
        return [each for each in found if str(self.scratch) in " ".join(each.info["cmdline"] or ())]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment by a commit and changes of it; the repository has changed since."""
    folder = tmp_path_factory.mktemp("laboratory")
    return Laboratory(folder).commit(gust=0.1).run().move_on()


@pytest.fixture
def tampered(trained, tmp_path):
    """The same experiment in a place where its files may be changed."""
    copy = tmp_path / "experiments" / "windy"
    shutil.copytree(trained.original, copy)
    return copy


@pytest.mark.slow
def test_it_comes_out_in_the_same_bits_and_the_repository_is_untouched(trained, tmp_path):
    before = trained.state()

    code, stdout, stderr = trained.finish(
        *(REPRODUCE, "windy", "--json", "--into", str(tmp_path / "again"))
    )

    assert code == 0, stderr
    told = json.loads(stdout)
    assert (told["status"], told["exit_code"]) == ("identical", 0)
    assert told["commit"] == git(trained.repository, "rev-parse", "HEAD~1").strip()
    assert set(told["runs"]) == {"baseline_seed3", "variant_seed3"}
    for run in told["runs"].values():
        assert run["identical"]
        assert run["recorded_sha256"] == run["reproduced_sha256"]
    assert told["kept"] == {"results": str(tmp_path / "again" / "windy")}
    again = json.loads((tmp_path / "again" / "windy" / "results.json").read_text())
    assert [run["status"] for run in again["runs"]] == ["completed", "completed"]
    assert "baseline_seed3: completed" in stderr
    assert trained.state() == before
    assert list(trained.scratch.iterdir()) == []


@pytest.mark.slow
def test_a_commit_that_is_not_here_is_refused_and_nothing_is_left(trained, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")

    code, stdout, stderr = trained.finish(REPRODUCE, "windy", "--repository", str(other))

    assert (code, "is not in this repository" in stderr) == (2, True)
    assert "windy: trained again at commit " in stdout
    assert list(trained.scratch.iterdir()) == []


def test_other_versions_are_refused_with_the_remedy(trained, tampered):
    summary = tampered / "provenance" / "provenance.json"
    told = json.loads(summary.read_text())
    told["packages"] |= {"numpy": "1.0", "rich": "1.0"}
    summary.write_text(json.dumps(told))

    code, stdout, stderr = trained.finish(
        *(REPRODUCE, "windy", "--output-dir", str(tampered.parent))
    )

    assert code == 2
    assert "numpy 1.0 → " in stderr
    assert f"pip install -r {tampered / 'provenance' / 'packages.txt'}" in stderr
    assert "other packages differ, which should not matter: rich 1.0 → " in stdout
    assert list(trained.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["wimdy"], "did you mean windy?"),
        (["windy", "--into", "results/experiments"], "something is there already"),
        (["windy", "--seed", "9"], "--seed 9 is not one of its seeds; use some of 3"),
    ],
)
@pytest.mark.slow
def test_what_is_wrong_is_refused_before_anything_is_done(trained, options, message):
    code, stdout, stderr = trained.finish(REPRODUCE, *options)

    assert (code, stdout) == (2, "")
    assert message in " ".join(stderr.replace("\n  remedy:", ";").split())
    assert list(trained.scratch.iterdir()) == []


@pytest.mark.slow
def test_the_first_metric_that_differs_is_named_with_possible_causes(trained, tampered):
    journal = tampered / "runs" / "variant_seed3" / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    row = next(record for record in records if record["kind"] == "evaluation")
    was = row["metrics"]["eval/return_mean"]
    row["metrics"]["eval/return_mean"] = 123.5
    journal.write_text("".join(json.dumps(record) + "\n" for record in records))
    summary = tampered / "provenance" / "provenance.json"
    told = json.loads(summary.read_text())
    told["hardware"]["cpu_model"] = "Abacus 9"
    told["packages"]["numpy"] = "1.0"
    summary.write_text(json.dumps(told))
    before = trained.state()

    code, stdout, stderr = trained.finish(
        *(REPRODUCE, "windy", "--output-dir", str(tampered.parent), "--anyway")
    )

    assert code == 1, stderr
    lines = stdout.splitlines()
    assert "baseline_seed3: identical" in lines
    difference = f"differs from step {row['step']}: eval/return_mean 123.5 ≠ {was}"
    assert f"variant_seed3: {difference}" in lines
    assert any(line.startswith("cause?   numpy 1.0 → ") for line in lines)
    assert any(line.startswith("cause?   cpu_model Abacus 9 → ") for line in lines)
    (kept,) = trained.scratch.iterdir()
    assert f"results  {kept / 'results' / 'windy'}" in lines
    assert (kept / "results" / "windy" / "results.json").is_file()
    assert trained.state() == before
    shutil.rmtree(kept)


@pytest.mark.slow
def test_an_interruption_leaves_nothing(trained):
    before = trained.state()
    process = trained.start(REPRODUCE, "windy")
    file = "*/results/windy/experiment_windy.json"
    wait_until(lambda: list(trained.scratch.glob(file)), "it is trained again")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == -signal.SIGINT
    assert "stopped; nothing is left of it" in stderr
    assert list(trained.scratch.iterdir()) == []
    assert trained.processes() == []
    assert trained.state() == before


@pytest.mark.slow
def test_chosen_seeds_are_reproduced_and_the_code_is_kept_when_asked(tmp_path):
    laboratory = Laboratory(tmp_path)
    laboratory.write_file(seeds=[4, 5])
    laboratory.commit(gust=0.1).run("--mode", "parallel")

    code, stdout, stderr = laboratory.finish(
        *(REPRODUCE, "windy", "--seed", "5", "--keep", "--json")
    )

    assert code == 0, stderr
    told = json.loads(stdout)
    assert set(told["runs"]) == {"baseline_seed5", "variant_seed5"}
    assert (Path(told["kept"]["code"]) / "gusts.py").read_text() == "GUST = 0.1\n"
    assert (Path(told["kept"]["results"]) / "results.json").is_file()


@pytest.mark.slow
def test_without_a_commit_it_is_trained_by_the_code_at_hand(tmp_path):
    laboratory = Laboratory(tmp_path)
    laboratory.wind(0.1)
    laboratory.run()
    laboratory.wind(0.5)

    code, stdout, stderr = laboratory.finish(REPRODUCE, "windy")

    assert code == 1, stderr
    assert "no commit was recorded: it is trained with the code at hand" in stdout
    assert "baseline_seed3: differs from step " in stdout


@pytest.mark.slow
def test_a_program_in_the_repository_is_recreated_as_well(tmp_path):
    laboratory = Laboratory(tmp_path)
    program = laboratory.repository / "src" / "experiments"
    shutil.copytree(
        ROOT / "src" / "experiments", program, ignore=shutil.ignore_patterns("__pycache__")
    )
    laboratory.commit(gust=0.1)
    git(laboratory.repository, "add", "src")
    git(laboratory.repository, "commit", "-m", "the program")
    recording = program / "training" / "recording.py"
    recording.write_text(recording.read_text() + "\nSHORTEST_ROW = 50\n")
    laboratory.run(path=())
    git(laboratory.repository, "checkout", "--quiet", "src")

    code, stdout, stderr = laboratory.finish(REPRODUCE, "windy", path=())

    assert code == 0, stdout + stderr
    assert "is not the one that trained" not in stdout
    journal = laboratory.original / "runs" / "baseline_seed3" / "journal.jsonl"
    assert [json.loads(line)["step"] for line in journal.read_text().splitlines()][:2] == [0, 50]
