"""How ClearML is reached: what variables say, and what is said of nonsense in them."""

import json

import pytest

from src.experiments.tracking.clearml.settings import read_settings, sdk_configuration
from src.experiments.tracking.tracker import TrackerError

SERVER = {
    "CLEARML_API_HOST": "http://clearml.example:8008",
    "CLEARML_WEB_HOST": "http://clearml.example:8080",
    "CLEARML_FILES_HOST": "http://clearml.example:8081/",
    "CLEARML_API_ACCESS_KEY": "ACCESS-OF-SOMEBODY",
    "CLEARML_API_SECRET_KEY": "secret-of-somebody",
}
BUCKET = {
    "CLEARML_S3_ENDPOINT": "http://clearml.example:9000",
    "CLEARML_S3_BUCKET": "clearml-artifacts",
    "CLEARML_S3_ACCESS_KEY": "S3-ACCESS-OF-SOMEBODY",
    "CLEARML_S3_SECRET_KEY": "s3-secret-of-somebody",
    "CLEARML_S3_REGION": "us-east-1",
    "CLEARML_S3_PATH_STYLE": "true",
    "CLEARML_S3_VERIFY_SSL": "false",
}
KEYS = [value for name, value in (SERVER | BUCKET).items() if name.endswith("_KEY")]


def refusal(environment):
    with pytest.raises(TrackerError) as refused:
        read_settings(environment)
    return str(refused.value)


def test_the_variables_of_the_documentation_are_understood():
    settings = read_settings({**SERVER, **BUCKET, "USE_CLEARML": "true"})

    assert settings.api_host == "http://clearml.example:8008"
    assert settings.web_host == "http://clearml.example:8080"
    assert settings.files_host == "http://clearml.example:8081"
    assert settings.bucket.url == "s3://clearml.example:9000/clearml-artifacts"
    assert settings.bucket.region == "us-east-1"
    assert settings.bucket.path_style
    assert not settings.bucket.verify_ssl


def test_without_a_bucket_files_go_to_the_file_server():
    flags = {"CLEARML_S3_REGION": "us-east-1", "CLEARML_S3_PATH_STYLE": "true"}

    assert read_settings({**SERVER, **flags}).bucket is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CLEARML_API_HOST", "clearml.example", "CLEARML_API_HOST is not a URL such as http://"),
        ("CLEARML_API_HOST", "ftp://clearml.example", "CLEARML_API_HOST is not a URL"),
        ("CLEARML_API_HOST", "http://[broken", "CLEARML_API_HOST is not a URL"),
        ("CLEARML_API_HOST", "http://a.example:99999", "CLEARML_API_HOST is not a URL"),
        ("CLEARML_API_HOST", "", "CLEARML_API_HOST is missing"),
        ("CLEARML_API_SECRET_KEY", " ", "CLEARML_API_SECRET_KEY is missing"),
        ("CLEARML_FILES_HOST", "http://u:p@a.example", "CLEARML_FILES_HOST holds more than"),
        ("CLEARML_WEB_HOST", "http://a.example/?x=1", "CLEARML_WEB_HOST holds more than"),
        ("CLEARML_S3_ENDPOINT", "http://a.example/path", "CLEARML_S3_ENDPOINT has a path"),
        ("CLEARML_S3_ENDPOINT", "", "CLEARML_S3_ENDPOINT is missing: a bucket needs"),
        ("CLEARML_S3_BUCKET", "", "CLEARML_S3_BUCKET is missing: a bucket needs"),
        ("CLEARML_S3_BUCKET", "a/b", "CLEARML_S3_BUCKET is 'a/b', which is not a bucket's name"),
        ("CLEARML_S3_SECRET_KEY", "", "CLEARML_S3_SECRET_KEY is missing: a bucket needs"),
        ("CLEARML_S3_PATH_STYLE", "maybe", "CLEARML_S3_PATH_STYLE is 'maybe'; use true or false"),
        ("CLEARML_S3_VERIFY_SSL", "ja", "CLEARML_S3_VERIFY_SSL is 'ja'; use true or false"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(variable, value, said):
    message = refusal({**SERVER, **BUCKET, variable: value})

    assert said in message
    assert "correct these variables in .env" in message
    assert not [key for key in KEYS if key in message]
    assert "u:p" not in message


def test_all_that_is_wrong_is_told_at_once():
    message = refusal({"CLEARML_API_HOST": "nonsense", "CLEARML_S3_BUCKET": "artifacts"})

    assert message.count("CLEARML_API_HOST") == 1
    for variable in ("CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY", "CLEARML_S3_ENDPOINT"):
        assert f"{variable} is missing" in message


def test_keys_are_no_part_of_what_settings_look_like():
    settings = read_settings({**SERVER, **BUCKET})

    assert not [key for key in KEYS if key in repr(settings)]
    assert settings.secrets == frozenset(KEYS)


def test_a_short_key_is_not_looked_for_in_every_text():
    settings = read_settings({**SERVER, "CLEARML_API_ACCESS_KEY": "me"})

    assert settings.secrets == {"secret-of-somebody"}


def test_an_endpoint_has_a_port_by_which_the_sdk_knows_it():
    environment = {**SERVER, **BUCKET, "CLEARML_S3_ENDPOINT": "https://s3.example"}

    assert read_settings(environment).bucket.url == "s3://s3.example:443/clearml-artifacts"


@pytest.mark.parametrize(
    ("value", "verify"),
    [(None, True), ("true", True), ("0", False), ("/etc/ssl/own.pem", "/etc/ssl/own.pem")],
)
def test_certificates_are_verified_unless_the_variable_says_otherwise(value, verify):
    environment = SERVER | ({} if value is None else {"CLEARML_API_HOST_VERIFY_CERT": value})

    assert read_settings(environment).verify == verify


def test_the_sdk_is_configured_to_leave_everything_else_alone():
    configuration = json.loads(sdk_configuration(read_settings({**SERVER, **BUCKET}), "/cache"))
    api, sdk = configuration["api"], configuration["sdk"]
    (credentials,) = sdk["aws"]["s3"]["credentials"]

    assert api["api_server"] == "http://clearml.example:8008"
    assert api["http"]["retries"]["read"] == 0
    assert api["http"]["wait_on_maintenance_forever"] is False
    assert sdk["development"]["report_use_subprocess"] is False
    assert sdk["development"]["vcs_repo_detect_async"] is False
    assert sdk["development"]["log_os_environments"] == []
    assert credentials["host"] == "clearml.example:9000"
    assert credentials["secure"] is False
    assert credentials["verify"] is False


@pytest.mark.parametrize(("style", "told"), [("true", "path"), ("off", "virtual")])
def test_boto3_is_told_where_a_buckets_name_stands(style, told):
    environment = {**SERVER, **BUCKET, "CLEARML_S3_PATH_STYLE": style}

    assert f"addressing_style = {told}" in read_settings(environment).bucket.aws_configuration
