import hashlib
import os
import subprocess

import pytest

from src.experiments.provenance import untracked
from src.experiments.provenance.untracked import creating_patch, kept_files


def write(root, **files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("text", ["", "\n", "x", "x = 1\n", "a\r\nb\r\n", "é\n\n\ty", "\f\x0b\n"])
def test_the_patch_creates_the_very_files(tmp_path, text):
    patch = tmp_path / "untracked.diff"
    names = ("windy.py", "envs/a folder/é 1.py")
    patch.write_bytes(creating_patch(dict.fromkeys(names, text)).encode())
    target = tmp_path / "target"
    target.mkdir()

    subprocess.run(
        ["git", "apply", str(patch)],
        cwd=target,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert [(target / name).read_bytes() for name in names] == [text.encode()] * 2


def test_without_files_there_is_no_patch():
    assert creating_patch({}) == ""


def test_code_and_settings_are_kept_code_first(tmp_path):
    files = {"a.json": "{}", "z/windy.py": "x = 1\n", "model.zip": "x", "notes.txt": "x"}
    write(tmp_path, **files)

    kept = kept_files(tmp_path, files)

    assert list(kept) == ["z/windy.py", "a.json"]
    assert kept["z/windy.py"].text == "x = 1\n"
    assert kept["z/windy.py"].sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
    assert not kept["z/windy.py"].redacted


def test_what_is_no_ordinary_text_file_is_not_kept(tmp_path):
    write(tmp_path, **{"binary.py": b"\xff\xfe", "secret.txt": "x"})
    (tmp_path / "link.py").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    names = [
        "binary.py",
        "link.py",
        "pipe.py",
        "folder.py",
        "absent.py",
        'q"uote.py',
        "new\nline.py",
    ]

    assert kept_files(tmp_path, names) == {}


def test_sizes_are_bounded(tmp_path, monkeypatch):
    write(tmp_path, **{"a.py": "x" * 11, "b.py": "x" * 10, "c.py": "x" * 10, "d.py": "x" * 5})
    names = ["a.py", "b.py", "c.py", "d.py"]
    monkeypatch.setattr(untracked, "LARGEST_FILE_BYTES", 10)
    monkeypatch.setattr(untracked, "MOST_BYTES", 15)
    assert list(kept_files(tmp_path, names)) == ["b.py", "d.py"]

    monkeypatch.setattr(untracked, "MOST_FILES", 1)
    assert list(kept_files(tmp_path, names)) == ["b.py"]


def test_secrets_are_left_out_and_that_is_said(tmp_path):
    write(
        tmp_path,
        **{
            "known.py": "x = 'canary77'\n",
            "named.py": "API_KEY = 'abcdef-1'\n",
            "my_token.json": "{}",
            "canary77.py": "",
        },
    )

    kept = kept_files(tmp_path, sorted(path.name for path in tmp_path.iterdir()), {"canary77"})

    assert {name: file.redacted for name, file in kept.items()} == {
        "known.py": True,
        "named.py": True,
    }
    assert "canary77" not in kept["known.py"].text
    assert "abcdef-1" not in kept["named.py"].text
