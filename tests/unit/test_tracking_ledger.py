from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from src.experiments.domain.errors import StorageError
from src.experiments.domain.records import RunKey
from src.experiments.tracking.cursor import Cursor
from src.experiments.tracking.ledger import (
    RunEntry,
    TellingState,
    TrackerEntry,
    ensure_ledger,
    read_ledger,
    write_entry,
)

RUN = RunKey("baseline", 42)
ENTRY = TrackerEntry(
    {"project": "p"},
    TellingState.PENDING,
    "out of reach",
    "online",
    {
        "online": {
            RUN: RunEntry(
                "id-1", "http://here", Cursor(5, 2, 3), TellingState.COMPLETE, "abc", ("model.zip",)
            )
        },
        "offline": {RUN: RunEntry("id-2")},
    },
)


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = tmp_path / "tracking" / "ledger.json"

    write_entry(ledger, "wandb", ENTRY)

    assert read_ledger(ledger) == {"wandb": ENTRY}


def test_the_ledger_tells_step_remote_id_and_state_in_plain_sight(tmp_path: Path) -> None:
    write_entry(tmp_path / "ledger.json", "wandb", ENTRY)

    entry = json.loads((tmp_path / "ledger.json").read_text())["trackers"]["wandb"]
    run = entry["places"]["online"][RUN.name]

    assert (run["step"], run["remote_id"], run["state"]) == (5, "id-1", "complete")


def test_trackers_that_write_at_once_keep_each_others_entries(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"

    def write(name: str) -> None:
        for step in range(20):
            run = RunEntry(cursor=Cursor(step))
            write_entry(ledger, name, TrackerEntry().with_run(RUN, run))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("clearml", "wandb")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {name: entry.runs[RUN].cursor.step for name, entry in read_ledger(ledger).items()} == {
        "clearml": 19,
        "wandb": 19,
    }


def test_an_existing_ledger_is_kept(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    ensure_ledger(ledger)
    assert read_ledger(ledger) == {}
    write_entry(ledger, "wandb", ENTRY)

    ensure_ledger(ledger)

    assert read_ledger(ledger) == {"wandb": ENTRY}


@pytest.mark.parametrize("content", ["[]", '{"format_version": 9, "trackers": {}}', '{"a": 1}'])
def test_what_is_no_ledger_is_refused_with_its_place(content: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    ledger.write_text(content)

    with pytest.raises(StorageError, match="not a ledger") as caught:
        read_ledger(ledger)

    assert caught.value.where == str(ledger)
