"""What the runs mean: statistics, verdict, learning curves, figures, report."""

from .aggregate import aggregate, over_seeds
from .report import ReportContent, write_report
from .verdict import compare

__all__ = ["ReportContent", "aggregate", "compare", "over_seeds", "write_report"]
