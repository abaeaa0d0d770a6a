"""Where a process begins: what a run needs longest is begun before the words are understood."""

from __future__ import annotations

import sys
from typing import NoReturn

from .ahead import warm_up_for


def main() -> NoReturn:
    """Carry out ``experiments COMMAND …`` and exit."""
    if sys.argv[1:2] == ["run"]:
        warm_up_for(sys.argv[2:])
    if sys.argv[1:2] == ["grpo"]:
        warm_up_for(sys.argv[2:], is_language=True)
    from . import app  # typer and what it imports take a tenth of a second

    sys.exit(app.main())


def runner_main() -> NoReturn:
    """Carry out ``python -m src.experiments.runner …`` and exit."""
    warm_up_for(sys.argv[1:])
    from . import app

    app.runner_main()
