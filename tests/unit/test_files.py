import json
import math
import stat
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.domain.errors import StorageError
from src.experiments.durability.files import (
    json_text,
    make_directory,
    publishing,
    read_json,
    replacing,
    write_atomically,
    write_json,
)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Record:
    value: float
    colour: Colour


def fail_in(block, begin, error):
    with block as path:
        begin(path)
        raise error


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "deep" / "er" / "file"
    write_atomically(path, "text é")
    write_atomically(path, b"bytes")

    assert path.read_bytes() == b"bytes"
    assert names(path.parent) == ["file"]


def test_a_failed_replacement_keeps_the_previous_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "before")

    with pytest.raises(RuntimeError):
        fail_in(replacing(path), lambda temporary: temporary.write_text("half"), RuntimeError)

    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "below"

    with pytest.raises(StorageError, match=r"Not a directory|File exists") as caught:
        write_atomically(path, "x")
    assert caught.value.where == str(path)


def test_threads_that_write_one_file_never_leave_a_part(tmp_path):
    path = tmp_path / "file"
    texts = [letter * 50_000 for letter in "abcd"]
    problems = []

    def write(text):
        try:
            for _ in range(10):
                write_atomically(path, text)
        except StorageError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=[text]) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert path.read_text() in texts
    assert names(tmp_path) == ["file"]


def test_text_that_is_no_unicode_costs_no_file(tmp_path):
    write_atomically(tmp_path / "file", "name \udcff")

    assert (tmp_path / "file").read_text() == "name \\udcff"


def test_a_new_directory_is_private(tmp_path):
    path = make_directory(tmp_path / "results")

    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert make_directory(path) == path


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.float32(math.nan), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, math.nan]]), [[1.0, None]]),
        (Colour.RED, "red"),
        (Record(math.inf, Colour.RED), {"value": None, "colour": "red"}),
        (Path("a") / "b", "a/b"),
        ({"b", "a"}, ["a", "b"]),
        ((1, (2.5, "x")), [1, [2.5, "x"]]),
        (MappingProxyType({"a": math.nan}), {"a": None}),
        ({1: "int", None: "none"}, {"1": "int", "null": "none"}),
        ({("a", 1): 2}, {"['a', 1]": 2}),
        (True, True),
    ],
)
def test_values_become_plain_json(value, plain):
    assert json.loads(json_text(value), parse_constant=pytest.fail) == plain


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_unchanged(number):
    assert json.loads(json_text({"x": number}))["x"] == number


def test_json_is_read_back(tmp_path):
    write_json(tmp_path / "file.json", {"a": [1, 2.5, "é"]})

    assert read_json(tmp_path / "file.json") == {"a": [1, 2.5, "é"]}
    assert (tmp_path / "file.json").read_text().endswith("}\n")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_what_is_not_json_is_named(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)

    with pytest.raises(StorageError, match="not valid JSON") as caught:
        read_json(path)
    assert caught.value.where == str(path)


def test_an_absent_json_file_is_named(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        read_json(tmp_path / "absent.json")


def test_a_directory_appears_whole(tmp_path):
    target = tmp_path / "experiments" / "pair"
    with publishing(target) as scratch:
        write_atomically(scratch / "experiment.json", "{}")
        assert not target.exists()

    assert names(target) == ["experiment.json"]
    assert names(target.parent) == ["pair"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_a_failed_publication_leaves_nothing(tmp_path):
    target = tmp_path / "pair"
    with pytest.raises(RuntimeError):
        fail_in(publishing(target), lambda scratch: (scratch / "file").touch(), RuntimeError)

    assert names(tmp_path) == []


def test_an_existing_directory_is_not_replaced(tmp_path):
    target = tmp_path / "pair"
    target.mkdir()
    (target / "kept").touch()

    with pytest.raises(FileExistsError) as caught, publishing(target) as scratch:
        (scratch / "file").touch()
    assert caught.value.filename == str(target)
    assert names(target) == ["kept"]
    assert names(tmp_path) == ["pair"]


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path):
    block = replacing(tmp_path / "file")

    with pytest.raises(KeyboardInterrupt):
        fail_in(block, lambda temporary: temporary.write_text("x"), KeyboardInterrupt)

    assert names(tmp_path) == []
