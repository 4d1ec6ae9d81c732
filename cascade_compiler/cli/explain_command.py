"""``cascade explain``: what an error code means."""

from __future__ import annotations

from difflib import get_close_matches

from cascade_compiler.cli import output
from cascade_compiler.cli.app import Json, command
from cascade_compiler.cli.failures import UsageError
from cascade_vm.explanations import codes
from cascade_vm.explanations import explain as explanation_of

_EXPLANATION: output.Styles = ((r"^[A-Z]\S*: [^\n]*", "bold"), (r"^    [^\n]*", "cyan"), (r"`[^`\n]*`", "magenta"))


@command()
def explain(code: str = "", /, *, as_json: Json = False) -> int:
    """Say what an error code means, and how the error is mended.

    Without a code, list all of them.

    Examples:

        cascade explain C02
        cascade explain V-O3

    :param code: the code, as it stands in error[CODE].
    :param as_json: print one JSON document.
    """
    if not code:
        told = {one: found.title for one in codes() if (found := explanation_of(one)) is not None}
        if as_json:
            output.say_json(told)
        else:
            output.say("\n".join(f"{one:5} {title}" for one, title in told.items()), ((r"^\S+", "bold"),))
        return 0
    found = explanation_of(code)
    if found is None:
        near = get_close_matches(code.upper(), codes(), n=3)
        raise UsageError(f"there is no error code {code!r}{f'; near it: {chr(44).join(near)}' if near else ''} (cascade explain lists all)")
    name = next(one for one in codes() if one.replace("V-", "V") == code.strip().upper().replace("V-", "V"))
    if as_json:
        output.say_json({"code": name} | found._asdict())
        return 0
    example = "".join(f"    {line}\n" for line in found.example.splitlines())
    parts = [f"{name}: {found.title}", output.wrapped(found.meaning), example.rstrip("\n"), output.wrapped(found.remedy)]
    output.say("\n\n".join(part for part in parts if part), _EXPLANATION)
    return 0
