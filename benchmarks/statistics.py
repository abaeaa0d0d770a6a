"""Error rates, coverage and expected seeds of the verdict, by simulation, beside what is expected.

    python benchmarks/statistics.py
    python benchmarks/statistics.py --trials 1000 --only type-1 seeds

The simulations themselves are in `verdict_simulations.py`.
"""

import sys
from pathlib import Path


def _standard_library() -> None:
    """Put the standard library's module of this name in this file's place.

    A program in this folder finds the folder before the standard library, and so do the libraries
    that it imports.
    """
    import sysconfig
    from importlib import util

    path = Path(sysconfig.get_path("stdlib")) / f"{__name__}.py"
    spec = util.spec_from_file_location(__name__, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no {__name__} in the standard library")
    module = util.module_from_spec(spec)
    sys.modules[__name__] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
    from benchmarks.verdict_simulations import main

    main()
elif __name__ == "statistics":
    _standard_library()
