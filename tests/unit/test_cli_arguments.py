from pathlib import Path

import pytest

from src.experiments.cli.arguments import (
    check_overrides,
    chosen_recovery,
    described,
    file_and_overrides,
)
from src.experiments.domain.errors import UsageError


def test_the_first_word_is_the_file_and_the_rest_are_overrides() -> None:
    found = file_and_overrides(["exp.json", "seeds=3", "comment=a=b"], None)

    assert (Path("exp.json"), ["seeds=3", "comment=a=b"]) == found


def test_with_config_all_words_are_overrides() -> None:
    found = file_and_overrides(["seeds=3"], Path("exp.json"))

    assert (Path("exp.json"), ["seeds=3"]) == found


def test_a_second_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unexpected argument 'other.json'.*PATH=VALUE"):
        file_and_overrides(["exp.json", "other.json"], None)


@pytest.mark.parametrize("override", ["seeds", "=3", ""])
def test_an_override_needs_a_path_and_a_value(override: str) -> None:
    with pytest.raises(UsageError, match="is not PATH=VALUE"):
        check_overrides([override])


def test_flags_become_overrides_so_that_they_are_recorded() -> None:
    overrides = described(
        comment='say "x"', recovery={"strategy": "skip"}, device="cpu", run_name="7"
    )

    expected = [
        'comment="say \\"x\\""',
        'recovery.strategy="skip"',
        'baseline_config.experiment_name="7"',
        'baseline_config.device="cpu"',
        'variant_config.experiment_name="7"',
        'variant_config.device="cpu"',
    ]
    assert expected == overrides


def test_retries_imply_the_retry_strategy() -> None:
    assert chosen_recovery(None, 3) == {"strategy": "retry", "max_retries": 3}
    assert chosen_recovery("skip", 3) == {"strategy": "skip", "max_retries": 3}
    assert chosen_recovery(None, None) == {}


def test_no_flag_makes_no_override() -> None:
    assert described() == []
