"""An experiment trained again by the code that trained it, and compared bit by bit."""

from .comparing import Departure, RunCheck
from .intention import Intention, Plan, intend
from .reproducing import Reproduction, reproduce
from .rerunning import Onlooker

__all__ = [
    "Departure",
    "Intention",
    "Onlooker",
    "Plan",
    "Reproduction",
    "RunCheck",
    "intend",
    "reproduce",
]
