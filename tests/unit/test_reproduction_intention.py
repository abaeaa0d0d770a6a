"""What will be reproduced, and what speaks against the same bits, is known before anything runs."""

import json
import re
from dataclasses import replace

import pytest

from src.experiments.domain.errors import StorageError, UsageError
from src.experiments.domain.records import RunKey
from src.experiments.provenance import Origin, collect_provenance, write_provenance
from src.experiments.reproduction import Onlooker, Plan, intend, reproduce
from src.experiments.reproduction.reproducing import check_versions

from .written_experiments import new_experiment

SEEDS = (1, 2)
RUNS = [RunKey(arm, seed) for arm in ("baseline", "variant") for seed in SEEDS]


@pytest.fixture(scope="module")
def provenance(tmp_path_factory):
    plain = tmp_path_factory.mktemp("plain")
    return collect_provenance(["experiments", "run"], plain, origin=Origin(torch_threads=1))


class Stored:
    """An experiment that has ended, without its training."""

    def __init__(self, folder, provenance):
        self.experiment = new_experiment(folder)
        self.experiment.save()
        self.paths = self.experiment.paths
        self.folder = folder
        write_provenance(self.paths, provenance)
        for run in RUNS:
            self.journal(run)
        self.results()

    def journal(self, run, device="cpu"):
        path = self.paths.run(run).journal
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"kind": "started", "step": 0, "device": device}) + "\n")

    def results(self, changed=None, **fields):
        runs = [
            {"arm": run.arm, "seed": run.seed, "status": "completed", "resume": "exact"}
            | (fields if run == changed else {})
            for run in RUNS
        ]
        self.paths.results.write_text(json.dumps({"runs": runs}))

    def plan(self, **chosen):
        return Plan(self.paths, self.folder, self.folder / "again", self.folder, **chosen)


@pytest.fixture
def stored(tmp_path, provenance):
    return Stored(tmp_path, provenance)


def test_the_saved_file_is_trained_again_without_trackers(stored):
    saved = json.loads(stored.paths.experiment.read_text())
    saved["config"] |= {"trackers": ["wandb"], "storage": "hybrid"}
    stored.paths.experiment.write_text(json.dumps(saved))

    intention = intend(stored.plan())

    assert intention.document == {**saved["config"], "trackers": [], "storage": "standard"}
    assert (list(intention.runs), intention.caveats) == (RUNS, ())


def test_chosen_seeds_alone_are_trained(stored):
    intention = intend(stored.plan(seeds=(2,)))

    assert intention.document["seeds"] == [2]
    assert list(intention.runs) == [RunKey("baseline", 2), RunKey("variant", 2)]


def test_a_seed_that_there_is_not_is_refused_with_those_that_there_are(stored):
    with pytest.raises(UsageError, match=r"--seed 7 is not one of its seeds; use some of 1, 2"):
        intend(stored.plan(seeds=(2, 7)))


@pytest.mark.parametrize(
    ("fields", "caveat"),
    [
        ({"resume": "approximate"}, "variant_seed2 was resumed approximately"),
        ({"deviations": ["batch_size 64 → 32"]}, "variant_seed2 deviates .*: batch_size 64 → 32"),
        ({"status": "failed"}, r"variant_seed2 was not complete \(failed\): it is not compared"),
    ],
)
def test_what_speaks_against_the_same_bits_is_told(stored, fields, caveat):
    stored.results(RUNS[-1], **fields)

    (told,) = intend(stored.plan()).caveats
    assert re.match(caveat, told)


def test_a_run_of_a_gpu_is_told(stored):
    stored.journal(RUNS[0], device="cuda:0")

    (told,) = intend(stored.plan()).caveats
    assert "baseline_seed1 was trained on cuda:0" in told


def test_a_run_without_its_journal_is_told(stored):
    stored.paths.run(RUNS[1]).journal.unlink()

    (told,) = intend(stored.plan()).caveats
    assert told == "baseline_seed2 has no journal here: only its final parameters are compared"


def test_a_continuation_by_other_code_is_told(stored, provenance):
    write_provenance(stored.paths, provenance)
    assert intend(stored.plan()).caveats == ()

    program = {**provenance["program"], "sha256": "other"}
    write_provenance(stored.paths, {**provenance, "program": program})
    (told,) = intend(stored.plan()).caveats
    assert "with other code (no commit)" in told


def test_modules_of_the_command_line_are_allowed_again(stored):
    assert intend(stored.plan(modules=("windy",))).recorded.modules == {"windy": None}


def test_an_experiment_without_a_complete_run_is_refused(stored):
    results = json.loads(stored.paths.results.read_text())
    for run in results["runs"]:
        run["status"] = "interrupted"
    stored.paths.results.write_text(json.dumps(results))
    with pytest.raises(UsageError, match=r"no run of it is complete; continue it first"):
        intend(stored.plan())

    stored.paths.results.unlink()
    with pytest.raises(UsageError, match=r"it has no results yet; continue it first"):
        intend(stored.plan())


@pytest.mark.parametrize("content", [{}, [], {"config": None}])
def test_a_damaged_experiment_is_named(stored, content):
    stored.paths.experiment.write_text(json.dumps(content))

    with pytest.raises(StorageError, match=r"experiment_pair.json: not a saved experiment"):
        intend(stored.plan())


def with_other_torch(stored, provenance, **chosen):
    summary = stored.paths.provenance / "provenance.json"
    packages = {**provenance["packages"], "torch": "1.0"}
    hardware = {**provenance["hardware"], "python": "CPython 3.9.1"}
    told = json.loads(summary.read_text()) | {"packages": packages, "hardware": hardware}
    summary.write_text(json.dumps(told))
    return intend(stored.plan(**chosen))


def test_other_versions_that_decide_are_refused_with_the_remedy(stored, provenance):
    intention = with_other_torch(stored, provenance)

    with pytest.raises(UsageError) as error:
        reproduce(intention, Onlooker())

    message = str(error.value)
    assert "Python CPython 3.9.1 → " in message
    assert f"torch 1.0 → {provenance['packages']['torch']}" in message
    packages = stored.paths.provenance / "packages.txt"
    assert f"in an environment of CPython 3.9.1: pip install -r {packages}; or" in message
    assert not (stored.folder / "again").exists()


def test_other_versions_are_accepted_anyway(stored, provenance):
    check_versions(with_other_torch(stored, provenance, anyway=True))


def test_other_packages_are_no_hindrance(stored, provenance):
    intention = intend(stored.plan())
    other = replace(
        intention.surroundings, other=with_other_torch(stored, provenance).surroundings.deciding
    )

    check_versions(replace(intention, surroundings=other))
