"""What a ClearML server refuses, and one that dies, freezes or is not there."""

import signal
import socket
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from src.experiments.domain.records import RunStatus
from src.experiments.tracking.clearml.content import LARGEST_DIFF
from src.experiments.tracking.tracker import CodeState, Connection, RunConclusion
from tests.doubles.clearml_server import ClearmlProcess, ClearmlServer
from tests.integration.clearml_telling import (
    BASELINE,
    CANARY,
    LATER_RECORDS,
    RECORDS,
    await_end,
    begin,
    conclude,
    describe,
    open_in_vain,
    open_tracker,
    refusal_of,
    tell,
    wait_for,
)
from tests.waiting import HANG_SECONDS, wait_until


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path):
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{closed.getsockname()[1]}"
        environment = {
            "CLEARML_API_HOST": host,
            "CLEARML_API_ACCESS_KEY": "access-of-nobody",
            "CLEARML_API_SECRET_KEY": CANARY,
        }
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
    message, leftovers = ran.result

    assert message.startswith(f"{host}: ClearML's API server cannot be reached: Connection refused")
    assert "correct CLEARML_API_HOST in .env" in message
    assert ran.output == ""
    assert leftovers == []


def test_keys_that_are_refused_are_named_and_not_shown(tmp_path):
    with ClearmlServer() as server:
        environment = {**server.environment, "CLEARML_API_SECRET_KEY": "not-the-right-secret"}
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
    message, _ = ran.result

    assert message.startswith(f"{server.url}: ClearML refuses the keys: Unauthorized")
    assert "CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY in .env" in message
    assert "not-the-right-secret" not in message + ran.output
    assert server.world.tasks == {}


class _Page(BaseHTTPRequestHandler):
    """A web page in the place of the API."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>a page</html>")

    def log_message(self, *arguments):
        pass


@pytest.mark.slow
def test_a_host_that_is_no_api_server_is_one_clear_error(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as pages:
        thread = threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        host = f"http://127.0.0.1:{pages.server_address[1]}"
        environment = {
            "CLEARML_API_HOST": host,
            "CLEARML_API_ACCESS_KEY": "access-of-nobody",
            "CLEARML_API_SECRET_KEY": CANARY,
        }
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
        pages.shutdown()
        thread.join()

    assert ran.result[0].startswith(f"{host}: it answers, but not as ClearML's API server does")
    assert "correct CLEARML_API_HOST in .env" in ran.result[0]
    assert ran.output == ""


def test_what_cannot_be_told_is_refused_before_anything_is_sent(tmp_path):
    short = open_tracker({}, tmp_path)
    message = refusal_of(short.open_run, describe(BASELINE, project="rl"), None)
    offline = open_tracker({}, tmp_path, connection=Connection.OFFLINE)
    offline_message = refusal_of(offline.open_run, describe(BASELINE), None)
    unset = open_tracker({}, tmp_path)
    unset_message = refusal_of(unset.open_run, describe(BASELINE), None)

    assert "no project with a name as short as 'rl'" in message
    assert "ClearML works only online" in offline_message
    assert "CLEARML_API_HOST is missing" in unset_message
    assert "clearml" not in sys.modules


def tell_after_a_lost_answer(environment, folder):
    """The server creates a task, and the tracker hears nothing of it; then it tries again."""
    tracker = open_tracker(environment, folder)
    message = refusal_of(tracker.open_run, describe(BASELINE), None)
    again = [tracker.open_run(describe(BASELINE), None) for _ in range(2)]
    tracker.close()
    return message, again


@pytest.mark.slow
def test_a_task_whose_creation_was_not_heard_of_is_found_again(tmp_path):
    with ClearmlServer() as server:
        server.misbehave(path="tasks.create", is_lost=True)
        ran = tell(tell_after_a_lost_answer, server.environment, tmp_path, folder=tmp_path)
        (task,) = server.world.tasks.values()
        created = server.world.called("tasks.create")
    message, again = ran.result

    assert "ClearML did not answer tasks.create" in message
    assert again == [task.id, task.id]
    assert len(created) == 1, "no request is repeated that may have been carried out"


def tell_a_task_that_is_gone(environment, folder):
    """Open an id that the server does not know."""
    tracker = open_tracker(environment, folder)
    message = refusal_of(tracker.open_run, describe(BASELINE), "0" * 32)
    large = CodeState(diff="diff --git a/x b/x\n" + "+x\n" * LARGEST_DIFF)
    task = tracker.open_run(describe(BASELINE, code=large), None)
    keys = folder / "keys.bin"
    keys.write_bytes(b"\xff\x00" + CANARY.encode())
    tracker.finish_run(
        task, RunConclusion(RunStatus.INTERRUPTED, artifacts={"keys": keys, "also": keys})
    )
    tracker.close()
    return message


@pytest.mark.slow
def test_rare_cases_are_told_clearly(tmp_path):
    with ClearmlServer() as server:
        ran = tell(tell_a_task_that_is_gone, server.environment, tmp_path, folder=tmp_path)
        (task,) = server.world.tasks.values()
        files = server.world.files

    assert f"ClearML no longer has task {'0' * 32}" in ran.result
    assert "tracking/ledger.json" in ran.result
    assert task.status == "stopped"
    assert task.status_reason == "interrupted"
    assert task.log == ["keys.bin was not uploaded: it holds a secret"] * 2
    assert list(task.artifacts) == ["uncommitted_changes"]
    assert task.script["diff"].endswith("uncommitted_changes\ndiff --git a/x b/x")
    assert [len(content) for content in files.values()] == [19 + 3 * LARGEST_DIFF]


def tell_a_published_task(environment, folder, url):
    """A task that somebody has published takes nothing more; a new one is made."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    tracker._tasks()._sdk.call("tasks.publish", task=task, force=True)
    message = refusal_of(tracker.open_run, describe(BASELINE), task)
    return message, task, tracker.open_run(describe(BASELINE), None)


@pytest.mark.slow
def test_a_published_task_is_left_alone(tmp_path):
    with ClearmlServer() as server:
        arguments = (server.environment, tmp_path, server.url)
        ran = tell(tell_a_published_task, *arguments, folder=tmp_path)
        message, published, new = ran.result
        statuses = {task.id: task.status for task in server.world.tasks.values()}

    assert "is published" in message
    assert statuses == {published: "published", new: "in_progress"}


def tell_until_it_dies(environment, folder):
    """Tell, wait until the server was killed, tell on; then, with the server back, to the end."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    tracker.write_records(task, RECORDS)
    (folder / "told").touch()
    wait_for(folder / "killed")
    refused = refusal_of(tracker.write_records, task, LATER_RECORDS)
    tracker.close()
    (folder / "refused").touch()
    wait_for(folder / "restarted")
    later = open_tracker(environment, folder)
    same = later.open_run(describe(BASELINE), task)
    later.write_records(same, LATER_RECORDS)
    later.finish_run(same, conclude(folder))
    later.close()
    return refused, task == same


@pytest.mark.slow
def test_a_server_that_was_killed_in_mid_run_is_told_the_rest_later(tmp_path):
    with ClearmlProcess(tmp_path) as server:
        process = begin(tell_until_it_dies, server.environment, tmp_path, folder=tmp_path)
        wait_for(tmp_path / "told")
        server.process.kill()
        server.process.wait()
        (tmp_path / "killed").touch()
        wait_for(tmp_path / "refused")
        server.start()
        (tmp_path / "restarted").touch()
        ran = await_end(process, tmp_path)
        (task,) = server.world.tasks.values()
    message, is_same = ran.result

    assert "ClearML did not answer events.add_batch" in message
    assert is_same
    assert task.status == "completed"
    assert [step for step, _ in task.scalars["rollouts/returns_mean"]] == [128, 256, 512]
    assert ran.output == ""


@pytest.mark.slow
def test_a_frozen_server_is_refused_within_seconds(tmp_path):
    with ClearmlProcess(tmp_path) as server:
        server.process.send_signal(signal.SIGSTOP)
        ran = tell(open_in_vain, server.environment, tmp_path, folder=tmp_path)
    message, _ = ran.result

    assert "ClearML's API server cannot be reached: timed out" in message


def write_to_the_frozen(environment, folder):
    """Write to a server that answers nothing any more."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    (folder / "told").touch()
    wait_for(folder / "frozen")
    tracker.write_records(task, RECORDS)


@pytest.mark.slow
def test_a_tracker_that_waits_for_ever_ends_by_sigterm(tmp_path):
    with ClearmlServer() as server:
        process = begin(write_to_the_frozen, server.environment, tmp_path, folder=tmp_path)
        wait_for(tmp_path / "told")
        server.misbehave(frozen=True)
        (tmp_path / "frozen").touch()
        wait_until(lambda: server.concerned, "it is asked, and does not answer")
        process.terminate()
        process.communicate(timeout=HANG_SECONDS)

        assert process.returncode == -signal.SIGTERM


def tell_a_sick_server(environment, folder):
    """Write records that are answered by an error of the server."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    told = refusal_of(tracker.write_records, task, RECORDS)
    tracker.close()
    return told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "what"),
    [(500, "ClearML refused events.add_batch"), (401, "ClearML refused events.add_batch")],
)
def test_errors_in_mid_run_are_told_at_once(tmp_path, status, what):
    with ClearmlServer() as server:
        server.misbehave(path="events.add_batch", status=status)
        ran = tell(tell_a_sick_server, server.environment, tmp_path, folder=tmp_path)
    message = ran.result

    assert what in message
    assert f"({status}/0)" in message
    assert ran.output == ""
