import builtins
import os
from pathlib import Path

import pytest

from src.experiments.domain.errors import StorageError
from src.experiments.durability.journal import JournalWriter, read_journal
from src.experiments.monitoring import record_stream
from src.experiments.monitoring.record_stream import RecordStream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def writer(path: Path) -> JournalWriter:
    return JournalWriter(path, clock=lambda: 12.5)


def steps(stream: RecordStream) -> list[int]:
    return [record["step"] for record in stream.records()]


def test_every_record_is_read_once(path: Path) -> None:
    stream, seen = RecordStream(path), []
    with writer(path) as file:
        for step in range(20):
            file.append("metrics", step)
            if step % 3 == 0:
                seen += steps(stream)

    assert seen + steps(stream) == list(range(20))


def test_a_long_stream_is_read_in_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_stream, "BLOCK_BYTES", 100)
    with writer(path) as file:
        for step in range(50):
            file.append("text", step, text="x" * (step * 7))

    assert list(RecordStream(path).records()) == read_journal(path)


def test_a_torn_last_line_waits_for_its_end(path: Path) -> None:
    stream = RecordStream(path)
    path.write_bytes(b'{"kind": "a", "step": 1}\n{"kind": "b", "st')
    before = steps(stream)
    with path.open("ab") as file:
        file.write(b'ep": 2}\n')

    assert (before, steps(stream)) == ([1], [2])


def test_an_absent_stream_is_empty_and_unchanged(path: Path) -> None:
    stream = RecordStream(path)

    assert not stream.has_changed()
    assert steps(stream) == []


def test_a_look_at_an_unchanged_stream_costs_one_stat_and_opens_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = RecordStream(path)
    with writer(path) as file:
        file.append("metrics", 1)
    assert stream.has_changed()
    assert steps(stream) == [1]
    asked: list[object] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda name: asked.append(name) or stat(name))

    assert not stream.has_changed()
    assert asked == [os.fspath(path)]


@pytest.mark.parametrize("kept", [0, 1])
def test_a_stream_that_was_cut_is_noticed(path: Path, kept: int) -> None:
    stream = RecordStream(path)
    with writer(path) as file:
        file.append("metrics", 1)
        size = path.stat().st_size
        file.append("metrics", 2)
    stream.has_changed()
    steps(stream)
    os.truncate(path, kept * size)

    assert stream.has_changed()
    assert stream.was_cut


def test_samples_are_passed_over_and_the_latest_is_kept(path: Path) -> None:
    stream = RecordStream(path)
    with writer(path) as file:
        file.append("attempt_started", 0)
        for step in range(1, 9):
            file.append("resources", step, cpu_percent=10.0 * step)

    assert stream.sample() is None
    assert steps(stream) == [0]
    assert (stream.sample() or {})["cpu_percent"] == 80.0


def test_a_long_stream_can_be_read_from_its_end(path: Path) -> None:
    with writer(path) as file:
        for step in range(100):
            file.append("metrics" if step % 10 else "text", step)
            file.append("resources", step)
        stream = RecordStream(path)
        stream.has_changed()
        newest = [record["step"] for record in stream.newest_first(1000, ["text"])]
        file.append("text", 100)

    assert newest == [90]
    assert (stream.sample() or {})["step"] == 99
    assert steps(stream) == [100]


def test_a_short_stream_is_not_read_from_its_end(path: Path) -> None:
    with writer(path) as file:
        file.append("text", 1)
    stream = RecordStream(path)
    stream.has_changed()

    assert list(stream.newest_first(2000, ["text"])) == []
    assert steps(stream) == [1]


def test_a_damaged_line_is_named_with_the_file(path: Path) -> None:
    path.write_bytes(b'{"kind": "a", "step": 1}\nnonsense\n{"kind": "b", "step": 2}\n')

    with pytest.raises(StorageError, match="not a record: b'nonsense'") as refused:
        steps(RecordStream(path))
    assert refused.value.where == str(path)


def test_a_stream_replaced_by_a_good_one_while_it_was_read_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = path.with_name("bad")
    bad.write_bytes(b"nonsense\n")
    with writer(path) as file:
        file.append("text", 1)
    monkeypatch.setattr(
        builtins, "open", lambda name, *rest, **how: bad.open("rb") if name == str(path) else None
    )

    with pytest.raises(StorageError, match="replaced while it was read"):
        steps(RecordStream(path))
