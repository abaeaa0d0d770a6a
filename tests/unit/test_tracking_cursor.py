from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.experiments.domain.paths import RunPaths
from src.experiments.durability.files import write_atomically
from src.experiments.durability.journal import JournalWriter, cut_back
from src.experiments.tracking.cursor import Cursor, UntoldRecords


def journal_of(paths: RunPaths, *steps: int) -> None:
    with JournalWriter(paths.journal, clock=lambda: 1.0) as journal:
        for number, step in enumerate(steps):
            journal.append("metrics", step, number=number)


def steps_of(records: list[dict[str, Any]]) -> list[int]:
    return [record["step"] for record in records]


def test_each_record_is_told_once(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    untold = UntoldRecords(paths, Cursor())
    journal_of(paths, 0, 10)

    assert steps_of(untold.next()) == [0, 10]
    assert untold.next() == []

    journal_of(paths, 20)

    assert steps_of(untold.next()) == [20]


def test_after_a_rewind_only_what_was_not_told_is_told(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    journal_of(paths, 0, 10)
    kept = paths.journal.stat().st_size
    journal_of(paths, 20, 20, 30)
    untold = UntoldRecords(paths, Cursor())
    untold.next()

    cut_back(paths.journal, kept)
    assert untold.next() == []
    journal_of(paths, 20, 20, 30, 30, 40)

    assert steps_of(untold.next()) == [30, 40]


def test_records_of_one_step_are_told_apart(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    journal_of(paths, 10, 10)
    first = UntoldRecords(paths, Cursor())
    first.next()
    journal_of(paths, 10, 11)

    later = UntoldRecords(paths, first.cursor)

    assert steps_of(later.next()) == [10, 11]
    assert later.cursor == Cursor(step=11, records=1, events=0)


def test_a_journal_that_begins_anew_is_told_from_where_it_was_told(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    journal_of(paths, 0, 10, 20)
    untold = UntoldRecords(paths, Cursor())
    untold.next()

    write_atomically(paths.journal, "")
    journal_of(paths, 0)
    assert untold.next() == []
    journal_of(paths, 10, 20, 30)

    assert steps_of(untold.next()) == [30]


def test_events_are_counted_and_come_after_the_journal(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    journal_of(paths, 5)
    with JournalWriter(paths.events) as events:
        events.append("attempt_started", 0)
        events.append("resources", 3)
    untold = UntoldRecords(paths, Cursor(events=1))

    assert [record["kind"] for record in untold.next()] == ["metrics", "resources"]
    assert untold.cursor.events == 2


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    line = json.dumps({"kind": "metrics", "step": 1})
    paths.journal.write_text(line + "\n" + line[:10])
    untold = UntoldRecords(paths, Cursor())

    assert len(untold.next()) == 1
    with paths.journal.open("a") as file:
        file.write(line[10:] + "\n")

    assert len(untold.next()) == 1


@given(
    st.lists(st.integers(0, 8), max_size=20).map(sorted),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_every_record_is_told_exactly_once_whatever_is_cut(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], cuts: list[int]
) -> None:
    paths = RunPaths(tmp_path_factory.mktemp("run"))
    untold = UntoldRecords(paths, Cursor())
    told: list[int] = []
    for cut in [*cuts, len(steps)]:
        write_atomically(paths.journal, "")
        journal_of(paths, *steps[:cut])
        if cut % 2:  # another process goes on
            untold = UntoldRecords(paths, replace(untold.cursor))
        told += steps_of(untold.next())

    assert told == steps
