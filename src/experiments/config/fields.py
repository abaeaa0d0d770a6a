"""The scalar types of an experiment file: strict, finite, and plain in what they refuse."""

from __future__ import annotations

import math
import numbers
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictStr
from pydantic_core import PydanticCustomError

from ..domain.paths import EXPERIMENT_ID
from ..domain.seeds import MAX_SEED

LONGEST_TEXT = 10_000
LONGEST_NAME = 200


def whole_number(value: Any) -> int:
    """The value as an integer; 1e5 is one, true and "5" are not."""
    whole = isinstance(value, numbers.Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise PydanticCustomError("whole_number", "must be a whole number")
    return int(value)


def finite_number(value: Any) -> float:
    """The value as it stands if it is a finite number; true and "5" are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise PydanticCustomError("number", "must be a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise PydanticCustomError("finite_number", "must be a finite number")
    return float(value)


Whole = Annotated[int, BeforeValidator(whole_number)]
Number = Annotated[float, BeforeValidator(finite_number)]
Flag = StrictBool
Text = Annotated[StrictStr, Field(max_length=LONGEST_TEXT)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_NAME)]
Seed = Annotated[Whole, Field(ge=0, le=MAX_SEED)]

DEVICE_PATTERN = r"^(auto|cpu|cuda(:[0-9]{1,2})?)$"
ID_PATTERN = f"^{EXPERIMENT_ID.pattern}$"

ALLOWED_BY_PATTERN = {
    DEVICE_PATTERN: "use 'auto', 'cpu', 'cuda' or 'cuda:N'",
    ID_PATTERN: "use 1 to 64 letters, digits, '.', '_', '-', a letter or digit first",
}
"""What a person reads instead of a regular expression."""

Device = Annotated[StrictStr, Field(pattern=DEVICE_PATTERN)]
ExperimentId = Annotated[StrictStr, Field(pattern=ID_PATTERN)]
