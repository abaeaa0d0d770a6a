"""What the runs mean: statistics, verdict, learning curves, figures, report."""

from .aggregate import aggregate, over_seeds
from .content import ReportContent
from .verdict import compare

__all__ = ["ReportContent", "aggregate", "compare", "over_seeds"]
