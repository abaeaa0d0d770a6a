import json
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.domain.errors import StorageError
from src.experiments.durability.journal import (
    JournalWriter,
    Records,
    read_journal,
    read_journal_from,
    truncate_torn_line,
    without_wall_clock,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "baseline_seed42" / "journal.jsonl"


def writer(path):
    return JournalWriter(path, clock=lambda: 12.5)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "metrics", "x"]), values), max_size=6))
def test_what_is_appended_is_read_back(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("run") / "journal.jsonl"
    with writer(path) as journal:
        for step, fields in enumerate(records):
            journal.append("metrics", step, **fields)

    assert read_journal(path) == [
        {"kind": "metrics", "step": step, **fields, "time": 12.5}
        for step, fields in enumerate(records)
    ]


def test_every_record_is_one_line(path):
    with writer(path) as journal:
        journal.append("text", 1, text="two\nlines\r\nand\u2028more\x0b\x0c\x85")
        journal.append("text", 2, text="next")

    assert path.read_bytes().count(b"\n") == 2
    assert [record["step"] for record in read_journal(path)] == [1, 2]


def test_nan_is_read_back_as_nan(path):
    with writer(path) as journal:
        journal.append("metrics", 1, metrics={"loss": math.nan, "kl": math.inf})

    (record,) = read_journal(path)
    assert math.isnan(record["metrics"]["loss"])
    assert record["metrics"]["kl"] == math.inf


def test_half_a_surrogate_pair_is_read_back(path):
    with writer(path) as journal:
        journal.append("text", 1, text="file \udcff name")

    assert read_journal(path)[0]["text"] == "file \udcff name"


def test_an_absent_journal_is_empty(path):
    assert read_journal(path) == []
    assert read_journal_from(path, 7) == ([], 7)


@settings(deadline=None)
@given(st.data())
def test_a_journal_torn_anywhere_gives_its_whole_records(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("run") / "journal.jsonl"
    with writer(path) as journal:
        for step in range(5):
            journal.append("metrics", step, metrics={"loss": 0.5 * step})
    whole = path.read_bytes()
    size = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:size])

    steps = [record["step"] for record in read_journal(path)]
    assert steps == list(range(whole[:size].count(b"\n")))


def test_a_writer_cuts_a_torn_line_before_it_goes_on(path):
    with writer(path) as journal:
        journal.append("metrics", 1)
    with path.open("ab") as file:
        file.write(b'{"kind": "met')
    with writer(path) as journal:
        journal.append("metrics", 2)

    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_torn_only_line_is_cut_to_nothing(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind"')
    truncate_torn_line(path)

    assert path.read_bytes() == b""


def test_reading_in_pieces_gives_every_record_once(path):
    seen, offset = [], 0
    with writer(path) as journal:
        for step in range(20):
            journal.append("metrics", step)
            if step % 3 == 0:
                records, offset = read_journal_from(path, offset)
                seen += records
    records, offset = read_journal_from(path, offset)

    assert [record["step"] for record in seen + records] == list(range(20))
    assert offset == path.stat().st_size


def test_a_record_is_on_disk_before_append_returns(path):
    with writer(path) as journal:
        journal.append("metrics", 1)

        assert len(read_journal(path)) == 1


def test_a_writer_that_is_not_open_refuses(path):
    with pytest.raises(ValueError, match="with block"):
        writer(path).append("metrics", 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_with_the_file(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.symlink_to("/dev/full")
    journal = writer(path)
    journal._file = path.open("ab", buffering=0)

    with journal._file, pytest.raises(StorageError, match="No space left") as caught:
        journal.append("metrics", 1)
    assert caught.value.where == str(path)


def test_a_journal_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "journal.jsonl"

    with pytest.raises(StorageError) as caught, writer(path):
        pass
    assert caught.value.where == str(path)


def test_equal_runs_differ_in_wall_clock_fields_only():
    record = {
        "kind": "metrics",
        "step": 1,
        "time": 5.0,
        "training_time": 1.0,
        "sampling_seconds": 2.0,
        "metrics": {"loss": 0.5, "steps_per_second": 9.0},
        "returns": [1.0],
    }

    assert without_wall_clock(record) == {
        "kind": "metrics",
        "step": 1,
        "metrics": {"loss": 0.5},
        "returns": [1.0],
    }


def test_wall_clock_fields_are_left_out_wherever_they_stand():
    record = {"kind": "evaluation", "episodes": [{"return": 1.0, "time": 3.0}]}

    assert without_wall_clock(record) == {"kind": "evaluation", "episodes": [{"return": 1.0}]}


@pytest.mark.parametrize("most_kept_bytes", [0, 1 << 20])
def test_records_can_be_gone_through_often_whether_they_are_kept_or_not(
    tmp_path: Path, most_kept_bytes: int
) -> None:
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path) as journal:
        for step in range(100):
            journal.append("metrics", step)
    with path.open("ab") as file:
        file.write(b'{"kind": "met')  # torn by a kill

    records = Records(path, most_kept_bytes)

    for _ in range(2):
        assert [record["step"] for record in records] == list(range(100))


@pytest.mark.slow
def test_a_long_stream_is_never_held_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = b'{"kind": "metrics", "step": 1, "metrics": {"a": 1.0}, "time": 2.0}\n'
    with path.open("wb") as file:
        for _ in range(100):
            file.write(line * 1000)
    tracemalloc.start()
    count = sum(1 for _ in Records(path, most_kept_bytes=1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 100_000
    assert peak < 20 << 20  # all of them, as dictionaries, take some 60 MiB


def test_a_stream_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert list(Records(tmp_path / "journal.jsonl")) == []
