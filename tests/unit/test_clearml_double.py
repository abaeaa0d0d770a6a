"""The double of a ClearML server is as strict as the server, and remembers what it was told."""

import base64
import json
import time

import pytest

from tests.doubles.clearml_records import Request
from tests.doubles.clearml_world import ACCESS_KEY, SECRET_KEY, ClearmlWorld


class Client:
    """Asks a world without a network."""

    def __init__(self, world):
        self.world = world
        self.token = ""

    def ask(self, action, body=b"{}", content_type="application/json", authorization=None):
        headers = {
            "authorization": authorization or f"Bearer {self.token}",
            "content-type": content_type,
        }
        request = Request("GET", f"/v2.23/{action}", headers, body, time.time())
        answer = self.world.answer(request)
        self.world.requests.append(Request(**{**vars(request), "status": answer.status}))
        return json.loads(answer.body)

    def log_in(self, secret=SECRET_KEY):
        keys = base64.b64encode(f"{ACCESS_KEY}:{secret}".encode()).decode()
        answer = self.ask("auth.login", authorization=f"Basic {keys}")
        self.token = answer.get("data", {}).get("token", "")
        return answer["meta"]["result_code"]

    def call(self, action, **fields):
        """The answer's data, or the codes of a refusal."""
        answer = self.ask(action, json.dumps(fields).encode())
        meta = answer["meta"]
        return answer.get("data") or (meta["result_code"], meta["result_subcode"])

    def tell(self, *events):
        lines = b"\n".join(json.dumps(event).encode() for event in events)
        answer = self.ask("events.add_batch", lines, "application/json-lines")
        return answer.get("data") or answer["meta"]["result_subcode"]


@pytest.fixture
def client():
    client = Client(ClearmlWorld())
    assert client.log_in() == 200
    return client


@pytest.fixture
def task(client):
    project = client.call("projects.create", name="a project", description="")["id"]
    return client.call("tasks.create", name="a task", type="training", project=project)["id"]


def scalar(task, **changes):
    event = {"type": "training_stats_scalar", "task": task, "timestamp": 1, "metric": "a"}
    return {**event, "variant": "b", "iter": 1, "value": 0.5, **changes}


def test_only_its_own_keys_let_somebody_in():
    client = Client(ClearmlWorld())

    assert client.call("tasks.get_all") == (401, 20)
    assert client.log_in("another secret") == 401
    assert client.call("tasks.get_all") == (401, 20)
    assert client.log_in() == 200
    assert client.call("tasks.get_all") == {"tasks": []}


@pytest.mark.parametrize(
    ("action", "fields", "codes"),
    [
        ("tasks.create", {"name": "ab", "type": "training"}, (400, 12)),
        ("tasks.create", {"name": "a task", "type": "learning"}, (400, 12)),
        ("tasks.create", {"name": "a task"}, (400, 11)),
        ("tasks.create", {"name": "a task", "type": "training", "oops": 1}, (400, 14)),
        ("tasks.create", {"name": "a task", "type": "training", "project": "x"}, (400, 401)),
        ("tasks.create", {"name": "a task", "type": "training", "parent": "x"}, (400, 101)),
        ("tasks.get_by_id", {"task": "x"}, (400, 101)),
        ("tasks.started", {"task": "x"}, (400, 101)),
        ("projects.create", {"name": "rl"}, (400, 12)),
        ("models.create", {"uri": "s3://x", "name": "m" * 3, "task": "x"}, (400, 101)),
        ("tasks.no_such_call", {}, (400, 1)),
    ],
)
def test_what_a_server_refuses_is_refused(client, action, fields, codes):
    assert client.call(action, **fields) == codes
    assert client.world.tasks == {}


def test_a_task_that_has_ended_is_edited_only_where_the_server_allows_it(client, task):
    parameter = {"section": "General", "name": "x", "value": "1"}
    own = {**parameter, "section": "properties"}
    client.call("tasks.started", task=task)
    client.call("tasks.completed", task=task)

    edit = {"task": task, "force": True}
    assert client.call("tasks.edit_hyper_params", hyperparams=[parameter], **edit) == (400, 110)
    assert client.call("tasks.edit_hyper_params", hyperparams=[own], **edit) == {"updated": 1}
    assert client.call("tasks.failed", task=task) == (400, 110)
    assert client.call("tasks.failed", task=task, force=True)["updated"] == 1


def test_events_are_refused_one_by_one(client, task):
    assert client.tell(scalar("x")) == 131
    told = client.tell(scalar(task), scalar(task, value=None), scalar(task, type="no such"))

    assert told["added"] == 1
    assert told["errors"] == 2
    assert client.world.tasks[task].scalars == {"a/b": [(1, 0.5)]}


def test_nan_is_no_json(client, task):
    body = json.dumps(scalar(task, value=float("nan"))).encode()

    answer = client.ask("events.add_batch", body, "application/json-lines")
    assert answer["meta"]["result_code"] == 400


def test_a_scalar_of_the_same_iteration_takes_the_place_of_the_former(client, task):
    client.tell(scalar(task, value=1.0), scalar(task, value=2.0))

    assert client.world.tasks[task].scalars == {"a/b": [(1, 2.0)]}


def test_replaying_its_requests_gives_an_equal_world(client, task):
    client.tell(scalar(task))
    client.call("tasks.started", task=task)
    client.call("tasks.started", task="no such task")
    copy = ClearmlWorld.replay(
        Request.from_json(request.to_json()) for request in client.world.requests
    )

    assert copy.tasks[task].scalars == client.world.tasks[task].scalars
    assert copy.tasks[task].status == "in_progress"
    assert copy.projects == client.world.projects
    assert len(copy.requests) == len(client.world.requests)
