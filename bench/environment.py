"""The machine and the versions, as far as they say something about figures: pyperf finds them out. No names of hosts, no paths."""

from __future__ import annotations

import os
import platform
from importlib import metadata

_OURS = ("msgspec", "attrs", "pyperf")


def environment() -> dict[str, str]:
    """Of this machine: processor, cores, memory (rounded to a power of two, in GB), system, Python."""
    import pyperf

    known = pyperf.Run([1.0], collect_metadata=True).get_metadata()
    return {
        "processor": f"{known.get('cpu_model_name') or platform.processor() or 'unknown'}, {platform.machine()}",
        "clock": _clock(str(known.get("cpu_freq", ""))),
        "cores": str(os.cpu_count()),
        "memory": _memory_class(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _clock(text: str) -> str:
    """ "0-1=2445 MHz" and the like, without the numbers of the cores."""
    return text.rpartition("=")[2].split(";")[0].strip() or "unknown"


def _memory_class() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    power = 1
    while power * 2**30 < size:
        power *= 2
    return f"{power // 2} to {power} GB"


def versions() -> dict[str, str]:
    """Of this project's dependencies, and of the other libraries where they are installed."""
    from bench.peers import versions as of_peers

    return {name: metadata.version(name) for name in _OURS} | of_peers()
