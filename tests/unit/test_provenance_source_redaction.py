import time

import pytest

from src.experiments.provenance.source_redaction import redact_source

HIDDEN = "[redacted]"


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "{}"',
        "API_KEY='{}'",
        "WANDB_API_KEY: str = '{}'",
        "+    self.access_key = f'{}'",
        '-    "password": "{}", "port": 1',
        'os.environ["CLEARML_API_SECRET_KEY"] = "{}"',
        "os.environ.setdefault('HF_TOKEN', '{}')",
        "+WANDB_API_KEY={}",
        "export AWS_SECRET_ACCESS_KEY={}",
        " aws_secret_access_key = {}",
        "+  password: {}",
    ],
)
def test_what_is_given_to_the_name_of_a_secret_is_left_out(line):
    assert redact_source(line.format("hunter2-x")) == line.format(HIDDEN)


@pytest.mark.parametrize("line", ["+DB_PASSWORD={}", "  password: {}", "+db_password: {}"])
def test_a_password_without_a_digit_is_left_out_of_settings(line):
    assert redact_source(line.format("swordfishes")) == line.format(HIDDEN)


@pytest.mark.parametrize(
    "line",
    [
        "password: SecretStr",
        "token = tokenizer",
        "token = tokenizer.next(3)",
        "pad_token = '<|pad|>'",
        "secret = secrets[0]",
        "password: str",
        "parser.add_argument('--api-key', '--key')",
        "learning_rate = 'linear_0.001'",
        "monkey = 'hunter2-x'",
        "token = 'a b c d e'",
        "def token(self) -> str:",
        "seed: 1234567",
    ],
)
def test_other_lines_are_left_as_they_are(line):
    assert redact_source(line) == line


def test_known_secrets_go_wherever_they_stand():
    assert redact_source("+# ask canary77 about it", {"canary77"}) == f"+# ask {HIDDEN} about it"


@pytest.mark.parametrize("piece", ["x", "a.", '"', "k:", "api_key=", " ", "token,"])
def test_a_long_line_takes_time_by_its_length_and_not_by_its_square(piece):
    def seconds(length):
        line = piece * (length // len(piece))
        began = time.process_time()
        assert redact_source(line) == line
        return time.process_time() - began

    short = min(seconds(2**14) for _ in range(3))
    assert seconds(2**17) < 24 * max(short, 0.001)
