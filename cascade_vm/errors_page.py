"""Writes docs/errors.md from the catalogue of error codes: ``python -m cascade_vm.errors_page PATH``, or ``--check PATH``."""

from __future__ import annotations

import sys

from cascade_vm.explanations import EXPLANATIONS, Explanation, rules
from cascade_vm.page_file import write_or_check

_HEAD = """\
# Errors

*Generated from `cascade_vm/explanations.py` by `make docs`; edit that file, not this page.*

Every error that Cascade raises on its own account is a `CascadeError` and has a `code`. The command line shows it,
`error[C02]: ...`, and `cascade explain C02` prints what is here. What a task raises is never wrapped: it reaches the caller as
it is, with a note that says which call it was.

| Code | What |
|---|---|
"""

_RULES = """\
## V: rules of the verifier

The code of a `VerifyError` is `V-` and the first rule that is broken; its `faults` name the rule and the place of each. An artifact that
Cascade wrote breaks none of them. They are:

| Code | Rule |
|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    index = "".join(f"| [{code}](#{_slug(code, one)}) | {one.title} |\n" for code, one in EXPLANATIONS.items())
    parts = [_HEAD + index]
    for code, one in EXPLANATIONS.items():
        example = f"\n```text\n{one.example}\n```\n" if one.example else ""
        parts.append(f"## {code}: {one.title}\n\n{one.meaning}\n{example}\n{one.remedy}\n")
    parts.append(_RULES + "".join(f"| V-{rule} | {text.replace('``', '`')} |\n" for rule, text in rules().items()))
    return "\n".join(parts)


def _slug(code: str, one: Explanation) -> str:
    kept = "".join(c for c in f"{code}: {one.title}".lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    sys.exit(write_or_check(page(), sys.argv[1:]))
