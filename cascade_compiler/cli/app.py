"""The application: what makes a function a command, and how the words of a command line get to it."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from cyclopts import App, CycloptsError, Parameter

from cascade_compiler.cli import output
from cascade_compiler.cli.failures import UsageError
from cascade_vm.container import CONTAINER_VERSION
from cascade_vm.isa import ISA_VERSION

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Words = tuple[str, ...]
Command = TypeVar("Command", bound=Callable[..., int])


def _version() -> str:
    try:
        version = importlib.metadata.version("cascade-vm")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    python = sys.version.split()[0]
    return f"cascade-vm {version} (artifact format {CONTAINER_VERSION}, instruction set {ISA_VERSION}, Python {python})"


app = App(
    name="cascade",
    help="Compile workflows to artifacts, run them, look into them and check them.\n\n"
    "Exit codes: 0 done, 1 the run failed, 2 bad usage or bad input, 130 interrupted.",
    help_format="plaintext",
    version=_version,
    version_flags=["--version"],
)


COMMANDS: list[Any] = []
HELP_OF_TARGETS: dict[Any, Callable[[str], None]] = {}  # of a command: writes the help of a target, where that is named beside --help
_NAMES: list[str] = []


def command(*, name: str | None = None) -> Callable[[Command], Command]:
    """Make a function a command; it returns the exit code."""

    def registered(function: Command) -> Command:
        app.command(function, name=name)
        COMMANDS.append(function)
        _NAMES.append(name or function.__name__)
        return function

    return registered


def dispatch(words: Sequence[str]) -> int:
    """Do what ``words`` say; returns the exit code where nothing was raised."""
    from rich.console import Console

    if not words:
        raise UsageError(f"a command is missing: {', '.join(sorted(_NAMES))} (see cascade --help)")
    console = Console(highlight=False)
    try:
        chosen, bound, _ = app.parse_args(words, console=console, print_error=False, exit_on_error=False, verbose=False)
    except CycloptsError as fault:
        chain = " ".join(["cascade", *(fault.command_chain or ())])
        text, several, _ = str(fault).rstrip(".").partition(" Available commands:")  # of which it would tell some
        if several:
            text += f" There are {', '.join(sorted(_NAMES))}"
        raise UsageError(f"{text[:1].lower()}{text[1:]} (see {chain} --help)") from None
    if chosen not in COMMANDS:  # --help and --version
        if _say_help_of_target(words):
            return 0
        with console.capture() as captured:
            chosen(*bound.args, **bound.kwargs)
        output.put(captured.get())
        return 0
    code: int = chosen(*bound.args, **bound.kwargs)
    return code


def _say_help_of_target(words: Sequence[str]) -> bool:
    """Write the help of the target that ``words`` name, if they do."""
    others = [word for word in words if word not in ("--help", "-h")]
    try:
        chosen, bound, _ = app.parse_args(others, print_error=False, exit_on_error=False, verbose=False)
    except CycloptsError:  # without a target, say
        return False
    say = HELP_OF_TARGETS.get(chosen)
    if say is None or len(others) == len(words):
        return False
    say(str(bound.args[0]))
    return True
