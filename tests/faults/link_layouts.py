"""Links, `..`, mounts and exchanges that could lead a cleaner out of what it cleans.

Outside lies a copy of the whole experiment: whoever follows a link finds just what it looks for.
"""

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import volume
from .link_scene import CHECKPOINT, EVERY, MODEL, OFFLINE_RUN, RUN_LOCK, Change, Layout, Scene


def _folder_behind_a_link(path: str) -> Layout:
    def build(scene: Scene) -> None:
        scene.link(path, scene.twin / path if scene.holds(path) else scene.twin)

    return Layout(f"{path} is a link", build, stays=(path,))


def _hard_link_everything(scene: Scene) -> None:
    shutil.rmtree(scene.root)
    shutil.copytree(scene.twin, scene.root, copy_function=os.link)


def _add_loops(scene: Scene) -> None:
    scene.link("runs/up", "..")
    scene.link("all", scene.root)
    scene.link("top", "/")
    scene.link("itself", "itself")
    scene.link("there", "back")
    scene.link("back", "there")


def _link_the_experiment(scene: Scene) -> None:
    shutil.rmtree(scene.root)
    scene.root.symlink_to(scene.twin)


def _link_the_output_directory(scene: Scene) -> None:
    scene.inside.rename(scene.inside.with_name("elsewhere"))
    scene.inside.symlink_to("elsewhere")


def _add_hostile_names(scene: Scene) -> None:
    for name in ("line\nfeed", "\x1b[2J\x1b[31m", "-rf", "‮txt", "a; rm -rf $HOME", "*"):
        scene.link(name, scene.file)
        scene.link(f"checkpoints/{name}", scene.outside)
    scene.link(os.fsdecode(b"caf\xe9"), scene.file)


def _add_tracker_links(scene: Scene) -> None:
    scene.link(f"{OFFLINE_RUN}/files/saved.h5", scene.file)
    scene.link(f"{OFFLINE_RUN}/files/media", scene.twin)
    scene.link(f"{OFFLINE_RUN}/logs/debug-core.log", "/nowhere")
    scene.link("wandb/latest-run", scene.twin)
    (scene.root / OFFLINE_RUN / "run-abcd1234.wandb").write_text("a run")


def _put_special_files(scene: Scene) -> None:
    for path in (MODEL, "checkpoints/runner_checkpoint_7.pkl"):
        scene.clear(path)
        os.mkfifo(scene.root / path)
    with socket.socket(socket.AF_UNIX) as listener, suppress(OSError):  # where paths are too long
        listener.bind(str(scene.root / "s"))


def _litter_the_workspace(scene: Scene) -> None:
    for name in ("plot.png", "best.pt", "page.html"):
        (scene.outside / name).write_text("outside")
        (scene.inside / name).symlink_to(scene.outside / name)
    run = Path(OFFLINE_RUN).name
    for place in (scene.outside / "wandb" / run, scene.outside / "__pycache__"):
        place.mkdir(parents=True)
        (place / "x.cpython-311.pyc").write_text("outside")
    for name in ("wandb", "__pycache__", "deep"):
        (scene.inside / name).symlink_to(scene.outside / name)
    (scene.inside / "part" / "wandb" / run).mkdir(parents=True)
    (scene.inside / "part" / "wandb" / run / "media").symlink_to(scene.outside)
    (scene.inside / "part" / "wandb" / "latest-run").symlink_to(scene.outside)
    (scene.inside / "part" / "hard.png").hardlink_to(scene.file)


def _exchange_folder(scene: Scene) -> None:
    (scene.root / "models").rename(scene.root / "models.old")
    scene.link_to_twin("models")


def _move_folder_outside(scene: Scene) -> None:
    (scene.root / "models").rename(scene.outside / "models")
    scene.link("models", scene.outside / "models")


def _exchange_experiment(scene: Scene) -> None:
    scene.root.rename(scene.inside / "moved")
    scene.root.symlink_to(scene.twin)


def _exchange_output_directory(scene: Scene) -> None:
    scene.inside.rename(scene.inside.with_name("elsewhere"))
    scene.inside.symlink_to(scene.outside)


def _close(scene: Scene) -> None:
    scene.link("checkpoints/baseline_seed0/link", scene.outside)
    (scene.root / "checkpoints" / "baseline_seed0").chmod(0)


def _without_privileges(_scene: Scene) -> Sequence[str]:
    """As root, who may read what is closed, is not to."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def _why_privileged() -> str | None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv is not installed"
    return None


def _mounted_over(*paths: str) -> Callable[[Scene], Sequence[str]]:
    def words(scene: Scene) -> Sequence[str]:
        mounts = [f"mount --bind '{scene.twin / path}' '{scene.root / path}'" for path in paths]
        script = " && ".join([*mounts, 'exec "$@"'])
        return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")

    return words


def _nothing(_scene: Scene) -> None:
    """What matters happens later."""


def _refused(name: str, build: Change, code: int = 1) -> Layout:
    return Layout(name, build, code=code, goes=())


LAYOUTS = (
    Layout("a listed file is a link", lambda scene: scene.link_to_twin(MODEL)),
    Layout(
        "a listed file is a link, and what is changed stays",
        lambda scene: scene.link_to_twin(MODEL),
        words=("--all",),
        goes=("results.json",),
        stays=(MODEL, "manifest.json"),
    ),
    Layout("a link goes nowhere", lambda scene: scene.link(MODEL, "/nowhere")),
    _folder_behind_a_link("checkpoints"),
    _folder_behind_a_link("runs"),
    _folder_behind_a_link("runs/baseline_seed0"),
    _folder_behind_a_link("runs/baseline_seed0/attempt-1"),
    _folder_behind_a_link("wandb"),
    _folder_behind_a_link("tensorboard"),
    Layout(
        "links lead to the root, upwards, in circles",
        _add_loops,
        stays=("runs/up", "all", "top", "itself", "there", "back"),
    ),
    Layout(
        "a file has another name outside",
        lambda scene: scene.hard_link(MODEL, scene.twin / MODEL),
        names_lost=1,
    ),
    Layout(
        "an unlisted checkpoint has another name outside",
        lambda scene: scene.hard_link(CHECKPOINT, scene.file),
        goes=(CHECKPOINT,),
        names_lost=1,
    ),
    Layout("every file has another name outside", _hard_link_everything, names_lost=EVERY),
    _refused("the manifest names ..", lambda scene: scene.list_file("../../outside/file")),
    _refused(
        "the manifest names .. in the middle",
        lambda scene: scene.list_file("models/../../../outside/file"),
    ),
    _refused("the manifest names an outside path", lambda scene: scene.list_file(str(scene.file))),
    _refused("the manifest is a link", lambda scene: scene.link_to_twin("manifest.json")),
    Layout(
        "the experiment's file is a link",
        lambda scene: scene.link_to_twin("experiment_pair.json"),
        goes=("experiment_pair.json", MODEL),
    ),
    _refused("the experiment is a link", _link_the_experiment, code=2),
    Layout("the output directory is a link", _link_the_output_directory, goes=("/elsewhere/pair",)),
    _refused("the lock is a link", lambda scene: scene.link_to_twin(".lock")),
    _refused("a run's lock is a link", lambda scene: scene.link_to_twin(RUN_LOCK)),
    Layout(
        "the note is a link",
        lambda scene: scene.link("cleaned.json", scene.file),
        words=("--models",),
        stays=("cleaned.json", "results.json"),
    ),
    Layout(
        "names are hostile",
        _add_hostile_names,
        stays=("line\nfeed", "checkpoints/-rf", "checkpoints/line\nfeed", "*"),
    ),
    Layout("a tracker's run holds links", _add_tracker_links, goes=("wandb", MODEL)),
    Layout(
        "special files stand in places of ours",
        _put_special_files,
        goes=("results.json",),
        stays=(MODEL, "manifest.json"),
    ),
    Layout(
        "a folder is exchanged for a link while it asks",
        _nothing,
        code=1,
        meanwhile=_exchange_folder,
        goes=("results.json",),
        stays=("models", f"{MODEL}", "models.old/baseline_model_final.zip"),
    ),
    Layout(
        "a folder is moved outside and linked while it asks",
        _nothing,
        code=1,
        meanwhile=_move_folder_outside,
        goes=("results.json",),
        stays=("models", MODEL),
    ),
    Layout(
        "a file is exchanged for a name of an outside one while it asks",
        _nothing,
        code=1,
        meanwhile=lambda scene: scene.hard_link(MODEL, scene.file),
        goes=("results.json",),
        stays=(MODEL,),
    ),
    Layout(
        "the experiment is exchanged for a link while it asks",
        _nothing,
        meanwhile=_exchange_experiment,
        goes=(f"/inside/moved/{MODEL}", "/inside/moved/experiment_pair.json"),
        stays=(MODEL,),
    ),
    Layout(
        "the output directory is exchanged for a link while it asks",
        _nothing,
        meanwhile=_exchange_output_directory,
        goes=("/elsewhere/pair",),
        stays=(MODEL,),
    ),
    Layout(
        "a workspace is full of links",
        _litter_the_workspace,
        words=("--all", "--unsynced"),
        workspace=True,
        goes=("/inside/part/wandb", "/inside/part/hard.png"),
        stays=("/inside/plot.png", "/inside/deep", "/inside/wandb", "/inside/__pycache__", MODEL),
        names_lost=1,
    ),
    Layout(
        "a folder cannot be read",
        _close,
        prefix=_without_privileges,
        why_not=_why_privileged,
        stays=("checkpoints/baseline_seed0", "manifest.json"),
    ),
    Layout(
        "a folder and a file of others are mounted over ours",
        _nothing,
        code=1,
        prefix=_mounted_over("checkpoints", MODEL),
        why_not=volume.why_not,
        goes=("results.json",),
        stays=(MODEL, "checkpoints/baseline_seed0", "manifest.json"),
    ),
)
