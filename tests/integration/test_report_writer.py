"""The report is written by other processes, and fails by its own error."""

import errno
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from src.experiments.analysis.content import ReportContent
from src.experiments.domain.errors import StorageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.storage_policy import Storage, StoragePolicy
from src.experiments.domain.verdicts import Comparison, Verdict
from src.experiments.execution import ProcessPoolExecutor
from src.experiments.outputs.report_writer import ReportWriter
from tests.waiting import wait_until

CONTENT = ReportContent(
    experiment_id="told",
    hypothesis="who writes stays out of the way",
    comparison=Comparison(
        Verdict.INSUFFICIENT_EVIDENCE,
        "Nothing was trained.",
        "final_return",
        None,
        None,
        0.05,
        None,
    ),
    arms={},
)
POLICY = StoragePolicy(Storage.STANDARD, False)


def test_a_report_is_written_while_this_process_goes_on(tmp_path):
    paths = ExperimentPaths.under(tmp_path, "told")
    with ReportWriter() as writer:
        writer.begin(paths, CONTENT, POLICY)
        writer.finish()

    assert "Nothing was trained." in paths.report_page.read_text()
    assert (paths.report / "report.md").is_file()


def test_what_keeps_it_from_being_written_is_told(tmp_path):
    paths = ExperimentPaths.under(tmp_path, "told")
    paths.root.mkdir()
    paths.report.write_text("a file where the folder should be")
    with ReportWriter() as writer:
        writer.begin(paths, CONTENT, POLICY)
        with pytest.raises(StorageError, match=str(paths.report)):
            writer.finish()


class HeldPaths(ExperimentPaths):
    """Paths of which the report's is not told while there is a file `hold`, and `held` says so."""

    @property
    def report(self) -> Path:
        hold = self.root.with_name("hold")
        while hold.exists():
            self.root.with_name("held").touch()
            time.sleep(0.01)
        return super().report


@pytest.mark.parametrize("victim", ["writers", "server"])
def test_what_kills_its_processes_does_not_keep_it_from_being_written(tmp_path, victim):
    paths = HeldPaths.under(tmp_path, "told")
    (tmp_path / "hold").touch()
    with ReportWriter() as writer:
        before = set(psutil.Process().children())
        writer.get_ready()
        (server,) = set(psutil.Process().children()) - before
        writer.begin(paths, CONTENT, POLICY)
        wait_until((tmp_path / "held").exists, "a writer is at work")
        for process in server.children() if victim == "writers" else [server]:
            with suppress(psutil.NoSuchProcess):  # one that had nothing to write
                process.kill()
        (tmp_path / "hold").unlink()
        writer.finish()

    assert "Nothing was trained." in paths.report_page.read_text()
    assert (paths.report / "report.md").is_file()


def test_where_no_process_is_to_be_had_this_one_writes_it(tmp_path, monkeypatch):
    def refuse(self):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(ProcessPoolExecutor, "__enter__", refuse)
    paths = ExperimentPaths.under(tmp_path, "told")
    with ReportWriter() as writer:
        writer.get_ready()
        writer.begin(paths, CONTENT, POLICY)
        writer.finish()

    assert "Nothing was trained." in paths.report_page.read_text()


def test_getting_ready_twice_starts_one_process():
    before = set(psutil.Process().children())
    with ReportWriter() as writer:
        writer.get_ready()
        started = set(psutil.Process().children()) - before
        writer.get_ready()

        assert len(started) == 1
        assert set(psutil.Process().children()) - before == started
