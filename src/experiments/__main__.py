"""``python -m src.experiments COMMAND``, the same as the installed ``experiments COMMAND``."""

import sys

from .cli.app import main

if __name__ == "__main__":
    sys.exit(main())
