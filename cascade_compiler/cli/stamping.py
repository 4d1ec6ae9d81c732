"""``cascade compile --stamp``: when an artifact was compiled, and of which revision. Only where it is asked for: it differs."""

from __future__ import annotations

import datetime
import os

from cascade_compiler.cli.failures import UsageError


def stamp() -> dict[str, str]:
    """Provenance: ``time`` (UTC, ISO 8601; that of SOURCE_DATE_EPOCH, where it is set) and ``revision`` (of the current folder's git
    repository, with "-dirty" where a file of it has changed; without one it is left out).

    :raises UsageError: SOURCE_DATE_EPOCH is no time.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.datetime.now(datetime.UTC) if not given else datetime.datetime.fromtimestamp(int(given), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is {given!r}: it takes seconds since 1970, as an integer") from None
    told = {"time": moment.isoformat(timespec="seconds")}
    revision = _git("rev-parse", "HEAD")
    if revision:
        told["revision"] = revision + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return told


def _git(*words: str) -> str:
    """What git says; nothing where there is no git, or no repository."""
    import subprocess

    try:
        done = subprocess.run(["git", *words], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
