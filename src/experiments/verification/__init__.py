"""Whether killing and continuing changes anything: tried out on a short copy of an experiment."""

from .audience import Audience
from .comparing import ArmCheck, Mismatch
from .pair import ShortPair
from .verifying import Plan, Verification, verify

__all__ = ["ArmCheck", "Audience", "Mismatch", "Plan", "ShortPair", "Verification", "verify"]
