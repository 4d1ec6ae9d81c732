"""Recorded sessions: the file ``sessions/NAME.txt`` is what ``cascade debug debug_flows:NAME`` prints for the commands in it.

``python tests/debugging/sessions.py`` records them anew, with the commands that each has. Look at the difference before it is committed.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from cascade_compiler.cli import main

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "sessions").glob("*.txt"))
PROMPT = "(cascade) "


def recorded(name: str) -> str:
    return (HERE / "sessions" / f"{name}.txt").read_text(encoding="utf-8")


def commands(session: str) -> str:
    return "".join(line.removeprefix(PROMPT) + "\n" for line in session.splitlines() if line.startswith(PROMPT))


def debug(target: str, lines: str, *words: str) -> tuple[int, str]:
    """(exit code, what was printed to stdout)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "commands.txt")
        path.write_text(lines, encoding="utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            code = main(["debug", target, "--commands", str(path), *words])
    return code, printed.getvalue()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    import debug_flows

    for name in NAMES:
        debug_flows.reset()
        _, text = debug(f"debug_flows:{name}", commands(recorded(name)))
        (HERE / "sessions" / f"{name}.txt").write_text(text, encoding="utf-8")
