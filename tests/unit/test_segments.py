"""Arrays appended to files, chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from src.experiments.domain.errors import StorageError
from src.experiments.durability import segments
from src.experiments.durability.segments import Chunk, SegmentWriter, read_chunk


def rows(value: float, count: int = 4) -> dict[str, np.ndarray]:
    return {
        "observations": np.full((count, 1, 3), value, np.float32),
        "actions": np.full((count, 1), int(value), np.int64),
        "dones": np.arange(count) % 2 == 0,
    }


def assert_holds(directory: Path, chunk: Chunk, arrays: dict[str, np.ndarray]) -> None:
    read = read_chunk(directory, chunk)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()


anything = npst.arrays(
    npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=5), anything, max_size=3), max_size=3))
def test_what_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, np.ndarray]]
) -> None:
    directory = tmp_path_factory.mktemp("checkpoints")
    writer = SegmentWriter(directory, "experience-1")
    chunks = [writer.append(arrays) for arrays in written]

    for chunk, arrays in zip(chunks, written, strict=True):
        assert_holds(directory, chunk, arrays)


def test_arrays_that_lie_strewn_in_memory_are_written_in_order(tmp_path: Path) -> None:
    strewn = np.arange(24).reshape(4, 6)[::2, ::-2]
    chunk = SegmentWriter(tmp_path, "e").append({"a": strewn, "b": strewn.T})

    assert_holds(tmp_path, chunk, {"a": strewn, "b": strewn.T})


def test_chunks_lie_one_behind_the_other_in_a_directory_made_when_needed(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoints" / "run"
    writer = SegmentWriter(directory, "experience-1")
    first, second = writer.append(rows(1)), writer.append(rows(2))

    assert [path.name for path in directory.iterdir()] == ["experience-1-0.bin"]
    assert (first["offset"], second["offset"]) == (0, first["bytes"])


def test_a_full_file_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "FILE_BYTES", 50)
    writer = SegmentWriter(tmp_path, "e")
    chunks = [writer.append(rows(value)) for value in range(3)]
    later = SegmentWriter(tmp_path, "e").append(rows(3))

    assert [chunk["file"] for chunk in chunks] == ["e-0.bin", "e-1.bin", "e-2.bin"]
    assert later["file"] == "e-3.bin"
    for value, chunk in enumerate([*chunks, later]):
        assert_holds(tmp_path, chunk, rows(value))


def test_a_torn_tail_does_no_harm(tmp_path: Path) -> None:
    first = SegmentWriter(tmp_path, "e").append(rows(1))
    with (tmp_path / "e-0.bin").open("ab") as file:
        file.write(b"a part of a chunk that a kill cut off")
    second = SegmentWriter(tmp_path, "e").append(rows(2))

    assert_holds(tmp_path, first, rows(1))
    assert_holds(tmp_path, second, rows(2))


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_flipped_bit_is_found(tmp_path: Path, at: int) -> None:
    chunk = SegmentWriter(tmp_path, "e").append(rows(1))
    path = tmp_path / "e-0.bin"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)

    with pytest.raises(StorageError, match="SHA-256 differs") as caught:
        read_chunk(tmp_path, chunk)
    assert caught.value.where == str(path)


def test_damage_in_one_chunk_leaves_the_others_readable(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "e")
    first, second = writer.append(rows(1)), writer.append(rows(2))
    path = tmp_path / "e-0.bin"
    path.write_bytes(path.read_bytes()[: second["offset"] + 5])

    assert_holds(tmp_path, first, rows(1))
    with pytest.raises(StorageError, match="SHA-256 differs"):
        read_chunk(tmp_path, second)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    chunk = SegmentWriter(tmp_path, "e").append(rows(1))
    (tmp_path / "e-0.bin").unlink()

    with pytest.raises(StorageError, match="No such file") as caught:
        read_chunk(tmp_path, chunk)
    assert caught.value.where == str(tmp_path / "e-0.bin")


def test_a_chunk_is_read_from_its_own_directory_only(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    chunk = SegmentWriter(tmp_path, "e").append(rows(1))

    with pytest.raises(StorageError, match="No such file"):
        read_chunk(tmp_path / "inside", {**chunk, "file": "../e-0.bin"})


def test_a_disk_that_refuses_is_named_and_earlier_chunks_stay(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "e")
    first = writer.append(rows(1))
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no directory")

    with pytest.raises(StorageError, match="stored experience") as caught:
        SegmentWriter(in_the_way / "run", "e").append(rows(2))
    assert caught.value.remedy is not None
    assert_holds(tmp_path, first, rows(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "e-0.bin").symlink_to("/dev/full")

    with pytest.raises(StorageError, match="No space left") as caught:
        SegmentWriter(tmp_path, "e").append(rows(1))
    assert caught.value.where == str(tmp_path / "e-0.bin")
