import pytest

from src.experiments.durability.lock import FileLock
from src.experiments.tracking.temporary_root import TemporaryRoot

PREFIX = "exp-test-"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    return tmp_path


def test_a_root_is_private_and_goes_with_everything_in_it(temporary):
    root = TemporaryRoot(PREFIX)
    (root.path / "cache").mkdir()

    assert root.path.parent == temporary
    assert root.path.stat().st_mode & 0o777 == 0o700
    root.remove()
    root.remove()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_lives_stays(temporary):
    orphan = temporary / f"{PREFIX}orphan"
    orphan.mkdir()
    (orphan / ".lock").touch()
    living = temporary / f"{PREFIX}living"
    living.mkdir()
    strange = temporary / f"{PREFIX}strange"
    strange.mkdir()
    with FileLock(living / ".lock"):
        TemporaryRoot(PREFIX).remove()

    assert sorted(temporary.iterdir()) == [living, strange]


def test_a_root_lies_where_sockets_fit(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    root = TemporaryRoot(PREFIX, longest_parent=48)
    try:
        assert len(str(root.path)) < 64
    finally:
        root.remove()
