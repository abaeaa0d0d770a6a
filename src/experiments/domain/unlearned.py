"""How an arm is told of in which training changed nothing."""

from __future__ import annotations


def unlearned_words(arm: str, idle: int, runs: int) -> str:
    """That in `idle` of an arm's runs no parameter of the model changed."""
    where = f"{idle} of {runs} runs" if runs > 1 else "its run"
    return f"{arm}: nothing was learned in {where}: no parameter changed"
