"""Where a ClearML task's files go: a bucket, or the file server."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from tests.doubles.clearml_server import ClearmlServer
from tests.doubles.remotes import closed_port
from tests.integration.clearml_telling import (
    BASELINE,
    conclude,
    describe,
    open_in_vain,
    open_tracker,
    refusal_of,
    tell,
)
from tests.waiting import wait_until

BUCKET = "clearml-artifacts"


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bucket_environment(port, secret_key="s3-secret-of-the-test"):
    return {
        "CLEARML_S3_ENDPOINT": f"http://127.0.0.1:{port}",
        "CLEARML_S3_BUCKET": BUCKET,
        "CLEARML_S3_ACCESS_KEY": "S3ACCESSOFTHETEST",
        "CLEARML_S3_SECRET_KEY": secret_key,
        "CLEARML_S3_REGION": "us-east-1",
        "CLEARML_S3_PATH_STYLE": "true",
        "CLEARML_S3_VERIFY_SSL": "false",
    }


def wait_for_port(port):
    def answers():
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, "the bucket's server starts")


@pytest.fixture(scope="module")
def moto():
    """A server that speaks S3 and takes any keys; its port."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


def s3_client(port):
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="S3ACCESSOFTHETEST",
        aws_secret_access_key="s3-secret-of-the-test",
        region_name="us-east-1",
    )


def tell_with_files(environment, folder):
    """Tell the end of a run, with a model that is sent in several parts."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    large = folder / "large.bin"
    large.write_bytes(os.urandom(9_000_000))
    tracker.finish_run(task, conclude(folder, model=large))
    tracker.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_go_to_the_bucket_where_one_is_named(tmp_path, moto):
    client = s3_client(moto)
    client.create_bucket(Bucket=BUCKET)
    with ClearmlServer() as server:
        environment = {**server.environment, **bucket_environment(moto)}
        ran = tell(tell_with_files, environment, tmp_path, folder=tmp_path)
        (task,) = server.world.tasks.values()
        (model,) = server.world.models.values()
        world = server.world
    stored = {
        f"s3://127.0.0.1:{moto}/{BUCKET}/{each['Key']}": each["Key"]
        for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    (figure,) = task.images.values()
    artifact = task.artifacts["experiment_results"]["uri"]
    body = client.get_object(Bucket=BUCKET, Key=stored[model["uri"]])["Body"].read()

    assert set(stored) == {figure, artifact, model["uri"]}, "and no probe is left there"
    assert body == (tmp_path / "large.bin").read_bytes()
    assert world.files == {}
    assert task.fields["output"]["destination"] == f"s3://127.0.0.1:{moto}/{BUCKET}"
    assert world.holds("s3-secret-of-the-test") == []
    assert ran.output == "", "and no bar of progress"


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_one_clear_error(tmp_path, moto):
    with ClearmlServer() as server:
        environment = {**server.environment, **bucket_environment(moto)}
        environment["CLEARML_S3_BUCKET"] = "no-such-bucket"
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
    message, _ = ran.result

    assert message.startswith(f"s3://127.0.0.1:{moto}/no-such-bucket: the bucket refuses")
    assert "NoSuchBucket" in message
    assert "check CLEARML_S3_ENDPOINT, CLEARML_S3_BUCKET" in message
    assert server.world.tasks == {}


def tell_after_the_bucket_went(environment, folder, port):
    """The bucket is deleted between the run's start and its end."""
    tracker = open_tracker(environment, folder)
    task = tracker.open_run(describe(BASELINE), None)
    s3_client(port).delete_bucket(Bucket="short-lived")
    message = refusal_of(tracker.finish_run, task, conclude(folder))
    tracker.close()
    return message


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bucket_that_goes_away_keeps_its_task_from_being_called_complete(tmp_path, moto):
    s3_client(moto).create_bucket(Bucket="short-lived")
    with ClearmlServer() as server:
        environment = {**server.environment, **bucket_environment(moto)}
        environment["CLEARML_S3_BUCKET"] = "short-lived"
        ran = tell(tell_after_the_bucket_went, environment, tmp_path, moto, folder=tmp_path)
        (task,) = server.world.tasks.values()

    assert "curves.png could not be uploaded" in ran.result
    assert "NoSuchBucket" in ran.result
    assert task.status == "in_progress"
    assert ran.output == ""


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["CLEARML_S3_ENDPOINT", "CLEARML_FILES_HOST"])
def test_a_place_for_files_that_is_out_of_reach_is_one_clear_error(tmp_path, variable):
    with ClearmlServer() as server:
        nowhere = closed_port()
        environment = dict(server.environment)
        if variable == "CLEARML_S3_ENDPOINT":
            environment |= bucket_environment(int(nowhere.rpartition(":")[2]))
        environment[variable] = nowhere
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
    message, _ = ran.result

    assert "cannot be reached: Connection refused" in message
    assert f"check {variable}" in message


@pytest.fixture(scope="module")
def s3rver(tmp_path_factory):
    """A server that speaks S3 and refuses unknown keys; its port."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("s3rver")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "s3rver@3.7.1"]
    installed = subprocess.run(command, capture_output=True, timeout=180, check=False)
    if installed.returncode != 0:
        pytest.skip("npm cannot install s3rver here")
    port = free_port()
    program = str(folder / "node_modules" / "s3rver" / "bin" / "s3rver.js")
    place = ["-d", str(folder / "data"), "-a", "127.0.0.1", "-p", str(port)]
    (folder / "data").mkdir()
    process = subprocess.Popen(
        [node, program, *place, "--configure-bucket", BUCKET],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_keys_that_the_bucket_refuses_are_named_and_not_shown(tmp_path, s3rver):
    with ClearmlServer() as server:
        environment = {**server.environment, **bucket_environment(s3rver)}
        ran = tell(open_in_vain, environment, tmp_path, folder=tmp_path)
    message, _ = ran.result

    assert message.startswith(f"s3://127.0.0.1:{s3rver}/{BUCKET}: the bucket refuses: ")
    assert "InvalidAccessKeyId" in message
    assert "CLEARML_S3_ACCESS_KEY, CLEARML_S3_SECRET_KEY in .env" in message
    assert "s3-secret-of-the-test" not in message + ran.output
    assert ran.output == ""


@pytest.mark.slow
def test_keys_that_the_bucket_knows_are_taken(tmp_path, s3rver):
    with ClearmlServer() as server:
        environment = {**server.environment, **bucket_environment(s3rver, "S3RVER")}
        environment["CLEARML_S3_ACCESS_KEY"] = "S3RVER"
        tell(tell_with_files, environment, tmp_path, folder=tmp_path)
        (task,) = server.world.tasks.values()

    assert task.status == "completed"
    assert task.artifacts["experiment_results"]["uri"].startswith(f"s3://127.0.0.1:{s3rver}/")
