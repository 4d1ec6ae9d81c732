"""Asking for the inputs that are missing, where somebody sits at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cascade_compiler.cli import output, parameters
from cascade_compiler.cli.failures import UsageError
from cascade_vm.inputs import MISSING, convert, show_type
from cascade_vm.notes import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_vm.inputs import Declared


def is_possible() -> bool:
    """Is there somebody to ask: are both stdin and stderr a terminal?"""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask(declared: Sequence[Declared], given: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """The values of the inputs that have no default and are not among ``given``, asked for one by one, each until it is one.

    :raises UsageError: there is nothing more to read. :raises KeyboardInterrupt: Ctrl-C.
    """
    from rich.console import Console
    from rich.prompt import Prompt
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    absent = [one for one in declared if one.source == "param" and one.name not in given]
    missing = [one for one in absent if one.default is MISSING]
    for one in absent:
        if missing and one.default is not MISSING:
            console.print(Text(f"{one.name}: {show_type(one.type)} = {short(one.default)}, unless -p gives another", style="dim"))
    found: dict[str, Any] = {}
    for one in missing:
        if said := descriptions.get(one.name):
            console.print(Text(output.one_line(said), style="dim"))
        question = Text.assemble((one.name, "bold"), ("  ", ""), (show_type(one.type), "cyan"))
        while one.name not in found:
            try:
                text = Prompt.ask(question, console=console)
                value = parameters.value(text, one.type)
                convert(value, one.type)  # for its faults: a run converts it again
            except EOFError:
                raise UsageError(f"input {one.name!r} ({show_type(one.type)}) is missing, and there is nothing more to read") from None
            except ValueError as fault:
                console.print(Text(f"{short(text)}: {fault}", style="red"))
            else:
                found[one.name] = value
    return found
