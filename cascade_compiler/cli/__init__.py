"""The command line, ``cascade``: compile, run, show and check workflows.

``app`` is what commands are part of; ``commands`` and modules that end in ``_command`` declare what can be typed. ``targets`` finds what a
target names, ``parameters`` reads ``-p name=value``, ``output`` writes results, ``documents`` gives them as JSON, ``looking`` shows what
becomes of a graph on its way to code, ``inspecting`` what an artifact says about itself, ``failures`` turns what was raised into a text
and an exit code:

    0  it went well            1  the run failed: a task raised, or the run could not be finished
    2  bad usage or bad input; nothing has been run            130  interrupted (Ctrl-C)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    :param argv: the words after ``cascade``; None takes those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        import cyclopts  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        print("cascade: the command line needs libraries that are not installed: pip install 'cascade-vm[cli]'", file=sys.stderr)
        return 2
    from cascade_compiler.cli import app, failures, output
    from cascade_compiler.cli import commands as commands  # each of these brings its commands into the application
    from cascade_compiler.cli import debug_command as debug_command
    from cascade_compiler.cli import explain_command as explain_command
    from cascade_compiler.cli import graph_command as graph_command
    from cascade_compiler.cli import profile_command as profile_command
    from cascade_compiler.cli import run_command as run_command
    from cascade_compiler.cli import sign_command as sign_command

    try:
        code = app.dispatch(words)
        output.finish()
    except BaseException as failure:  # a task may raise anything, SystemExit too: whatever ends a command is reported once, here
        code = failures.report(failure, as_json=_asks_for_json(words))
        output.finish()
    return code


def _asks_for_json(words: Sequence[str]) -> bool:
    """Found before the words are parsed, since they may be what is wrong."""
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options
