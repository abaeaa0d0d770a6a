"""The commands around the verdict, called as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli import app


class Terminal:
    """Carries out command lines, and has what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], output_dir: Path) -> None:
        self._capsys = capsys
        self.output_dir = output_dir
        self.out = self.err = ""

    def __call__(self, *words: object, code: int = 0) -> str:
        """Standard output of a command line, which ends with this code."""
        line = [*map(str, words), "--output-dir", str(self.output_dir)]
        ended = app.main(line)
        self.out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return self.out

    def told(self, *words: object, code: int = 0) -> dict[str, Any]:
        """The one object that a command line with ``--json`` writes."""
        (line,) = self(*words, "--json", code=code).splitlines()
        found: dict[str, Any] = json.loads(line)
        return found
