"""One event loop for all that a process times, kept from run to run: making one is no part of the work."""

from __future__ import annotations

import asyncio
import atexit
from functools import cache


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop
