import errno
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from src.experiments.cleaning.entries import Entry, ExchangedError, Form, Identity
from src.experiments.cleaning.tree import MOST_LEVELS, Tree
from src.experiments.domain.errors import StorageError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "folder" / "below").mkdir(parents=True)
    (root / "folder" / "file").write_text("inside")
    (root / "folder" / "below" / "deep").write_text("deep")
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    return outside


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def walked(tree: Tree) -> dict[str, Entry]:
    return {entry.path: entry for entry in tree.walk()}


def test_a_walk_tells_of_every_name_and_follows_no_link(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "to_folder").symlink_to(outside)
    (root / "to_nothing").symlink_to("absent")
    (root / "to_itself").symlink_to("to_itself")
    (root / "folder" / "up").symlink_to("..")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # a socket's path is short
        listener.bind("socket")
        with Tree(root) as tree:
            found = {path: entry.identity.form for path, entry in walked(tree).items()}

    assert found == {
        "": Form.DIRECTORY,
        "folder": Form.DIRECTORY,
        "folder/file": Form.FILE,
        "folder/below": Form.DIRECTORY,
        "folder/below/deep": Form.FILE,
        "folder/up": Form.LINK,
        "pipe": Form.FIFO,
        "socket": Form.SOCKET,
        "to_folder": Form.LINK,
        "to_itself": Form.LINK,
        "to_nothing": Form.LINK,
    }


def test_a_folder_that_is_not_to_be_entered_comes_with_the_reason(root: Path) -> None:
    asked = {}

    def why_closed(path: str, names: list[str]) -> str | None:
        asked[path] = list(names)
        return "for a reason" if path == "folder" else None

    with Tree(root) as tree:
        found = {entry.path: entry.why_closed for entry in tree.walk(why_closed)}

    assert found == {"": None, "folder": "for a reason"}
    assert asked == {"": ["folder"], "folder": ["below", "file"]}


def test_a_walk_does_not_go_down_for_ever(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(MOST_LEVELS + 5):
        folder /= "d"
        folder.mkdir()

    with Tree(tmp_path) as tree:
        reasons = [entry.why_closed for entry in tree.walk()]

    assert reasons == [None] * (MOST_LEVELS + 1) + [f"more than {MOST_LEVELS} levels deep"]


def test_a_name_that_is_not_utf8_is_walked_and_removed(root: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m")
    (root / name).write_text("x")

    with Tree(root) as tree:
        identity = walked(tree)[name].identity
        tree.unlink(name, identity)

    assert not (root / name).exists()


def test_the_root_must_not_be_a_link_but_where_it_lies_may(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "parent").symlink_to(tmp_path)

    with pytest.raises(UsageError, match=r"link: the directory is a link"):
        Tree(tmp_path, "link").__enter__()
    with Tree(tmp_path / "parent", "root") as tree:
        assert "folder/file" in walked(tree)


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_root_that_is_no_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the directory cannot be opened"):
        Tree(tmp_path, name).__enter__()


def test_entering_and_leaving_leaves_no_descriptor_open(root: Path) -> None:
    before = names_in(Path("/proc/self/fd"))
    with Tree(root) as tree:
        list(tree.walk())
        tree.read("folder/file", 100)
        assert tree.identity("folder/absent") is None
    with pytest.raises(UsageError):
        Tree(root, "absent").__enter__()

    assert len(names_in(Path("/proc/self/fd"))) == len(before)


def test_a_file_is_removed_as_it_was_found(root: Path) -> None:
    with Tree(root) as tree:
        tree.unlink("folder/file", walked(tree)["folder/file"].identity)

    assert not (root / "folder" / "file").exists()


def test_a_file_that_was_replaced_meanwhile_stays(root: Path, outside: Path) -> None:
    with Tree(root) as tree:
        seen = walked(tree)["folder/file"].identity
        (root / "folder" / "file").unlink()
        (root / "folder" / "file").hardlink_to(outside / "file")
        with pytest.raises(ExchangedError):
            tree.unlink("folder/file", seen)

    assert (outside / "file").stat().st_nlink == 2


def test_a_file_that_was_written_to_meanwhile_stays(root: Path) -> None:
    with Tree(root) as tree:
        seen = walked(tree)["folder/file"].identity
        os.utime(root / "folder" / "file", ns=(0, seen.modified_ns + 1))
        with pytest.raises(ExchangedError):
            tree.unlink("folder/file", seen)

    assert (root / "folder" / "file").read_text() == "inside"


def test_a_folder_exchanged_for_a_link_leads_nowhere(root: Path, outside: Path) -> None:
    with Tree(root) as tree:
        seen = walked(tree)["folder/file"].identity
        (root / "folder").rename(root / "moved")
        (root / "folder").symlink_to(outside)
        for act in (
            lambda: tree.unlink("folder/file", seen),
            lambda: tree.unlink("folder/file"),
            lambda: tree.read("folder/file", 100),
            lambda: tree.open_file("folder/file", os.O_RDWR | os.O_CREAT),
        ):
            with pytest.raises(ExchangedError):
                act()
        assert tree.identity("folder/file") is None
        assert not tree.remove_if_empty("folder")

    assert (outside / "file").read_text() == "outside"


def test_the_root_stays_the_one_that_was_opened(root: Path, outside: Path) -> None:
    with Tree(root.parent, "root") as tree:
        root.rename(root.parent / "moved")
        root.symlink_to(outside)
        tree.unlink("folder/file")
        tree.write("new", b"content")

    assert names_in(outside) == ["file"]
    assert (root.parent / "moved" / "new").read_bytes() == b"content"


def test_only_regular_files_are_read_and_none_is_waited_for(root: Path, outside: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to(outside / "file")
    with Tree(root) as tree:
        for path in ("pipe", "link", "folder"):
            with pytest.raises(OSError, match="not a regular file"):
                tree.read(path, 100)
        with pytest.raises(OSError, match="larger than 3 bytes"):
            tree.read("folder/file", 3)
        assert tree.read("folder/file", 6) == b"inside"


def test_a_digest_is_of_the_file_that_was_looked_at(root: Path) -> None:
    with Tree(root) as tree:
        entry = walked(tree)["folder/file"]
        assert tree.digest(entry) == hashlib.sha256(b"inside").hexdigest()
        (root / "folder" / "file").write_text("longer than before")
        with pytest.raises(ExchangedError):
            tree.digest(entry)


def test_only_empty_folders_are_removed(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "link").symlink_to("empty")
    with Tree(root) as tree:
        assert not tree.remove_if_empty("folder")
        assert not tree.remove_if_empty("link")
        assert not tree.remove_if_empty("")
        assert tree.remove_if_empty("empty")

    assert names_in(root) == ["folder", "link"]


def test_an_empty_root_is_removed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with Tree(tmp_path, "root") as tree:
        assert tree.remove_if_empty("")

    assert names_in(tmp_path) == []


def test_writing_replaces_a_name_and_writes_through_nothing(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "file")
    (root / "hard").hardlink_to(outside / "file")
    with Tree(root) as tree:
        tree.write("link", b"new")
        tree.write("hard", b"new")
        (root / f".again.{os.getpid()}-0.tmp").symlink_to(outside / "file")
        tree.write("again", b"new")

    assert (outside / "file").read_text() == "outside"
    assert {(root / name).read_bytes() for name in ("link", "hard", "again")} == {b"new"}
    assert not [name for name in names_in(root) if name.endswith(".tmp")]


def test_what_cannot_be_written_is_named_and_leaves_the_former_file(root: Path) -> None:
    (root / "name").mkdir()
    with Tree(root) as tree, pytest.raises(StorageError, match=r"name: .*3 bytes could not be"):
        tree.write("name", b"new")

    assert names_in(root) == ["folder", "name"]


def test_an_identity_does_not_depend_on_how_many_names_a_file_has(root: Path) -> None:
    file = root / "folder" / "file"
    before = Identity.of(file.lstat())
    (root / "second").hardlink_to(file)

    assert Identity.of(file.lstat()) == before


MOUNTED = """
import sys
from pathlib import Path
from src.experiments.cleaning.tree import Tree
with Tree(Path(sys.argv[1])) as tree:
    print({entry.path: entry.why_closed for entry in tree.walk()})
    try:
        tree.unlink("mounted/file")
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.parametrize("mount", ["-t tmpfs none", "--bind {outside}"])
def test_another_file_system_is_not_entered(root: Path, outside: Path, mount: str) -> None:
    (root / "mounted").mkdir()
    place = f"{root}/mounted"
    script = f'mount {mount.format(outside=outside)} {place} && touch {place}/file && exec "$@"'
    python = [sys.executable, "-c", MOUNTED, str(root)]
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *python]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here ({done.stderr.strip()})")

    found, number = done.stdout.splitlines()
    assert "'mounted': 'another file system'" in found
    assert "mounted/file" not in found
    assert int(number) == errno.EXDEV
    assert (outside / "file").exists()
