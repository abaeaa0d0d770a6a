import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.experiments.domain.redaction import (
    REDACTED,
    looks_secret,
    redact,
    redact_data,
    secrets_of,
)

CANARY = 'ca"na/ry+ \\é7'

secrets = st.text(min_size=6, max_size=40).filter(lambda text: text not in REDACTED)


@settings(deadline=None)
@given(secrets, st.sampled_from(range(7)))
def test_a_secret_is_removed_in_every_form(secret, form):
    content = secret.encode()
    text = [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        base64.b64encode(content).decode(),
        base64.urlsafe_b64encode(content).decode(),
    ][form]

    shown = redact(f"<{text}>", [secret])

    assert REDACTED in shown
    assert text not in shown


@settings(deadline=None)
@given(st.text(max_size=50))
def test_redaction_without_secrets_keeps_ordinary_text(text):
    assert redact(text, []) == text or looks_secret("", text)


def test_an_empty_secret_removes_nothing():
    assert redact("abc", {""}) == "abc"


def test_a_secret_that_holds_another_is_removed_whole():
    assert redact("see longer-canary", ["canary", "longer-canary"]) == "see [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "hf_" + "b" * 34,
        "sk-proj-" + "c" * 30,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
        "https://me:pass@host/path",
        "redis://:pass@host",
        "https://me:p@ss:w@host/path",
        "-----BEGIN RSA PRIVATE KEY-----\nabcd\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_removed(text):
    shown = redact(f"before {text} after")

    assert text not in shown
    assert "pass" not in shown
    assert "abcd" not in shown
    assert shown.startswith("before ")
    assert looks_secret("anything", text)


@pytest.mark.parametrize(
    "text",
    [
        "http://clearml.example:8008/path",
        "http://host:80 mail me@example.com",
        '{"url": "http://host:80", "mail": "me@example.com"}',
        "rollouts/returns_mean",
        "sk-short",
    ],
)
def test_ordinary_text_is_kept(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "WANDB_API_KEY",
        "CLEARML_S3_SECRET_KEY",
        "CLEARML_API_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "PGPASSWORD",
        "SSH_PASSPHRASE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "github.token",
        "apiKey",
    ],
)
def test_names_give_secrets_away(name):
    assert looks_secret(name, "x")
    assert secrets_of({name: "canary-1"}) == {"canary-1"}


@pytest.mark.parametrize("name", ["tokenizer", "max_tokens", "PWD", "learning_rate", "keyboard"])
def test_ordinary_names_are_no_secrets(name):
    assert not looks_secret(name, "x")


def test_a_short_value_is_not_taken_for_a_secret_in_every_text():
    assert secrets_of({"API_KEY": "on"}) == set()


def test_data_is_redacted_in_values_keys_and_under_secret_names():
    data = {
        "note": f"<{CANARY}>",
        CANARY: 1,
        "api_key": "short",
        "nested": [{"token": ""}, (CANARY, 2.5, None, True)],
    }

    assert redact_data(data, [CANARY]) == {
        "note": "<[redacted]>",
        REDACTED: 1,
        "api_key": REDACTED,
        "nested": [{"token": ""}, [REDACTED, 2.5, None, True]],
    }


def test_a_value_that_is_no_unicode_is_redacted_all_the_same():
    secret = b"canary-\xff-secret".decode(errors="surrogateescape")

    assert redact(f"<{secret}>", [secret]) == f"<{REDACTED}>"
