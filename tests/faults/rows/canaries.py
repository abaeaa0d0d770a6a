"""Secrets that an environment prints and raises: found nowhere, in no form."""

import base64
import io
import random
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

import psutil

from tests.doubles.remotes import REMOTES

from ..command import Command
from ..figures import Bench, Trial, generator
from ..pair import Pair, document

NAMES = ("API_KEY", "ACCESS_KEY", "SECRET", "SECRET_KEY", "TOKEN", "PASSWORD", "PASSPHRASE")
NAMES += ("CREDENTIALS", "PRIVATE_KEY", "PGPASSWORD")
TRACKERS = [word for name in (*REMOTES, "tensorboard") for word in ("--tracker", name)]
FEWEST_REQUESTS = 10
FORMS = 3
"""In which the environment tells each: raw, URL-encoded, base64."""
EXIT_CODES = {"raises": 4, "prints": 0}
MASK = b"[redacted]"
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{16,}")


def canaries(bench: Bench, count: int) -> Iterator[Trial]:
    """Secrets under several names, in each form, printed and raised by an environment."""
    places = list(EXIT_CODES)[: count // FORMS]
    names = NAMES[: count // FORMS // len(places)]
    for place in places:
        yield Trial(partial(_are_found_nowhere, place, names), len(names) * FORMS)


def _are_found_nowhere(place: str, names: tuple[str, ...], folder: Path) -> None:
    values = {f"CANARY_{name}": _secret(generator(place, n)) for n, name in enumerate(names)}
    broken = {"environment": "BrokenCartPole-v0", "environment_kwargs": {"kind": place, "at": 100}}
    variant = {"environment_kwargs": {"kind": "none"}}
    content = document(baseline=broken, variant=variant)
    with ExitStack() as servers:
        remotes = [servers.enter_context(remote(_beside(folder))) for remote in REMOTES.values()]
        keys = {name: key for each in remotes for name, key in each.environment.items()}
        pair = Pair(folder, content, environment={**values, **keys})
        command = pair.start("--recovery", "skip", "-vv", *TRACKERS)
        outputs = {"process arguments": _arguments_of(command)}
        done = command.done()
        assert done.code == EXIT_CODES[place], done
        for remote in remotes:
            received = remote.received()
            assert len(received) > FEWEST_REQUESTS, f"{remote.tracker} was hardly told"
            if place == "raises":  # the error itself is told, without what it gave away
                assert any(MASK in each for each in received), remote.tracker
            outputs |= {f"{remote.tracker} {n}": data for n, data in enumerate(received)}
    written_offline = Pair(folder / "offline", content, environment=values)
    assert written_offline.finish("--recovery", "skip", "--wandb-offline").code == done.code
    outputs |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert any(name.endswith(".wandb") for name in outputs)
    values |= {name: key for name, key in keys.items() if "KEY" in name}
    log = outputs[str(pair.root / "logs" / "baseline_training.log")]
    assert log.count(MASK) >= len(names) * FORMS
    assert b"\x1b" not in log
    for name, data in outputs.items():
        assert not holds(data, [value.encode() for value in values.values()]), name


def _beside(folder: Path) -> Path:
    """Where servers keep what they know, keys of those who told them among it."""
    servers = folder.with_name(f"{folder.name}-servers")
    servers.mkdir(exist_ok=True)
    return servers


def _secret(rng: random.Random) -> str:
    """One that each encoding changes."""
    return f"c4n4ry/{rng.getrandbits(96):024x} ?&"


def _arguments_of(command: Command) -> bytes:
    """The words of all its processes, as anybody on the machine can read them."""
    found: set[str] = set()
    while not command.ends_within(0.3):
        for process in command.family():
            with suppress(psutil.Error):
                found.update(process.cmdline())
    return "\n".join(found).encode(errors="surrogateescape")


def holds(data: bytes, values: list[bytes]) -> bool:
    """Whether any value is there: raw, URL-encoded, escaped, in base64, or in a zip."""
    return any(value in view for view in _views(data) for value in values)


def _views(data: bytes) -> Iterator[bytes]:
    yield data
    yield unquote_to_bytes(data)
    yield unquote_to_bytes(data.replace(b"+", b" "))
    yield data.replace(b"\\/", b"/").replace(b"\\u0026", b"&").replace(b"&amp;", b"&")
    for found in _ENCODED.findall(data):
        for start in range(4):  # it may stand anywhere in a longer text
            text = found[start:].translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(text[: len(text) // 4 * 4])
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _views(archive.read(name))
