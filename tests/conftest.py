"""What every test starts from."""

import pytest


@pytest.fixture(autouse=True)
def _no_terminal_of_the_developers_own(monkeypatch):
    """Whoever runs the tests, tables are as wide and as plain as on a pipe."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
