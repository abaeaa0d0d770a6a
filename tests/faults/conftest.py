"""What every test of faults ends with."""

import pytest

from .command import end_commands


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path):
    yield
    end_commands(tmp_path)
