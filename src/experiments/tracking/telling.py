"""Telling one tracker about all runs of an experiment: live, or later from what lies there."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from ..domain.errors import ExperimentsError, StorageError
from ..domain.paths import ExperimentPaths
from ..domain.records import ENDED_RUNS, RunKey, RunStatus
from ..domain.redaction import keep_secret, redact
from ..durability.files import make_directory, write_atomically
from ..durability.journal import Record
from ..durability.lock import FileLock
from .cleaned import cleaned_record
from .concluding import conclude_run, digest, run_status, without_withheld
from .cursor import Cursor, UntoldRecords
from .describing import TellingOptions, describe_runs
from .ledger import RunEntry, TellingState, TrackerEntry, read_ledger, write_entry
from .registry import create_tracker
from .tracker import RunConclusion, Tracker, TrackerSettings

POLL_SECONDS = 2.0
"""How often the journals are looked at while training goes on."""
_WAKE_SECONDS = 0.2
"""How soon the wish to end is noticed."""
NICENESS = 10
"""Training comes first: a tracker takes the processor time that is left."""
OVER = ENDED_RUNS - {RunStatus.INTERRUPTED}
LONGEST_ERROR = 2000


class Ending(StrEnum):
    """What the trackers' processes are asked for at the end of training."""

    FINISH = "finish"
    """Tell everything, and that it is over."""
    PAUSE = "pause"
    """Tell what there is; the experiment will be continued."""


@dataclass(frozen=True)
class Assignment:
    """What one tracker's process is to do; picklable."""

    tracker: str
    paths: ExperimentPaths
    settings: TrackerSettings
    options: TellingOptions
    follows: bool = False
    """Whether it goes on until it is asked to end; else it tells what lies there."""


@dataclass(frozen=True)
class Told:
    """What became of an assignment."""

    tracker: str
    runs: Mapping[RunKey, RunEntry] = field(default_factory=dict)
    records: int = 0
    """Records that were told this time."""
    finished: int = 0
    """Runs whose end was told this time."""


def tell(assignment: Assignment) -> Told:
    """Carry an assignment out, in a process of its own; failures are in the ledger as well.

    Raises:
        ExperimentLockedError: when another process tells this tracker.
        TrackerError: when the remote system refuses or is out of reach.
        StorageError: when the experiment's files cannot be read, or the ledger not be written.
    """
    os.nice(NICENESS)
    keep_secret(assignment.settings.secrets)
    paths = assignment.paths
    make_directory(paths.tracking)
    with FileLock(paths.tracker_lock(assignment.tracker)):
        teller = Teller(assignment)
        try:
            return teller.carry_out()
        except Exception as error:
            teller.fail(error)
            raise


def ask_to_end(paths: ExperimentPaths, ending: Ending) -> None:
    """Have the processes that follow an experiment come to an end."""
    write_atomically(paths.telling_ends, ending.value)


def forget_ending(paths: ExperimentPaths) -> None:
    """Take the wish back that an earlier session left."""
    paths.telling_ends.unlink(missing_ok=True)


class Teller:
    """One tracker and one experiment; used by `tell` alone."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._paths = assignment.paths
        self._secrets = assignment.settings.secrets
        settings = replace(assignment.settings, gets_on=self._get_on)
        self._tracker: Tracker = create_tracker(assignment.tracker, settings)
        self._entry = _entry_for(assignment)
        self._descriptions = {
            each.run: each for each in describe_runs(self._paths, assignment.options, self._secrets)
        }
        self._untold = {
            run: UntoldRecords(self._paths.run(run), self._run_entry(run).cursor)
            for run in self._descriptions
        }
        seeds = [run.seed for run in self._descriptions]
        self._first_seed = seeds[0]
        self._single_seed = len(set(seeds)) == 1
        self._opened: set[RunKey] = set()
        self._damaged: dict[RunKey, StorageError] = {}
        self._records = self._finished = 0

    def carry_out(self) -> Told:
        """Tell until there is nothing more to tell, or until asked to end.

        Raises:
            StorageError: when all was told but for a run whose journal is damaged.
        """
        self._save()  # what was chosen is remembered, whatever comes of it
        ending = self._follow() if self._assignment.follows else Ending.FINISH
        while self._tell_news():
            pass
        if ending is Ending.FINISH:
            self._conclude()
        self._tracker.close()
        for damaged in self._damaged.values():
            raise damaged
        if ending is Ending.FINISH:
            self._entry = replace(self._entry, state=TellingState.COMPLETE, error=None)
        self._save()
        return Told(self._assignment.tracker, dict(self._entry.runs), self._records, self._finished)

    def fail(self, error: Exception) -> None:
        """Note in the ledger that something is pending, and why."""
        what = str(error) if isinstance(error, ExperimentsError) else repr(error)
        said = redact(what, self._secrets)[:LONGEST_ERROR]
        self._entry = replace(self._entry, state=TellingState.PENDING, error=said)
        self._save()

    # ---- rounds

    def _follow(self) -> Ending:
        """Tell a portion of what is new, look by look, until asked to end."""
        while (ending := self._ending()) is None:
            self._tell_news()
            self._finish_those_that_ended()
            self._sleep()
        return ending

    def _sleep(self) -> None:
        woken = time.monotonic() + POLL_SECONDS
        while time.monotonic() < woken and not self._paths.telling_ends.exists():
            time.sleep(_WAKE_SECONDS)

    def _tell_news(self) -> bool:
        """Tell what the journals hold that is new, a portion of each; whether there was any."""
        has_news = False
        for run in self._descriptions:
            if records := self._news_of(run):
                has_news = True
                self._tell(run, records)
            self._get_on()
        return has_news

    def _news_of(self, run: RunKey) -> list[Record]:
        """What is new of a run; nothing of one whose journal is damaged, which is told of later."""
        try:
            records = self._untold[run].next()
            if records and self._begins_anew(run):
                records = self._untold[run].next()
        except StorageError as error:
            self._damaged[run] = error
            return []
        self._damaged.pop(run, None)
        return records

    def _tell(self, run: RunKey, records: list[Record]) -> None:
        told = [cleaned_record(each, self._secrets) for each in records]
        self._tracker.write_records(self._open(run), told)
        self._records += len(told)
        self._note(run, cursor=self._untold[run].cursor, state=TellingState.OPEN)
        self._save()

    def _finish_those_that_ended(self) -> None:
        """Those that nothing of the whole experiment is told with need not wait for its end."""
        for run in self._descriptions:
            is_open = run in self._opened and run.seed != self._first_seed
            if is_open and run_status(self._paths, run) in OVER:
                while records := self._news_of(run):
                    self._tell(run, records)
                self._finish(run, with_experiment=False)

    def _conclude(self) -> None:
        for run in self._descriptions:
            is_there = self._paths.run(run).journal.is_file()  # else it is only where it was told
            if is_there and run not in self._damaged:
                self._finish(run, with_experiment=run.seed == self._first_seed)
            self._get_on()

    def _finish(self, run: RunKey, *, with_experiment: bool) -> None:
        conclusion = conclude_run(
            self._paths,
            run,
            single_seed=self._single_seed,
            with_experiment=with_experiment,
            secrets=self._secrets,
        )
        conclusion, withheld = without_withheld(conclusion, self._secrets)
        says = digest(conclusion)
        entry = self._run_entry(run)
        if entry.state is TellingState.COMPLETE and entry.conclusion == says:
            return
        if self._begins_anew(run):
            while records := self._news_of(run):
                self._tell(run, records)
        remote_id = self._open(run)
        if withheld:
            self._tracker.write_records(remote_id, [_withheld_record(conclusion, withheld)])
        self._tracker.finish_run(remote_id, conclusion)
        self._opened.discard(run)
        self._finished += 1
        kept = tuple(file.relative_to(self._paths.root).as_posix() for file in withheld)
        self._note(run, state=TellingState.COMPLETE, conclusion=says, withheld=kept)
        self._save()
        self._get_on()

    # ---- one run

    def _open(self, run: RunKey) -> str:
        """The remote id of a run that is open for telling."""
        known = self._run_entry(run).remote_id
        if run in self._opened and known is not None:
            return known
        description = self._descriptions[run]
        remote_id = self._tracker.open_run(description, known)
        self._opened.add(run)
        self._note(run, remote_id=remote_id, url=self._tracker.url_of(remote_id))
        self._save()  # before anything else: a second telling must find it
        self._get_on()
        return remote_id

    def _begins_anew(self, run: RunKey) -> bool:
        """Whether a run of an earlier process cannot be gone on with, so that all is told again."""
        is_known = self._run_entry(run).remote_id is not None
        if not self._tracker.restarts or run in self._opened or not is_known:
            return False
        self._untold[run] = UntoldRecords(self._paths.run(run), Cursor())
        self._open(run)
        return True

    def _run_entry(self, run: RunKey) -> RunEntry:
        return self._entry.runs.get(run, RunEntry())

    def _note(self, run: RunKey, **changes: object) -> None:
        changed = replace(self._run_entry(run), **changes)  # type: ignore[arg-type]
        self._entry = self._entry.with_run(run, changed)

    def _save(self) -> None:
        write_entry(self._paths.ledger, self._assignment.tracker, self._entry)

    def _get_on(self) -> None:
        """Show who waits for this process that it is not stuck."""
        os.utime(self._paths.tracker_lock(self._assignment.tracker))

    def _ending(self) -> Ending | None:
        try:
            return Ending(self._paths.telling_ends.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(str(error), where=str(self._paths.telling_ends)) from error


def _entry_for(assignment: Assignment) -> TrackerEntry:
    """What the tracker was told so far at the place where it is told now."""
    former = read_ledger(assignment.paths.ledger).get(assignment.tracker, TrackerEntry())
    entry = replace(
        former,
        options=assignment.options.to_dict(),
        place=assignment.options.place,
        state=TellingState.OPEN,
        error=None,
    )
    return entry.with_runs({run: each for run, each in entry.runs.items() if _is_there(each)})


def _is_there(entry: RunEntry) -> bool:
    """Whether files that a tracker wrote here still lie there; of a server it is believed."""
    is_path = entry.url is not None and entry.url.startswith("/")
    return not is_path or Path(str(entry.url)).exists()


def _withheld_record(conclusion: RunConclusion, withheld: Sequence[Path]) -> Record:
    names = ", ".join(file.name for file in withheld)
    text = f"not uploaded, because it contains a secret: {names}"
    return {"kind": "text", "step": conclusion.step, "name": "withheld", "text": text}
