import pickle
from datetime import date

import pytest

from src.experiments.domain.errors import StorageError
from src.experiments.durability.checkpoints import CheckpointManager, PlainUnpickler
from tests.checkpoint_bytes import pack, unpack

STATE = {"step": 100, "runs": {"baseline_seed1": {"status": "completed"}}, "blob": b"\x00\xff"}


def test_what_was_saved_is_loaded(tmp_path):
    manager = CheckpointManager(tmp_path)
    manager.save(100, STATE)

    assert next(manager.trusted()) == (100, STATE)


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    manager = CheckpointManager(tmp_path)

    assert manager.is_empty()
    assert list(manager.trusted()) == []


def test_the_last_ones_are_kept_in_the_order_of_steps(tmp_path):
    manager = CheckpointManager(tmp_path, keep=2)
    for step in (900, 1000, 10_000):
        manager.save(step, STATE)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "runner_checkpoint_1000.pkl",
        "runner_checkpoint_10000.pkl",
    ]


def test_a_file_of_another_name_is_left_alone(tmp_path):
    other = tmp_path / "runner_checkpoint_mine.pkl"
    other.write_text("mine")
    manager = CheckpointManager(tmp_path, keep=1)
    for step in (1, 2):
        manager.save(step, STATE)

    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: pickle.dumps({"format_version": 99}),
        lambda data: pickle.dumps([1, 2]),
    ],
    ids=["emptied", "truncated", "flipped", "future version", "no mapping"],
)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, damage, caplog):
    manager = CheckpointManager(tmp_path)
    manager.save(100, STATE)
    newest = manager.save(200, STATE)
    newest.write_bytes(damage(newest.read_bytes()))

    assert next(manager.trusted()) == (100, STATE)
    assert str(newest) in caplog.text


def test_all_damaged_is_an_error_and_nothing_is_deleted(tmp_path):
    manager = CheckpointManager(tmp_path)
    path = manager.save(100, STATE)
    path.write_bytes(b"rubbish")

    assert list(manager.trusted()) == []
    with pytest.raises(StorageError, match="none of 1 checkpoints"):
        raise manager.untrusted_error()
    assert path.exists()


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_a_checkpoint_executes_nothing(tmp_path, capsys):
    path = tmp_path / "runner_checkpoint_1.pkl"
    path.write_bytes(pickle.dumps(Evil()))

    with pytest.raises(StorageError):
        unpack(path.read_bytes(), path)
    assert capsys.readouterr().out == ""


def test_every_class_is_refused():
    import io

    with pytest.raises(pickle.UnpicklingError, match="refused to construct"):
        PlainUnpickler(io.BytesIO(pickle.dumps(date(2020, 1, 1)))).load()


def test_anything_but_plain_data_is_refused_when_saving():
    with pytest.raises(TypeError, match="plain data"):
        pack({"when": date(2020, 1, 1)})


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep"):
        CheckpointManager(tmp_path, keep=0)
