"""``python -m src.experiments COMMAND``, the same as the installed ``experiments COMMAND``."""

if __name__ == "__main__":
    from .cli.entry import main

    main()
