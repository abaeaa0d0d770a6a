import csv
import hashlib
import json
import math
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.experiments.domain.errors import StorageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from src.experiments.durability.files import write_json
from src.experiments.durability.journal import JournalWriter
from src.experiments.tracking.local_store import StoreInput, write_local_store
from src.experiments.tracking.manifest import write_manifest
from src.experiments.tracking.metric_files import csv_name

BASELINE, VARIANT = RunKey("baseline", 42), RunKey("variant", 42)
MOMENT = 1_700_000_000.5


def store_input(paths, **changes):
    values = {
        "paths": paths,
        "runs": (BASELINE, VARIANT),
        "results": {
            "experiment_id": paths.experiment_id,
            "status": "completed",
            "runs": [
                {"arm": "baseline", "seed": 42, "final_return": 210.5},
                {"arm": "variant", "seed": 42, "final_return": math.nan, "error": "NaN"},
            ],
            "comparison": {"verdict": "insufficient_evidence"},
        },
        "config": {"hypothesis": "faster", "seeds": [42]},
        "metadata": {"timestamp": "2023-11-14T22:13:20Z", "hypothesis": "faster"},
        "adopted_attempts": {BASELINE: 2},
    }
    return StoreInput(**(values | changes))


@pytest.fixture
def paths(tmp_path):
    return ExperimentPaths.under(tmp_path, "pair")


@pytest.fixture
def finished(paths):
    """The directory of an experiment whose runs have ended."""
    with JournalWriter(paths.run(BASELINE).journal, lambda: MOMENT) as journal:
        journal.append("started", 0, total_timesteps=200, planned_timesteps=256)
        journal.append(
            "metrics", 128, metrics={"rollouts/returns_mean": 0.1 + 0.2}, training_time=1.0
        )
        journal.append("text", 128, name="examples/action", text="left, right")
        journal.append(
            "evaluation",
            256,
            final=True,
            episodes=3,
            returns=[1.0, 2.0, 3.0],
            metrics={"eval/return_mean": 2.0},
            evaluation_time=0.5,
        )
        journal.append(
            "finished",
            256,
            metrics={"final/total_steps": 256},
            training_time=2.5,
            evaluation_time=0.5,
        )
    with JournalWriter(paths.run(BASELINE).events, lambda: MOMENT + 60) as events:
        events.append("attempt_started", 0, attempt=1, pid=5)
        events.append("resources", 0, cpu_percent=50.0, memory_mb=100.0, disk_usage_mb=None)
        events.append("attempt_ended", 128, attempt=1, outcome="killed", cause="signal 9")
        events.append("resources", 128, cpu_percent=99.5, memory_mb=300.0, disk_usage_mb=2.0)
    with JournalWriter(paths.run(VARIANT).journal, lambda: MOMENT) as journal:
        journal.append(
            "metrics", 128, metrics={"rollouts/returns_mean": math.nan, "x": math.inf, "no": None}
        )
    write_json(paths.run(BASELINE).attempt(1).predictions, {"episodes": ["given up"]})
    write_json(paths.run(BASELINE).attempt(2).predictions, {"episodes": [{"seed": 1}]})
    paths.model(BASELINE, single_seed=True).parent.mkdir()
    paths.model(BASELINE, single_seed=True).write_bytes(b"policy")
    paths.lock.touch()
    return paths


def content(path):
    return json.loads(path.read_text(), parse_constant=pytest.fail)


def csv_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tree(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_every_derived_file_is_written(finished):
    write_local_store(store_input(finished))

    expected = {
        "artifacts/artifacts_metadata.json",
        "artifacts/experiment_results_20231114_221420.json",
        "artifacts/memory_usage_20231114_221420.json",
        "artifacts/model_predictions_20231114_221420.json",
        "config/experiment_config.json",
        "logs/text_logs.json",
        "manifest.json",
        "memory_usage.json",
        "metadata.json",
        "metrics/eval__return_mean.csv",
        "metrics/final__total_steps.csv",
        "metrics/rollouts__returns_mean.csv",
        "metrics/scalar_metrics.json",
        "metrics/single_values.json",
        "metrics/system__cpu_percent.csv",
        "metrics/system__disk_usage_mb.csv",
        "metrics/system__memory_mb.csv",
        "metrics/tables.json",
        "metrics/x.csv",
        "predictions.json",
        "results.json",
    }
    written = {name for name in tree(finished.root) if not name.startswith(("runs", "models", "."))}
    assert written == expected


def test_deriving_again_writes_the_same_bytes(finished):
    write_local_store(store_input(finished))
    first = tree(finished.root)
    write_local_store(store_input(finished))

    assert tree(finished.root) == first


def test_deriving_later_replaces_what_was_derived_earlier(finished):
    write_local_store(store_input(finished))
    finished.run(VARIANT).journal.unlink()
    with JournalWriter(finished.run(BASELINE).events, lambda: MOMENT + 120) as events:
        events.append("rewound", 0, attempt=2)
    write_local_store(store_input(finished))

    names = {path.name for path in finished.artifacts.iterdir()}
    assert "experiment_results_20231114_221520.json" in names
    assert "experiment_results_20231114_221420.json" not in names
    assert not (finished.metrics / "x.csv").exists()


def test_numbers_are_written_in_full(finished):
    write_local_store(store_input(finished))

    rows = csv_rows(finished.metrics / "rollouts__returns_mean.csv")
    assert rows[0] == {
        "arm": "baseline",
        "seed": "42",
        "step": "128",
        "value": "0.30000000000000004",
    }
    scalars = content(finished.metrics / "scalar_metrics.json")
    assert scalars["rollouts/returns_mean"]["baseline_seed42"] == [
        {"step": 128, "value": 0.30000000000000004}
    ]


def test_what_is_not_finite_is_null_in_json_and_named_in_csv(finished):
    write_local_store(store_input(finished))

    scalars = content(finished.metrics / "scalar_metrics.json")
    assert scalars["rollouts/returns_mean"]["variant_seed42"] == [{"step": 128, "value": None}]
    assert csv_rows(finished.metrics / "rollouts__returns_mean.csv")[1]["value"] == "nan"
    assert csv_rows(finished.metrics / "x.csv")[0]["value"] == "inf"
    assert content(finished.results)["runs"][1]["final_return"] is None


def test_predictions_come_from_the_adopted_attempt_and_missing_ones_are_null(finished):
    write_local_store(store_input(finished))

    runs = content(finished.predictions)["runs"]
    assert runs == {"baseline_seed42": {"episodes": [{"seed": 1}]}, "variant_seed42": None}


def test_damaged_predictions_are_named(finished):
    path = finished.run(BASELINE).attempt(2).predictions
    path.write_text("{")

    with pytest.raises(StorageError, match="not valid JSON") as caught:
        write_local_store(store_input(finished))
    assert caught.value.where == str(path)


def test_memory_is_told_with_peak_mean_and_samples(finished):
    write_local_store(store_input(finished))

    memory = content(finished.memory_usage)
    baseline = memory["runs"]["baseline_seed42"]
    assert (memory["peak_mb"], baseline["peak_mb"], baseline["mean_mb"]) == (300.0, 300.0, 200.0)
    assert [sample["step"] for sample in baseline["samples"]] == [0, 128]
    assert memory["runs"]["variant_seed42"] == {"peak_mb": None, "mean_mb": None, "samples": []}


def test_text_logs_hold_texts_events_and_the_log_in_order_of_time(finished):
    finished.logs.mkdir()
    finished.experiment_log.write_text(
        "2023-11-14T22:13:00+00:00 INFO runner: started\n"
        "2023-11-14T22:13:30,250+00:00 ERROR runner: failed\nTraceback\n  line\n"
    )
    write_local_store(store_input(finished))

    lines = content(finished.text_logs)
    assert lines[0] == {
        "timestamp": "2023-11-14T22:13:00.000Z",
        "level": "INFO",
        "run": None,
        "text": "runner: started",
    }
    assert [(line["level"], line["run"], line["text"]) for line in lines[1:]] == [
        ("INFO", "baseline_seed42", "examples/action: left, right"),
        ("INFO", "baseline_seed42", "training finished at step 256"),
        ("ERROR", None, "runner: failed\nTraceback\n  line"),
        ("INFO", "baseline_seed42", "attempt 1 started"),
        ("ERROR", "baseline_seed42", "attempt 1 killed; signal 9"),
    ]


def test_single_values_are_those_of_the_end_of_a_run(finished):
    write_local_store(store_input(finished))

    assert content(finished.metrics / "single_values.json") == {
        "eval/return_mean": {"baseline_seed42": 2.0},
        "evaluation_time": {"baseline_seed42": 0.5},
        "final/total_steps": {"baseline_seed42": 256},
        "training_time": {"baseline_seed42": 2.5},
    }


def test_tables_hold_the_runs_and_all_evaluations(finished):
    write_local_store(store_input(finished))

    tables = content(finished.metrics / "tables.json")
    assert tables["runs"] == {
        "columns": ["arm", "seed", "final_return", "error"],
        "rows": [["baseline", 42, 210.5, None], ["variant", 42, None, "NaN"]],
    }
    assert tables["evaluations"] == {
        "columns": ["arm", "seed", "step", "final", "episodes", "eval/return_mean"],
        "rows": [["baseline", 42, 256, True, 3, 2.0]],
    }


def test_metadata_has_name_time_and_format_version(finished):
    write_local_store(store_input(finished))

    metadata = content(finished.metadata)
    assert metadata["name"] == "pair"
    assert metadata["timestamp"] == "2023-11-14T22:13:20Z"
    assert metadata["format_version"] == "1.0"
    assert metadata["hypothesis"] == "faster"
    assert "results.json" in metadata["contents"]


def test_artifacts_are_described_and_exist(finished):
    write_local_store(store_input(finished))

    artifacts = content(finished.artifacts / "artifacts_metadata.json")["artifacts"]
    assert [artifact["type"] for artifact in artifacts] == ["json", "json", "json", "model"]
    assert all((finished.root / artifact["path"]).is_file() for artifact in artifacts)


def test_the_manifest_lists_every_file_but_locks_links_and_itself(finished, tmp_path):
    (tmp_path / "outside").write_text("not ours")
    (finished.root / "link").symlink_to(tmp_path / "outside")
    (finished.root / ".results.json.77.tmp").write_text("torn")
    finished.run(BASELINE).lock.touch()
    write_local_store(store_input(finished))

    files = {file["path"]: file for file in content(finished.manifest)["files"]}
    excluded = {"manifest.json", ".lock", "link", ".results.json.77.tmp"}
    excluded.add("runs/baseline_seed42/.lock")
    assert set(files) == set(tree(finished.root)) - excluded
    assert all(
        file["sha256"] == hashlib.sha256((finished.root / name).read_bytes()).hexdigest()
        and file["size"] == (finished.root / name).stat().st_size
        for name, file in files.items()
    )


def test_a_manifest_can_be_written_again_for_files_that_came_later(finished):
    write_local_store(store_input(finished))
    finished.report.mkdir()
    finished.report_page.write_text("<!doctype html>")
    write_manifest(finished)

    assert "report/index.html" in {file["path"] for file in content(finished.manifest)["files"]}


def test_an_experiment_without_any_record_has_all_its_files(paths):
    write_local_store(store_input(paths, adopted_attempts={}))

    assert content(paths.metrics / "scalar_metrics.json") == {}
    assert content(paths.text_logs) == []
    assert paths.manifest.is_file()


def test_secrets_reach_no_derived_file(finished):
    finished.logs.mkdir()
    finished.experiment_log.write_text("2023-11-14T22:13:00Z INFO used canary-secret-1\n")
    store = store_input(
        finished,
        secrets=frozenset({"canary-secret-1"}),
        config={"note": "canary-secret-1", "api_key": "anything"},
        metadata={"comment": "x canary-secret-1"},
        results={"runs": [{"error": "denied: canary-secret-1"}]},
    )
    write_local_store(store)

    derived = {name: data for name, data in tree(finished.root).items() if name[:4] != "logs"}
    assert not [name for name, data in derived.items() if b"canary-secret-1" in data]
    assert b"canary" not in finished.text_logs.read_bytes()
    assert content(finished.config)["api_key"] == "[redacted]"


def test_an_arm_that_looks_like_a_formula_is_inert_in_csv(paths):
    run = RunKey("=HYPERLINK(1)", 1)
    with JournalWriter(paths.run(run).journal, lambda: MOMENT) as journal:
        journal.append("metrics", 1, metrics={"loss": -1.5})
    write_local_store(store_input(paths, runs=(run,)))

    (row,) = csv_rows(paths.metrics / "loss.csv")
    assert row["arm"] == "'=HYPERLINK(1)"
    assert row["value"] == "-1.5"


names = st.text(string.ascii_letters + string.digits + "/_.-: é=", min_size=1, max_size=30)


@settings(deadline=None)
@given(st.sets(names, max_size=20))
def test_distinct_metrics_have_distinct_and_safe_file_names(metrics):
    files = [csv_name(metric) for metric in metrics]

    assert len({file.lower() for file in files}) == len(metrics)
    assert all("/" not in file and not file.startswith(".") for file in files)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("rollouts/returns_mean", "rollouts__returns_mean.csv"),
        ("loss", "loss.csv"),
    ],
)
def test_an_ordinary_metric_keeps_its_name(metric, name):
    assert csv_name(metric) == name


def test_a_hostile_metric_name_stays_in_its_folder():
    assert "/" not in csv_name("../../etc/passwd")
    assert len(csv_name("x" * 5000)) < 200


numbers = st.one_of(st.floats(), st.integers(-(2**60), 2**60))
records = st.lists(
    st.tuples(
        st.sampled_from(["metrics", "evaluation", "finished"]),
        st.integers(0, 10**9),
        st.dictionaries(st.sampled_from(["a/b", "a__b", "A/b", "c"]), numbers, max_size=4),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records, records)
def test_journal_csv_and_json_agree_in_every_number(tmp_path_factory, baseline, variant):
    paths = ExperimentPaths.under(tmp_path_factory.mktemp("store"), "pair")
    written = {}
    for run, run_records in ((BASELINE, baseline), (VARIANT, variant)):
        with JournalWriter(paths.run(run).journal, lambda: MOMENT) as journal:
            for kind, step, metrics in run_records:
                journal.append(kind, step, metrics=metrics)
                for name, value in metrics.items():
                    written.setdefault(name, []).append((run, step, value))
    write_local_store(store_input(paths))

    scalars = content(paths.metrics / "scalar_metrics.json")
    assert set(scalars) == set(written)
    for name, points in written.items():
        rows = csv_rows(paths.metrics / csv_name(name))
        assert [(row["arm"], int(row["seed"]), int(row["step"])) for row in rows] == [
            (run.arm, run.seed, step) for run, step, _ in points
        ]
        for row, (_, _, value) in zip(rows, points, strict=True):
            assert same(type(value)(row["value"]), value)
        for run in (BASELINE, VARIANT):
            assert scalars[name].get(run.name, []) == [
                {"step": step, "value": value if math.isfinite(value) else None}
                for of, step, value in points
                if of == run
            ]


def same(left, right):
    return left == right or (math.isnan(left) and math.isnan(right))
