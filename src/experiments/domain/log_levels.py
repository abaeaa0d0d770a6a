"""A level between information and warning: what a person wants to hear of, and need not mind."""

from __future__ import annotations

import logging

NOTICE = 25

logging.addLevelName(NOTICE, "NOTICE")
