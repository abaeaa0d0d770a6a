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
from src.experiments.durability.files import json_text, read_json, write_json
from src.experiments.durability.journal import JournalWriter, read_journal
from src.experiments.tracking import log_lines, metric_files, spool
from src.experiments.tracking.local_store import StoreInput, write_store_files
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


def write_whole_store(store):
    write_store_files(store)
    write_manifest(store.paths)


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
    write_whole_store(store_input(finished))

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
    write_whole_store(store_input(finished))
    first = tree(finished.root)
    write_whole_store(store_input(finished))

    assert tree(finished.root) == first


def test_deriving_later_replaces_what_was_derived_earlier(finished):
    write_whole_store(store_input(finished))
    finished.run(VARIANT).journal.unlink()
    with JournalWriter(finished.run(BASELINE).events, lambda: MOMENT + 120) as events:
        events.append("rewound", 0, attempt=2)
    write_whole_store(store_input(finished))

    names = {path.name for path in finished.artifacts.iterdir()}
    assert "experiment_results_20231114_221520.json" in names
    assert "experiment_results_20231114_221420.json" not in names
    assert not (finished.metrics / "x.csv").exists()


def test_numbers_are_written_in_full(finished):
    write_whole_store(store_input(finished))

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
    write_whole_store(store_input(finished))

    scalars = content(finished.metrics / "scalar_metrics.json")
    assert scalars["rollouts/returns_mean"]["variant_seed42"] == [{"step": 128, "value": None}]
    assert csv_rows(finished.metrics / "rollouts__returns_mean.csv")[1]["value"] == "nan"
    assert csv_rows(finished.metrics / "x.csv")[0]["value"] == "inf"
    assert content(finished.results)["runs"][1]["final_return"] is None


def test_predictions_come_from_the_adopted_attempt_and_missing_ones_are_null(finished):
    write_whole_store(store_input(finished))

    runs = content(finished.predictions)["runs"]
    assert runs == {"baseline_seed42": {"episodes": [{"seed": 1}]}, "variant_seed42": None}


def test_damaged_predictions_are_named(finished):
    path = finished.run(BASELINE).attempt(2).predictions
    path.write_text("{")

    with pytest.raises(StorageError, match="not valid JSON") as caught:
        write_whole_store(store_input(finished))
    assert caught.value.where == str(path)


def test_memory_is_told_with_peak_mean_and_samples(finished):
    write_whole_store(store_input(finished))

    memory = content(finished.memory_usage)
    baseline = memory["runs"]["baseline_seed42"]
    assert (memory["peak_mb"], baseline["peak_mb"], baseline["mean_mb"]) == (300.0, 300.0, 200.0)
    assert [sample["step"] for sample in baseline["samples"]] == [0, 128]
    variant = memory["runs"]["variant_seed42"]
    assert variant.pop("samples") == []
    assert set(variant.values()) == {None}


def resources(paths, run, samples):
    """Resource events of a run: time, memory, proportional memory, memory on the GPU."""
    for moment, *measured in samples:
        with JournalWriter(paths.run(run).events, lambda moment=moment: moment) as events:
            names = ("memory_mb", "pss_mb", "gpu_memory_mb")
            events.append("resources", 1, **dict(zip(names, measured, strict=True)))


def test_the_total_is_the_sum_over_the_runs_at_each_look(paths):
    resources(paths, BASELINE, [(10.2, 100.0, 60.0, None), (11.3, 200.0, 90.0, None)])
    resources(paths, VARIANT, [(11.3, 300.0, 110.0, None), (12.4, 150.0, 80.0, None)])
    write_whole_store(store_input(paths, adopted_attempts={}))

    total = content(paths.memory_usage)["total"]
    assert [list(sample.values())[:4] for sample in total["samples"]] == [
        [10, 1, 100.0, 60.0],
        [11, 2, 500.0, 200.0],
        [12, 1, 150.0, 80.0],
    ]
    assert (total["peak_mb"], total["mean_mb"]) == (500.0, 250.0)
    assert (total["peak_pss_mb"], total["mean_pss_mb"]) == (200.0, pytest.approx(340 / 3))
    assert (total["peak_gpu_memory_mb"], total["mean_gpu_memory_mb"]) == (None, None)


def test_a_run_that_was_looked_at_twice_in_a_second_counts_once_in_the_total(paths):
    resources(paths, BASELINE, [(10.1, 100.0, 60.0, None), (10.8, 130.0, 70.0, None)])
    resources(paths, VARIANT, [(10.4, 50.0, 20.0, None)])
    write_whole_store(store_input(paths, adopted_attempts={}))

    memory = content(paths.memory_usage)
    assert [sample["memory_mb"] for sample in memory["total"]["samples"]] == [180.0]
    assert len(memory["runs"]["baseline_seed42"]["samples"]) == 2


def test_an_unknown_part_makes_a_sum_unknown_but_a_run_without_a_gpu_uses_none(paths):
    resources(paths, BASELINE, [(10.0, 100.0, None, None), (11.0, 100.0, 60.0, None)])
    resources(paths, VARIANT, [(10.0, 100.0, 60.0, 512.0), (11.0, 100.0, 60.0, 256.0)])
    write_whole_store(store_input(paths, adopted_attempts={}))

    memory = content(paths.memory_usage)
    total = memory["total"]
    assert [sample["pss_mb"] for sample in total["samples"]] == [None, 120.0]
    assert (total["peak_gpu_memory_mb"], total["mean_gpu_memory_mb"]) == (512.0, 384.0)
    assert memory["runs"]["baseline_seed42"]["peak_gpu_memory_mb"] is None
    assert memory["runs"]["baseline_seed42"]["mean_pss_mb"] == 60.0


def test_text_logs_hold_texts_events_and_the_log_in_order_of_time(finished):
    finished.logs.mkdir()
    finished.experiment_log.write_text(
        "2023-11-14T22:13:00+00:00 INFO runner: started\n"
        "2023-11-14T22:13:30,250+00:00 ERROR runner: failed\nTraceback\n  line\n"
    )
    write_whole_store(store_input(finished))

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
    write_whole_store(store_input(finished))

    assert content(finished.metrics / "single_values.json") == {
        "eval/return_mean": {"baseline_seed42": 2.0},
        "evaluation_time": {"baseline_seed42": 0.5},
        "final/total_steps": {"baseline_seed42": 256},
        "training_time": {"baseline_seed42": 2.5},
    }


def test_tables_hold_the_runs_and_all_evaluations(finished):
    write_whole_store(store_input(finished))

    tables = content(finished.metrics / "tables.json")
    assert tables["runs"] == {
        "columns": ["arm", "seed", "final_return", "error"],
        "rows": [["baseline", 42, 210.5, None], ["variant", 42, None, "NaN"]],
    }
    assert tables["evaluations"] == {
        "columns": ["arm", "seed", "step", "final", "episodes", "eval/return_mean"],
        "rows": [["baseline", 42, 256, True, 3, 2.0]],
    }


def test_tables_hold_the_arms_where_there_are_some(finished):
    results = {"runs": [], "arms": {"baseline": {"seeds": [1, 2]}, "variant": {"auc": 1.5}}}
    write_whole_store(store_input(finished, results=results))

    assert content(finished.metrics / "tables.json")["arms"] == {
        "columns": ["seeds", "auc"],
        "rows": [[[1, 2], None], [None, 1.5]],
    }


def test_metadata_has_name_time_and_format_version(finished):
    write_whole_store(store_input(finished))

    metadata = content(finished.metadata)
    assert metadata["name"] == "pair"
    assert metadata["timestamp"] == "2023-11-14T22:13:20Z"
    assert metadata["format_version"] == "1.0"
    assert metadata["hypothesis"] == "faster"
    assert "results.json" in metadata["contents"]


def test_artifacts_are_described_and_exist(finished):
    write_whole_store(store_input(finished))

    artifacts = content(finished.artifacts / "artifacts_metadata.json")["artifacts"]
    assert [artifact["type"] for artifact in artifacts] == ["json", "json", "json", "model"]
    assert all((finished.root / artifact["path"]).is_file() for artifact in artifacts)


def test_the_manifest_lists_every_file_but_locks_links_and_itself(finished, tmp_path):
    (tmp_path / "outside").write_text("not ours")
    (finished.root / "link").symlink_to(tmp_path / "outside")
    (finished.root / ".results.json.77.tmp").write_text("torn")
    finished.run(BASELINE).lock.touch()
    write_whole_store(store_input(finished))

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
    write_whole_store(store_input(finished))
    finished.report.mkdir()
    finished.report_page.write_text("<!doctype html>")
    write_manifest(finished)

    assert "report/index.html" in {file["path"] for file in content(finished.manifest)["files"]}


def test_an_experiment_without_any_record_has_all_its_files(paths):
    write_whole_store(store_input(paths, adopted_attempts={}))

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
    write_whole_store(store)

    derived = {name: data for name, data in tree(finished.root).items() if name[:4] != "logs"}
    assert not [name for name, data in derived.items() if b"canary-secret-1" in data]
    assert b"canary" not in finished.text_logs.read_bytes()
    assert content(finished.config)["api_key"] == "[redacted]"


def test_an_arm_that_looks_like_a_formula_is_inert_in_csv(paths):
    run = RunKey("=HYPERLINK(1)", 1)
    with JournalWriter(paths.run(run).journal, lambda: MOMENT) as journal:
        journal.append("metrics", 1, metrics={"loss": -1.5})
    write_whole_store(store_input(paths, runs=(run,)))

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
    write_whole_store(store_input(paths))

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


# --- many runs: written run by run, and the same bytes as if everything had been held at once


SEEDS = (1, 2, 3)
RUNS = [RunKey(arm, seed) for arm in ("baseline", "variant") for seed in SEEDS]


@pytest.fixture
def several(paths):
    """Three seeds of two arms, with metrics that not every run has, NaN, texts and evaluations."""
    for index, run in enumerate(RUNS):
        moment = MOMENT + 7 * (index % 4)
        with JournalWriter(paths.run(run).journal, lambda moment=moment: moment) as journal:
            for step in range(10, 60, 10):
                metrics = {"train/x": step / (index + 3), f"own/{index % 2}": index, "é": math.nan}
                journal.append("metrics", step, metrics=metrics)
                evaluated = {"eval/return_mean": step * 0.1, **({"more": 1} if index == 4 else {})}
                journal.append("evaluation", step, final=step == 50, metrics=evaluated, episodes=2)
            journal.append("text", 50, name="note", text=f"run {index} \udcff\n")
            if index != 2:
                journal.append("finished", 50, metrics={"final/total_steps": 50}, training_time=1.5)
        with JournalWriter(paths.run(run).events, lambda moment=moment: moment + 1) as events:
            events.append("resources", 5, cpu_percent=1.5, memory_mb=100.0 + index)
        predictions = {"episodes": [{"seed": index, "actions": [[0.5], []]}], "none": {}}
        write_json(paths.run(run).attempt(1).predictions, predictions)
    return store_input(paths, runs=RUNS, adopted_attempts=dict.fromkeys(RUNS[1:], 1))


def all_at_once(store):
    """The same documents, made from all streams in memory, by path below the experiment."""
    paths = store.paths
    streams = {
        run: (read_journal(paths.run(run).journal), read_journal(paths.run(run).events))
        for run in store.runs
    }
    points, single, evaluations = {}, {}, []
    for run, (journal, events) in streams.items():
        for record in (*journal, *events):
            values = dict(record.get("metrics", {}))
            if record["kind"] == "resources":
                values = {f"system/{name}": record[name] for name in ("cpu_percent", "memory_mb")}
            for name, value in values.items():
                points.setdefault(name, []).append((run, record["step"], value))
            if record["kind"] == "evaluation":
                evaluations.append((run, record))
            if record["kind"] == "finished" or record.get("final"):
                extra = {"training_time": 1.5} if record["kind"] == "finished" else {}
                for name, value in (values | extra).items():
                    single.setdefault(name, {})[run.name] = value
    scalars = {
        name: {
            run.name: [{"step": step, "value": value} for of, step, value in found if of == run]
            for run in dict.fromkeys(run for run, _, _ in found)
        }
        for name, found in sorted(points.items())
    }
    names = sorted({name for _, record in evaluations for name in record["metrics"]})
    return {
        "metrics/scalar_metrics.json": json_text(scalars, indent=2),
        "metrics/single_values.json": json_text(dict(sorted(single.items())), indent=2),
        "metrics/tables.json": json_text(
            {
                "runs": content(paths.metrics / "tables.json")["runs"],
                "arms": {"columns": [], "rows": []},
                "evaluations": {
                    "columns": ["arm", "seed", "step", "final", "episodes", *names],
                    "rows": [
                        [run.arm, run.seed, record["step"], record["final"], record["episodes"]]
                        + [record["metrics"].get(name) for name in names]
                        for run, record in evaluations
                    ],
                },
            },
            indent=2,
        ),
        "predictions.json": json_text(
            {
                "experiment_id": "pair",
                "runs": {
                    run.name: read_json(paths.run(run).attempt(1).predictions)
                    if run in store.adopted_attempts
                    else None
                    for run in store.runs
                },
            },
            indent=2,
        ),
        **{
            f"metrics/{csv_name(name)}": "\n".join(
                ["arm,seed,step,value"]
                + [f"{run.arm},{run.seed},{step},{value!r}" for run, step, value in found]
            )
            for name, found in points.items()
        },
    }


@pytest.mark.parametrize("waiting", [1, 300, 4_000_000])
def test_files_are_written_run_by_run_as_if_all_runs_were_held_at_once(
    several, monkeypatch, waiting
):
    monkeypatch.setattr(metric_files, "MOST_WAITING_CHARACTERS", waiting)
    monkeypatch.setattr(metric_files, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(spool, "_PIECE_BYTES", 7)
    write_whole_store(several)

    expected = all_at_once(several)
    written = tree(several.paths.root)
    assert {name: written[name].decode() for name in expected} == {
        name: f"{text}\n" for name, text in expected.items()
    }
    csv_files = {name for name in written if name.endswith(".csv")}
    assert csv_files == {name for name in expected if name.endswith(".csv")}


def test_texts_of_all_runs_are_in_order_of_time_and_of_equal_times_in_that_of_the_runs(several):
    write_whole_store(several)

    lines = content(several.paths.text_logs)
    moments = [line["timestamp"] for line in lines]
    assert moments == sorted(moments)
    first = [line["run"] for line in lines if line["timestamp"] == moments[0]]
    assert list(dict.fromkeys(first)) == [RUNS[0].name, RUNS[4].name]


def test_artifacts_hold_what_they_are_copies_of(several):
    write_whole_store(several)

    for kind, source in (
        ("experiment_results", several.paths.results),
        ("model_predictions", several.paths.predictions),
        ("memory_usage", several.paths.memory_usage),
    ):
        (copy,) = several.paths.artifacts.glob(f"{kind}_*.json")
        assert copy.read_bytes() == source.read_bytes()


def test_a_damaged_stream_of_a_later_run_leaves_earlier_metric_files_as_they_were(several):
    write_whole_store(several)
    before = tree(several.paths.metrics)
    with JournalWriter(several.paths.run(RUNS[0]).journal) as journal:
        journal.append("metrics", 60, metrics={"train/x": 1.0, "new": 2.0})
    damaged = several.paths.run(RUNS[3]).journal
    damaged.write_bytes(b"no record\n" + damaged.read_bytes())

    with pytest.raises(StorageError) as caught:
        write_whole_store(several)
    assert caught.value.where == str(damaged)
    assert tree(several.paths.metrics) == before
    assert not [name for name in tree(several.paths.root) if name.endswith(".tmp")]


def test_a_log_longer_than_is_told_is_told_from_its_end(finished, monkeypatch):
    monkeypatch.setattr(log_lines, "MOST_LINES_OF_A_FILE", 2)
    finished.logs.mkdir()
    finished.experiment_log.write_text(
        "".join(f"2020-01-01T00:00:0{second}Z INFO x: {second}\nmore\n" for second in range(5))
    )
    write_whole_store(store_input(finished))

    told = [line["text"] for line in content(finished.text_logs) if line["run"] is None]
    assert told == ["x: 3\nmore", "x: 4\nmore"]
