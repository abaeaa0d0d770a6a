"""Files are looked through before they are uploaded."""

import json
import zipfile

import pytest

from src.experiments.tracking.files_without_secrets import without_secrets

SECRET = "hunter2-hunter2"
BLOCK = 1 << 20


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_a_file_without_a_secret_is_uploaded_itself(tmp_path, scratch):
    for name, content in (("a.json", b'{"a": 1}'), ("b.bin", b"\xff\x00"), ("c.txt", b"")):
        file = tmp_path / name
        file.write_bytes(content)

        assert without_secrets(file, scratch, {SECRET}) == file
    assert list(scratch.iterdir()) == []


def test_a_text_is_uploaded_as_a_copy_without_the_secret(tmp_path, scratch):
    file = tmp_path / "results.json"
    file.write_bytes(json.dumps({"told": SECRET}).encode() + b"\r\n")
    copy = without_secrets(file, scratch, {SECRET})

    assert copy.parent == scratch
    assert copy.read_bytes() == b'{"told": "[redacted]"}\r\n'
    assert SECRET in file.read_text(), "what lies here is left alone"


@pytest.mark.parametrize("place", [0, BLOCK - 7, 2 * BLOCK - 1])
def test_other_content_with_a_secret_stays_here(tmp_path, scratch, place):
    file = tmp_path / "model.bin"
    file.write_bytes(b"\xff" * place + SECRET.encode() + b"\xff" * 10)

    assert without_secrets(file, scratch, {SECRET, "another"}) is None


def test_an_archive_with_a_secret_inside_stays_here(tmp_path, scratch):
    file = tmp_path / "model.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", json.dumps({"key": SECRET}) * 100)

    assert SECRET.encode() not in file.read_bytes()
    assert without_secrets(file, scratch, {SECRET}) is None
