"""The sessions that docs/how-to/debugging.md shows are what is printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from sessions import commands, debug

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "debugging.md"
_MODULE = re.compile(r"^```python\n(# (\w+)\.py\n.*?)^```$", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"^```text session\n\$ cascade debug (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_sessions_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for source, name in _MODULE.findall(text):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = _SESSION.findall(text)
    assert found
    for target, session in found:
        assert debug(target, commands(session))[1] == session


def test_the_page_has_every_command() -> None:
    from cascade_compiler.cli.debug_session import _COMMANDS, _SHORT

    shown = {word.split()[0] for cell in re.findall(r"^\| (`[^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
             for word in re.findall(r"`([^`]+)`", cell)}  # fmt: skip
    assert {_SHORT.get(word, word) for word in shown} >= {*_COMMANDS} - {"help"}
