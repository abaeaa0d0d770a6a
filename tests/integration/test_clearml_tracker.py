"""What a ClearML server is told of a pair: the real SDK against a double of the server."""

import json
import os
import signal
from pathlib import Path

import pytest

from src.experiments.domain.records import RunStatus
from src.experiments.tracking.tracker import RunConclusion
from tests.doubles.clearml_server import ClearmlServer
from tests.integration.clearml_telling import (
    BASELINE,
    CANARY,
    LATER_RECORDS,
    RECORDS,
    UIDS,
    VARIANT,
    VERDICT,
    conclude,
    describe,
    open_tracker,
    tell,
)


def tell_a_pair(environment, folder):
    """Tell a pair, and go on with it as a later process does; the ids, in the order of opening."""
    tracker = open_tracker(environment, folder)
    ids = [tracker.open_run(describe(run), None) for run in (BASELINE, VARIANT)]
    tracker.write_records(ids[0], RECORDS)
    tracker.write_records(ids[1], RECORDS[:2])
    tracker.finish_run(ids[0], conclude(folder))
    failed = RunConclusion(RunStatus.FAILED, error=f"non-finite loss at step 384 {CANARY}")
    tracker.finish_run(ids[1], failed)
    page = tracker.url_of(ids[0])
    handler = signal.getsignal(signal.SIGTERM)
    tracker.close()
    later = open_tracker(environment, folder)
    ids.append(later.open_run(describe(BASELINE), ids[0]))
    ids.append(later.open_run(describe(VARIANT), None))
    later.write_records(ids[0], LATER_RECORDS)
    later.finish_run(ids[0], conclude(folder))
    later.finish_run(ids[0], conclude(folder))
    later.finish_run(ids[1], failed)
    later.close()
    leftovers = sorted(path.name for path in folder.glob("exp-clearml-*"))
    return ids, page, handler == signal.SIG_DFL, leftovers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def told(folder):
    with ClearmlServer() as server:
        ran = tell(tell_a_pair, server.environment, folder, folder=folder)
        yield server, ran


@pytest.fixture(scope="module")
def world(told):
    return told[0].world


@pytest.fixture(scope="module")
def baseline(told):
    server, ran = told
    return server.world.tasks[ran.result[0][0]]


@pytest.fixture(scope="module")
def variant(told):
    server, ran = told
    return server.world.tasks[ran.result[0][1]]


def test_runs_that_are_opened_again_are_the_same_tasks(told, world):
    ids = told[1].result[0]

    assert ids[2:] == ids[:2], "by its id, and by its uid alone"
    assert set(world.tasks) == set(ids)
    assert len(world.projects) == 1


def test_a_task_is_created_whole_by_one_request(world):
    first, _ = world.called("tasks.create")
    created = json.loads(first.body)

    assert {"name", "project", "tags", "comment", "hyperparams", "script"} <= created.keys()
    assert created["system_tags"] == [f"experiments-run-{UIDS[BASELINE]}"]


def test_a_task_says_what_its_run_is(world, baseline):
    assert baseline.name == "cartpole_rates baseline_seed7"
    assert world.project_of(baseline) == "cartpole/rates"
    assert baseline.fields["type"] == "training"
    assert baseline.tags == sorted(describe(BASELINE).tags)
    assert baseline.comment.startswith("a first try\n\nHypothesis: a larger step learns faster")


def test_parameters_stand_in_sections(baseline):
    hyperparams = baseline.hyperparams

    assert hyperparams["Configuration"] == {"algorithm": "PPO", "normalize": "", "seed": "7"}
    assert hyperparams["Environment kwargs"] == {"gravity": "9.8"}
    assert hyperparams["Hyperparameters"] == {
        "learning_rate": "0.0003",
        "policy_kwargs/net_arch": "[64, 64]",
    }
    assert hyperparams["Difference between the arms"] == {
        "hyperparameters/learning_rate (baseline)": "0.0003",
        "hyperparameters/learning_rate (variant)": "0.001",
    }
    assert hyperparams["Experiment"] == {
        "experiment_id": "cartpole_rates",
        "run": "baseline_seed7",
        "arm": "baseline",
        "seed": "7",
        "partner": "variant_seed7",
        "host": "here",
        "command": "python -m src.experiments.runner --config exp.json",
    }


def test_the_code_is_told_as_it_was(baseline):
    assert baseline.script == {
        "binary": "python",
        "working_dir": ".",
        "repository": "https://git.example/rl.git",
        "branch": "main",
        "version_num": "0123abcd",
        "entry_point": "-m src.experiments.runner",
        "diff": "diff --git a/x b/x\n+better\n",
        "requirements": {"pip": "numpy==2.4.6\ntorch==2.9.0"},
    }


def test_the_tasks_of_a_pair_name_each_other(baseline, variant):
    assert baseline.hyperparams["properties"] == {"partner_task": variant.id}
    assert variant.hyperparams["properties"] == {"partner_task": baseline.id}
    assert variant.parent == baseline.id
    assert baseline.parent is None


def test_metrics_are_scalars_at_the_records_steps(baseline):
    assert baseline.scalars["rollouts/returns_mean"] == [(128, 20.5), (256, 21.0), (512, 30.0)]
    assert baseline.scalars["plain/plain"] == [(128, 1)]
    assert baseline.fields["last_iteration"] == 640


def test_metrics_keep_the_records_times(world):
    first = world.called("events.add_batch")[0]
    moments = [json.loads(line)["timestamp"] for line in first.body.splitlines()]

    assert moments[:2] == [1_700_000_000_000, 1_700_000_001_500]
    assert moments == sorted(moments)


def test_what_is_not_finite_is_counted_on_from_process_to_process(baseline):
    assert baseline.scalars["train/loss"] == [(128, 0.5)], "no zero in the place of NaN"
    assert baseline.scalars["not_finite/train/loss"] == [(256, 1), (384, 2), (640, 3)]
    assert baseline.scalars["not_finite/rollouts/returns_mean"] == [(384, 1)]
    assert [line for line in baseline.log if line.startswith("train/loss")] == [
        "train/loss is nan at step 256; any more are counted under not_finite"
    ]


def test_texts_and_attempts_are_lines_of_the_log(baseline):
    assert "attempt 1 started" in baseline.log
    assert "examples/completion: the pole fell; [redacted]" in baseline.log
    assert baseline.lines[0]["timestamp"] == 1_700_000_000_000
    assert {line["worker"] for line in baseline.lines} == {"here"}


def test_final_values_and_tables_are_told_once(baseline):
    assert baseline.single_values == {"final_return": 200.0}
    assert sum(line.startswith("auc is nan") for line in baseline.log) == 1
    assert list(baseline.plots) == [("tables", "evaluations", 0)]
    (trace,) = baseline.plots["tables", "evaluations", 0]["data"]
    assert trace["header"]["values"] == ["step", "return"]
    assert trace["cells"]["values"] == [[128, 256, 384], [20.0, "nan", ""]]


def test_files_arrive_as_they_are(told, world, baseline, folder):
    server, _ = told
    (figure,) = baseline.images.values()
    model = world.models[baseline.models["final_policy"]]

    assert len(world.models) == 1, "telling the end again makes no second one"
    assert model["framework"] == "PyTorch"
    assert model["task"] == baseline.id
    for url, file in ((figure, "curves.png"), (model["uri"], "model.zip")):
        assert url.startswith(f"{server.url}/cartpole_rates/cartpole_rates_baseline_seed7.")
        assert world.files[url.removeprefix(server.url)] == (folder / file).read_bytes()


def test_an_artifact_is_uploaded_without_the_secret_in_it(told, world, baseline):
    artifact = baseline.artifacts["experiment_results"]
    content = world.files[artifact["uri"].removeprefix(told[0].url)]

    assert json.loads(content) == {"verdict": "better", "told": "[redacted]"}
    assert artifact["content_size"] == len(content)
    assert artifact["type_data"]["content_type"] == "application/json"


def test_tasks_end_as_their_runs_did(baseline, variant):
    error = "non-finite loss at step 384 [redacted]"

    assert (baseline.status, baseline.status_message) == ("completed", VERDICT)
    assert (variant.status, variant.status_reason) == ("failed", error)
    assert variant.status_message == error


def test_a_task_that_had_ended_is_in_progress_while_it_is_told(world, baseline, variant):
    changes = {"tasks.started": "begin", "tasks.completed": "end", "tasks.failed": "end"}
    seen = [
        (json.loads(request.body)["task"], changes[request.action])
        for request in world.requests
        if request.action in changes
    ]

    assert [change for task, change in seen if task == baseline.id] == ["begin", "end"] * 3
    assert [change for task, change in seen if task == variant.id] == ["begin", "end"] * 2


def test_verdict_and_error_are_said_once(baseline, variant):
    assert baseline.comment.count(f"Verdict: {VERDICT}") == 1
    assert baseline.log.count(VERDICT) == 1
    assert variant.log.count("non-finite loss at step 384 [redacted]") == 1


def test_a_person_is_shown_the_way_to_a_task(told, baseline):
    server, ran = told
    project = baseline.fields["project"]

    assert ran.result[1] == f"{server.url}/projects/{project}/experiments/{baseline.id}/output/log"


def test_no_secret_leaves_but_for_the_login(told, world):
    server, ran = told

    for secret in (CANARY, server.secret_key, server.access_key):
        assert world.holds(secret) == []
        assert not [path for path, content in world.files.items() if secret.encode() in content]
        assert secret not in ran.output


def test_the_sdk_leaves_process_and_disk_as_they_were(told, folder):
    _, ran = told
    _, _, is_default_handler, leftovers = ran.result

    assert ran.output == ""
    assert is_default_handler, "SIGTERM ends the process"
    assert leftovers == []
    assert not any((folder / "home").iterdir())


def read_with_the_sdk(environment, task_id):
    """What ClearML's own `Task` makes of a task that was told."""
    os.environ.update(environment)
    from clearml import Task

    task = Task.get_task(task_id=task_id)
    artifact = Path(task.artifacts["experiment_results"].get_local_copy()).read_text()
    (model,) = task.models["output"]
    weights = Path(model.get_local_copy(extract_archive=False)).read_bytes()
    return {
        "name": task.name,
        "status": task.get_status(),
        "artifact": artifact,
        "weights": weights,
        "rate": task.get_parameters(cast=True)["Hyperparameters/learning_rate"],
        "diff": task.data.script.diff,
    }


@pytest.mark.slow
def test_the_sdk_reads_what_was_told(told, baseline, folder):
    server, _ = told
    ran = tell(read_with_the_sdk, server.environment, baseline.id, folder=folder)

    assert ran.result["name"] == baseline.name
    assert ran.result["status"] == "completed"
    assert json.loads(ran.result["artifact"])["verdict"] == "better"
    assert ran.result["weights"] == (folder / "model.zip").read_bytes()
    assert ran.result["rate"] == 3e-4
    assert ran.result["diff"].startswith("diff --git")


def check_by_the_sdks_schema(events):
    """Problems that the SDK's own schema of events has with some."""
    from clearml.backend_api.services.v2_23.events import AddRequest
    from jsonschema import Draft7Validator

    validator = Draft7Validator(AddRequest._schema)
    return [str(error) for event in events for error in validator.iter_errors(event)]


@pytest.mark.slow
def test_events_are_as_the_sdks_schema_has_them(world, folder):
    sent = [
        json.loads(line)
        for request in world.called("events.add_batch")
        for line in request.body.splitlines()
    ]
    ran = tell(check_by_the_sdks_schema, [*sent, {"type": "log"}], folder=folder)

    assert {event["type"] for event in sent} == {
        "log",
        "plot",
        "training_debug_image",
        "training_stats_scalar",
    }
    assert len(ran.result) == 1, "the last one, which has no task"
