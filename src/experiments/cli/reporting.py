"""What `experiments report` does: page, Markdown and figures again, from journals and results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..domain.errors import UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import ExecutionMode
from ..durability.files import read_json
from ..provenance.write import SUMMARY
from . import stored
from .wording import printable


def tell_where(
    experiment_id: str,
    output_dir: Path,
    *,
    opens: bool = False,
    modules: Sequence[str] = (),
    json: bool = False,
) -> int:
    """Write the report, print its path, and open it where that is wanted.

    Raises:
        UsageError: when there is nothing here to report.
        ExperimentLockedError: when somebody works on the experiment.
        StorageError: when its files cannot be read, or the disk refuses.
    """
    paths = stored.find(output_dir, experiment_id)
    check_is_here(paths, "the report cannot be written again")
    page = write_report(paths, modules)
    if json:
        from .json_output import write_object

        write_object({"experiment_id": experiment_id, "report": str(page)})
    else:
        sys.stdout.write(f"{printable(page)}\n")
        sys.stdout.flush()
    if opens:
        open_page(page)
    return 0


def check_is_here(paths: ExperimentPaths, what: str) -> None:
    """Refuse an experiment of which only trackers have everything.

    Raises:
        UsageError: naming where it is.
    """
    if not paths.elsewhere.is_file():
        return
    from .told import told_lines

    addresses = [f"{tracker}: {line}" for tracker, line in told_lines(paths)]
    raise UsageError(
        f"{what}: journals and models were uploaded and are not kept here",
        where=str(paths.elsewhere),
        remedy="; ".join(addresses) or "look for them where that file says",
    )


def write_report(paths: ExperimentPaths, modules: Sequence[str] = ()) -> Path:
    """Write the report under the experiment's lock, and bring the manifest in line with it.

    Raises:
        UsageError: when no run has come to anything yet.
    """
    from ..analysis.report import write_bitmaps, write_page
    from ..durability.lock import FileLock
    from ..experiment import Experiment
    from ..outputs.derived import Conditions, report_content, storage_policy
    from ..tracking.manifest import write_manifest

    with FileLock(paths.lock):
        experiment = Experiment.load(paths.root, environment_modules=modules)
        if not experiment.results:
            raise UsageError(
                "there is nothing to report: no run has ended yet",
                where=str(paths.root),
                remedy=f"run it first: experiments run --experiment-id {paths.experiment_id}",
            )
        conditions = Conditions(ExecutionMode.SEQUENTIAL, 0.0, _command(paths))
        content = report_content(experiment, conditions)
        # nothing is uploaded from here: only what stays is made
        policy = replace(storage_policy(experiment), wandb=False, others=False)
        write_bitmaps(paths, content, policy)
        page = write_page(paths, content, policy)
        if paths.manifest.is_file():
            write_manifest(paths)
    return page


def open_page(page: Path) -> bool:
    """Open a page in the browser of the desktop or of ``BROWSER``; whether there is one."""
    import webbrowser

    from .displays import warn

    is_open = webbrowser.open(page.resolve().as_uri())
    if not is_open:
        warn(f"no web browser could be opened; open {page} yourself")
    return is_open


def _command(paths: ExperimentPaths) -> tuple[str, ...]:
    """The command line of the latest session, as far as one was recorded."""
    file = paths.provenance / SUMMARY
    told = read_json(file) if file.is_file() else {}
    latest = (told.get("continued") or [told])[-1]
    return tuple(str(word) for word in latest.get("command") or ())
