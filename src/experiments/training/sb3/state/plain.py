"""Any object's changing parts as plain data, and back into an object that was built the same way.

Nothing is constructed from what was captured but numbers, texts, containers, arrays, tensors and
random generators; these are made anew, because what is there may be shared with others that must
not change: a constant, say, of which every episode begins. Everything else is filled in place: an
object that was built from the same configuration has the same classes, functions and modules
already. What was one thing in two places is one thing in two places again.
"""

from __future__ import annotations

from .capturing import capture, opaque_parts
from .objects import (
    STATIC,
    MismatchError,
    OpaqueError,
    Plain,
    from_tensor_bytes,
    generators,
    tensor_bytes,
)
from .restoring import restore

__all__ = [
    "STATIC",
    "MismatchError",
    "OpaqueError",
    "Plain",
    "capture",
    "from_tensor_bytes",
    "generators",
    "opaque_parts",
    "restore",
    "tensor_bytes",
]
