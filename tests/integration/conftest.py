"""What tests of a hub's models start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.hub import Hub, empty_cache, serving


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with empty_cache(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    del cache
    with serving(monkeypatch) as hub:
        yield hub
