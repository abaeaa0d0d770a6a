"""What every test of faults ends with."""

import pytest

from .command import end_commands, heed_interrupts


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path):
    yield
    end_commands(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _commands_heed_interrupts():
    heed_interrupts()
