import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from src.experiments.cleaning import (
    EVERYTHING,
    Findings,
    Kind,
    Selection,
    Tree,
    find_in_experiment,
)
from src.experiments.cleaning.kinds import Place, is_own_folder, place_of
from src.experiments.domain.errors import StorageError
from src.experiments.tracking.manifest import write_manifest

from .experiments_to_clean import (
    COPIES,
    EVENTS,
    MODELS,
    OFFLINE_RUN,
    ONLINE_RUN,
    Written,
    write_experiment,
)
from .written_experiments import SECOND

NOTHING = Selection()
ALL = Selection(EVERYTHING)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_experiment(tmp_path_factory.mktemp("template"))


@pytest.fixture
def written(template: Written, tmp_path: Path) -> Written:
    return template.copy(tmp_path)


def look(written: Written, selection: Selection = NOTHING) -> Findings:
    with Tree(written.output_dir, "pair") as tree:
        return find_in_experiment(tree, "pair", selection)


def select(*kinds: Kind, **flags: bool) -> Selection:
    return Selection(frozenset(kinds), **flags)


def of_kind(findings: Findings, kind: Kind) -> set[str]:
    return {each.path for each in findings.candidates if each.kind is kind}


def kept(findings: Findings) -> dict[str, tuple[str, str | None]]:
    return {each.path: (each.why, each.option) for each in findings.kept}


# ---- kinds


def test_every_file_of_an_experiment_has_a_kind(written: Written) -> None:
    findings = look(written)

    assert findings.kept == ()
    assert {each.path for each in findings.candidates} == written.files()
    assert of_kind(findings, Kind.MODELS) == MODELS
    assert of_kind(findings, Kind.FIGURES) == {
        "report/index.html",
        "report/curves.png",
        "report/curves.svg",
    }
    assert of_kind(findings, Kind.CHECKPOINTS) == COPIES | {
        "checkpoints/runner_checkpoint_8192.pkl",
        "checkpoints/baseline_seed1/checkpoint_4096.pkl",
        "checkpoints/baseline_seed1/experience-1-0.bin",
        "checkpoints/variant_seed1/checkpoint_4096.pkl",
        "checkpoints/variant_seed1/experience-1-0.bin",
    }
    assert len(of_kind(findings, Kind.LOGS)) == 7


def test_source_data_and_configuration_are_records(written: Written) -> None:
    records = of_kind(look(written), Kind.RECORDS)

    assert {
        "experiment_pair.json",
        "results.json",
        "config/experiment_config.json",
        "metrics/eval__return_mean.csv",
        "metrics/scalar_metrics.json",
        "runs/variant_seed1/journal.jsonl",
        "runs/variant_seed1/events.jsonl",
        "runs/variant_seed1/result.json",
        "runs/variant_seed1/attempt-1/predictions.json",
        "provenance/provenance.json",
        "provenance/models/laboratory--model/commit.json",
        "tracking/ledger.json",
        "manifest.json",
    } <= records


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("models/variant_seed42_model_final.zip", Kind.MODELS),
        ("models/variant_seed42_model_final_normalization.json", Kind.MODELS),
        ("checkpoints/variant_seed42/experience-12-3.bin", Kind.CHECKPOINTS),
        (f"{ONLINE_RUN}/files/media/images/a.png", Kind.TRACKERS),
        ("wandb/latest-run", Kind.TRACKERS),
        ("wandb/debug-internal.log", Kind.TRACKERS),
        (EVENTS, Kind.TRACKERS),
        ("tracking/wandb.log", Kind.LOGS),
        ("tracking/.wandb.lock", Kind.RECORDS),
        ("metrics/.scalar_metrics.json.4711-140234567890.tmp", Kind.CACHES),
        (".results.json.4711-140234567890.tmp", Kind.CACHES),
        ("runs/variant_seed1/attempt-2/heartbeat", Kind.CACHES),
        ("provenance/models/laboratory--model/commit.json", Kind.RECORDS),
        ("provenance/__pycache__/x.cpython-311.pyc", Kind.CACHES),
    ],
)
def test_the_programs_own_names_are_its_own_listed_or_not(path: str, kind: Kind) -> None:
    place = place_of(path, "pair")

    assert place is not None
    assert (place.kind, place.is_exact) == (kind, True)
    assert is_own_folder(path.rpartition("/")[0])


@pytest.mark.parametrize(
    "path",
    [
        "notes.md",
        "experiment_other.json",
        "models/mine.zip",
        "models/variant_model_final.zip.bak",
        "models/sub/variant_model_final.zip",
        "runs/variant_seed1/attempt-1/plot.png",
        "runs/variant/journal.jsonl",
        "wandb/notes.txt\nrun-20300102_030405-abcd1234/x",
        "checkpoints/variant_seed1/checkpoint_best.pkl",
        "checkpoints/variant_seed٣/checkpoint_1.pkl",
        "data/frames.png",
        "report/sub/curves.png",
    ],
)
def test_other_names_are_not(path: str) -> None:
    place = place_of(path, "pair")
    assert place is None or not place.is_exact


def test_a_place_tells_the_run_and_whether_it_is_a_copy() -> None:
    copy = place_of("runs/variant_seed1/attempt-3/model_final.zip", "pair")
    assert copy == Place(Kind.MODELS, is_exact=True, run="variant_seed1", is_copy=True)
    final = place_of("models/variant_model_final.zip", "pair")
    assert final == Place(Kind.MODELS, is_exact=True)


def test_an_attempts_copy_is_a_checkpoint_only_while_its_model_stays(written: Written) -> None:
    assert of_kind(look(written, select(Kind.CHECKPOINTS)), Kind.CHECKPOINTS) >= COPIES
    assert of_kind(look(written, select(Kind.MODELS)), Kind.MODELS) == MODELS | COPIES

    (written.root / "models" / "variant_model_final.zip").unlink()
    last = {"runs/variant_seed1/attempt-1/model_final.zip"}
    findings = look(written, select(Kind.CHECKPOINTS))
    assert of_kind(findings, Kind.MODELS) == last | {"models/baseline_model_final.zip"}
    assert of_kind(findings, Kind.CHECKPOINTS) & COPIES == COPIES - last


def test_with_several_seeds_an_arms_only_model_covers_no_other_seed(written: Written) -> None:
    written.put("runs/variant_seed2/attempt-1/model_final.zip")
    written.put(
        "runs/variant_seed2/result.json",
        json.dumps({"result": {"success": True, "status": "completed"}}),
    )

    copies = of_kind(look(written, select(Kind.CHECKPOINTS)), Kind.CHECKPOINTS)
    assert copies & COPIES == {"runs/baseline_seed1/attempt-1/model_final.zip"}


# ---- what stays


def test_what_somebody_put_there_stays_and_is_named_once(written: Written) -> None:
    written.put("notes.md")
    written.put("plots/mine.png")
    written.put("plots/deep/mine.png")
    written.put("models/mine.zip")
    (written.root / "report" / "link").symlink_to("/")

    findings = look(written, ALL)

    assert kept(findings) == {
        "notes.md": ("no part of the experiment", None),
        "plots/": ("no part of the experiment", None),
        "models/mine.zip": ("no part of the experiment", None),
        "report/link": ("no part of the experiment (link)", None),
    }


def test_a_manifest_that_lists_somebodys_files_does_not_make_them_ours(written: Written) -> None:
    for path in ("notes.md", "models/mine.zip", "plots/mine.png", "runs/variant_seed1/x.csv"):
        written.put(path)
    write_manifest(written.paths)

    assert set(kept(look(written, ALL))) == {
        "notes.md",
        "models/mine.zip",
        "plots/",
        "runs/variant_seed1/x.csv",
    }


def test_names_that_others_give_too_are_ours_where_the_manifest_lists_them(
    written: Written,
) -> None:
    written.put("metrics/mine.csv")
    written.put("report/mine.png")

    findings = look(written, ALL)

    assert set(kept(findings)) == {"metrics/mine.csv", "report/mine.png"}
    assert "metrics/eval__return_mean.csv" in of_kind(findings, Kind.RECORDS)


def test_checkpoints_written_after_the_manifest_are_ours(written: Written) -> None:
    written.put("checkpoints/variant_seed1/checkpoint_9000.pkl")
    (written.root / "manifest.json").unlink()

    assert "checkpoints/variant_seed1/checkpoint_9000.pkl" in of_kind(
        look(written), Kind.CHECKPOINTS
    )


@pytest.mark.parametrize("change", [str.upper, lambda content: f"{content}, and more"])
def test_a_file_that_somebody_changed_stays_unless_that_is_wanted(
    written: Written, change: Callable[[str], str]
) -> None:
    path = "models/variant_model_final.zip"
    written.put(path, change((written.root / path).read_text()))

    changed = kept(look(written, select(Kind.MODELS)))

    assert changed == {path: ("not as the manifest says", "--changed")}
    assert path in of_kind(look(written, select(Kind.MODELS, changed=True)), Kind.MODELS)


def test_what_is_not_selected_is_compared_by_size_alone(written: Written) -> None:
    written.put("report/curves.png", "CONTENT OF REPORT/CURVES.PNG")

    assert kept(look(written, select(Kind.MODELS))) == {}
    assert set(kept(look(written, select(Kind.FIGURES)))) == {"report/curves.png"}


def test_files_that_trackers_write_later_are_not_held_to_the_manifest(written: Written) -> None:
    written.put(EVENTS)
    written.put("tracking/wandb.log")
    write_manifest(written.paths)
    for path in (EVENTS, "tracking/wandb.log", "tracking/ledger.json"):
        written.put(path, "what was told later")

    assert kept(look(written, ALL)) == {}


@pytest.mark.parametrize("form", ["a named pipe", "a link", "a folder"])
def test_what_is_no_file_any_more_stays(written: Written, form: str) -> None:
    path = written.root / "models" / "variant_model_final.zip"
    path.unlink()
    match form:
        case "a named pipe":
            os.mkfifo(path)
        case "a link":
            path.symlink_to("baseline_model_final.zip")
        case _:
            path.mkdir()

    name = "models/variant_model_final.zip"
    stays = kept(look(written, select(Kind.MODELS)))
    even_so = kept(look(written, select(Kind.MODELS, changed=True)))

    assert set(stays) == {f"{name}/" if form == "a folder" else name}
    assert set(even_so) == (set() if form == "a link" else set(stays))


def test_checkpoints_of_a_run_that_is_not_complete_are_needed(tmp_path: Path) -> None:
    written = write_experiment(tmp_path, unfinished=SECOND)

    findings = look(written, select(Kind.CHECKPOINTS))

    needed = ("needed to continue variant_seed1", "--unfinished")
    assert kept(findings) == {
        "checkpoints/variant_seed1/checkpoint_4096.pkl": needed,
        "checkpoints/variant_seed1/experience-1-0.bin": needed,
        "runs/variant_seed1/attempt-1/model_final.zip": needed,
    }
    assert "checkpoints/baseline_seed1/checkpoint_4096.pkl" in of_kind(findings, Kind.CHECKPOINTS)
    assert kept(look(written, select(Kind.CHECKPOINTS, unfinished=True))) == {}
    assert kept(look(written, ALL)) == {}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"result": []}', "[" * 9000])
def test_a_result_that_cannot_be_read_is_none(written: Written, content: str) -> None:
    (written.root / "runs" / "variant_seed1" / "result.json").write_text(content)

    reasons = {why for why, _ in kept(look(written)).values()}
    assert reasons == {"needed to continue variant_seed1"}


def test_results_inside_the_experiments_file_count_too(written: Written) -> None:
    file = written.paths.experiment
    result = json.loads((written.root / "runs/variant_seed1/result.json").read_text())["result"]
    content = json.loads(file.read_text()) | {"results": {"variant_seed1": result}}
    file.write_text(json.dumps(content))
    (written.root / "runs" / "variant_seed1" / "result.json").unlink()

    assert kept(look(written)) == {}


# ---- W&B


def offline(written: Written, *names: str) -> None:
    for name in names:
        written.put(f"{OFFLINE_RUN}/{name}")


def test_an_offline_run_that_was_never_synced_is_a_kind_of_its_own(written: Written) -> None:
    offline(written, "run-abcd1234.wandb", "files/config.yaml")
    written.put(f"{ONLINE_RUN}/run-abcd1234.wandb")

    findings = look(written)

    assert of_kind(findings, Kind.UNSYNCED) == {
        f"{OFFLINE_RUN}/run-abcd1234.wandb",
        f"{OFFLINE_RUN}/files/config.yaml",
    }
    assert of_kind(findings, Kind.TRACKERS) == {f"{ONLINE_RUN}/run-abcd1234.wandb"}
    assert Kind.UNSYNCED not in EVERYTHING


def test_once_synced_it_is_a_trackers_file(written: Written) -> None:
    offline(written, "run-abcd1234.wandb", "run-abcd1234.wandb.synced", "files/config.yaml")

    findings = look(written)

    assert of_kind(findings, Kind.UNSYNCED) == set()
    assert len(of_kind(findings, Kind.TRACKERS)) == 3


def test_links_of_a_run_are_removed_as_links(written: Written, tmp_path: Path) -> None:
    offline(written, "files/config.yaml")
    (written.root / OFFLINE_RUN / "files" / "saved.h5").symlink_to(tmp_path)
    (written.root / "wandb" / "latest-run").symlink_to(OFFLINE_RUN.rpartition("/")[2])

    assert of_kind(look(written), Kind.TRACKERS) == {
        "wandb/latest-run",
        f"{OFFLINE_RUN}/files/config.yaml",
        f"{OFFLINE_RUN}/files/saved.h5",
    }


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_run_that_a_process_has_open_stays(written: Written) -> None:
    offline(written, "run-abcd1234.wandb", "files/config.yaml")

    with (written.root / OFFLINE_RUN / "run-abcd1234.wandb").open():
        findings = look(written, ALL)

    assert kept(findings) == {f"{OFFLINE_RUN}/": (f"in use by process {os.getpid()}", None)}
    assert len(findings.kept) == 1


# ---- manifests


def manifest_of(written: Written) -> dict:
    return json.loads(written.paths.manifest.read_text())


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "models/../../outside",
        "/etc/passwd",
        "models//x",
        "./models",
        "models/.",
        "",
        "a\0b",
        "\ud800",
        None,
        7,
    ],
)
def test_a_manifest_that_names_a_place_outside_is_refused(written: Written, path: object) -> None:
    content = manifest_of(written)
    content["files"].append({"path": path, "size": 1, "sha256": "0" * 64})
    written.paths.manifest.write_text(json.dumps(content))

    with pytest.raises(StorageError, match=r"no place inside the experiment.*nothing was removed"):
        look(written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is no manifest"),
        ("[]", "it is no manifest"),
        ('{"files": 3}', "it is no manifest"),
        ('{"experiment_id": "pair", "files": [{"path": "x"}]}', "it is no manifest"),
        (
            '{"experiment_id": "pair", "files": [{"path": "x", "size": true, "sha256": ""}]}',
            "size or SHA-256 of 'x' is none",
        ),
        ('{"experiment_id": "\\u001b[2Jother", "files": []}', r"manifest of '\\x1b\[2Jother'"),
        ("[" * 100_000, "it is no manifest"),
    ],
)
def test_a_manifest_that_is_none_is_refused(written: Written, content: str, message: str) -> None:
    written.paths.manifest.write_text(content)

    with pytest.raises(StorageError, match=message):
        look(written)


def test_a_manifest_that_is_a_link_is_not_read(written: Written, tmp_path: Path) -> None:
    written.paths.manifest.rename(tmp_path / "elsewhere.json")
    written.paths.manifest.symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(StorageError, match="not a regular file"):
        look(written)


def test_nothing_is_held_open_afterwards(written: Written) -> None:
    look(written, ALL)
    with written.paths.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_tallies_count_files_and_their_bytes(written: Written) -> None:
    tallies = look(written).tallies()

    sizes = [(written.root / path).stat().st_size for path in MODELS]
    assert (tallies[Kind.MODELS].files, tallies[Kind.MODELS].bytes) == (2, sum(sizes))
    assert list(tallies) == [kind for kind in Kind if kind in tallies]
