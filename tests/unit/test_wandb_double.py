"""The double of a Weights & Biases server is as strict as the tests that trust it need."""

import base64
import json
import urllib.error
import urllib.request

import pytest

from ..doubles.wandb_server import WandbServer, misbehave, read_world
from ..doubles.wandb_world import API_KEY
from ..waiting import HANG_SECONDS

PATH = "/files/research-team/cartpole/abc/file_stream"


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


def send(url, body, key=API_KEY, method="POST"):
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    if key is not None:
        sent = base64.b64encode(f"api:{key}".encode()).decode()
        request.add_header("Authorization", f"Basic {sent}")
    try:
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def ask(server, operation, **variables):
    query = {"query": f"mutation {operation} {{ }}", "variables": variables}
    return send(f"{server.url}/graphql", query)


def begin(server, **fields):
    told = {"name": "abc", "entity": None, "project": "cartpole", "config": "{}", **fields}
    return ask(server, "UpsertBucket", **told)


@pytest.mark.parametrize("key", [None, "", "another"])
def test_who_has_no_key_is_refused(server, key):
    assert send(f"{server.url}/graphql", {"query": "query Viewer { }"}, key)[0] == 401
    assert send(server.url + PATH, {}, key)[0] == 401
    assert [request.status for request in server.world.requests] == [401, 401]


def test_what_it_cannot_answer_is_refused_and_told(server):
    assert ask(server, "DeleteEverything")[0] == 400
    assert server.world.surprises == ["DeleteEverything"]


def test_rows_of_a_run_that_nobody_made_are_refused(server):
    assert send(server.url + PATH, {})[0] == 404


def test_rows_follow_one_another_and_one_of_the_same_step_is_replaced(server):
    begin(server)
    rows = [json.dumps({"_step": step, "global_step": 10 * step, "a": step}) for step in (0, 1)]
    told = {"files": {"wandb-history.jsonl": {"offset": 0, "content": rows}}}
    assert send(server.url + PATH, told)[0] == 200
    gap = {"files": {"wandb-history.jsonl": {"offset": 5, "content": rows}}}
    assert send(server.url + PATH, gap)[0] == 400
    again = json.dumps({"_step": 1, "global_step": 10, "a": 7})
    send(
        server.url + PATH,
        {"files": {"wandb-history.jsonl": {"offset": 2, "content": [again]}}},
    )

    assert server.world.runs["abc"].series("a") == [(0, 0), (10, 7)]


@pytest.mark.parametrize(
    ("chunk", "state"),
    [
        ({"complete": True, "exitcode": 0}, "finished"),
        ({"complete": True, "exitcode": 1}, "failed"),
        ({"complete": True, "exitcode": 1, "preempting": True}, "preempted"),
        ({}, "running"),
    ],
)
def test_how_a_run_ends_is_its_state(server, chunk, state):
    begin(server)
    send(server.url + PATH, chunk)

    assert server.world.runs["abc"].state == state


def test_a_file_is_taken_only_where_it_was_asked_for(server):
    begin(server)
    assert send(f"{server.url}/storage/0/config.yaml", {}, None, "PUT")[0] == 403
    _, told = ask(server, "CreateRunFiles", run="abc", files=["config.yaml"])
    url = told["data"]["createRunFiles"]["files"][0]["uploadUrl"]

    assert send(url, {}, None, "PUT")[0] == 200
    assert server.world.runs["abc"].files == {"config.yaml": b"{}"}


def test_an_artifact_that_lacks_a_file_is_not_committed(server):
    begin(server)
    place = {"entityName": "research-team", "projectName": "cartpole", "runName": "abc"}
    wanted = {"artifactTypeName": "results", "artifactCollectionName": "r", "digest": "1"}
    _, made = ask(server, "CreateArtifact", input={**place, **wanted})
    artifact = made["data"]["createArtifact"]["artifact"]["id"]
    _, told = ask(server, "CreateArtifactManifest", artifactID=artifact)
    url = told["data"]["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
    send(url, {"contents": {"a.json": {}}}, None, "PUT")

    assert ask(server, "CommitArtifact", artifactID=artifact)[0] == 400
    assert server.world.artifacts[artifact].state == "PENDING"


def test_it_misbehaves_where_it_is_asked_to_and_well_again(server):
    misbehave(server.url, status=500, path="UpsertBucket")
    assert begin(server)[0] == 500
    assert ask(server, "Viewer")[0] == 200
    server.misbehave()
    assert begin(server)[0] == 200


def test_what_it_knows_outlives_it_and_is_read_from_elsewhere(tmp_path):
    state = tmp_path / "state"
    with WandbServer(state=state) as server:
        begin(server, displayName="first")
    with WandbServer(state=state) as server:
        assert read_world(server.url).runs["abc"].name == "first"


def test_a_secret_is_found_in_a_request_in_any_form_but_not_in_its_authorization(server):
    begin(server, notes="the canary sings")
    begin(server, notes=base64.b64encode(b"canary").decode())
    begin(server, notes="nothing")

    assert [request.holds("canary") for request in server.world.requests] == [True, True, False]
    assert not any(request.holds(API_KEY) for request in server.world.requests)
