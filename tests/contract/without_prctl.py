"""Preloaded by a fork server: its children find no `prctl`, as where the system is not Linux."""

from src.experiments.execution import forked_child

forked_child._prctl = lambda: None
