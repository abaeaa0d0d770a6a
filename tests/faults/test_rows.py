"""Every fault of the table, a few times; `make faults` tries each in its full count."""

import pytest

from .figures import Bench, carry_out
from .rows.canaries import holds
from .table import ROWS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Bench(tmp_path_factory.mktemp("faults")) as bench:
        yield bench


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ROWS if row.trials is not None]
)
def test_the_faults_of_a_row_are_survived(row, bench):
    if reason := row.why_not():
        pytest.skip(reason)
    figures = carry_out(row, row.reduced, bench)

    assert figures.failures == []
    assert figures.passed == figures.tried == row.reduced


@pytest.mark.parametrize(
    "data",
    [
        b"the key is a/b c",
        b"key=a%2Fb+c&",
        b"key=a%2Fb%20c&",
        b'{"key": "a\\/b c"}',
        b"eHgga2V5IGEvYiBj",
        b"eCBrZXkgYS9iIGMu",
    ],
)
def test_a_secret_is_found_in_every_form(data):
    assert holds(data, [b"a/b c"])
    assert not holds(data, [b"a/b d"])
