"""What every test starts from."""

import gc

import pytest

from .faults.command import heed_signals


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect the tests without looking for garbage: all of them are kept until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _commands_heed_signals():
    heed_signals()


@pytest.fixture(autouse=True)
def _no_terminal_of_the_developers_own(monkeypatch):
    """Whoever runs the tests, tables are as wide and as plain as on a pipe."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pauses(monkeypatch):
    """A failed run is tried again at once."""
    monkeypatch.setattr("src.experiments.execution.recovery.FIRST_PAUSE_SECONDS", 0.0)
