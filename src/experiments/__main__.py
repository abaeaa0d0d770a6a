"""``python -m src.experiments COMMAND``, the same as the installed ``experiments COMMAND``."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        from .cli.ahead import warm_up_for

        warm_up_for(sys.argv[2:])
    from .cli.app import main

    sys.exit(main())
