"""The table of docs/compatibility.md: what changes the cycle_id, the content and the file of a program, and what does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from cascade_compiler import compile
from cascade_vm.container import content_hash

SOURCE = """\
from cascade_compiler import task, workflow

@task
def price(item, factor=1):
    return item * factor

@task(version="2")
async def total(rows):
    return sum(rows)

@workflow
def bill(count: int = 2):
    found = price(count)
    return total([found, price(3)])
"""


class Names(NamedTuple):
    cycle_id: str
    content: str
    file: bytes


def names(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch, fold: bool = False) -> Names:
    """Those of the program that a module with this source has, which is always imported under one name."""
    folder.mkdir()
    (folder / "what_changes_flows.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "what_changes_flows", raising=False)
    program = compile(importlib.import_module("what_changes_flows").bill, fold=fold)
    monkeypatch.delitem(sys.modules, "what_changes_flows")
    artifact = program.to_bytes()
    return Names(program.cycle_id, content_hash(artifact).hex(), artifact)


CYCLE_ID, CONTENT, FILE, NOTHING = 3, 2, 1, 0  # how many of the three are others


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("found", "row", NOTHING),
        ("@workflow", "# what it costs\n@workflow", FILE),
        ("@workflow", "\n@workflow", FILE),
        ("item * factor", "factor * item", FILE),
        ("price(3)", "price(4)", CONTENT),
        ("item", "thing", CONTENT),
        ("factor=1", "factor=1, more=0", CONTENT),
        ("price", "cost", CYCLE_ID),
        ('"2"', '"3"', CYCLE_ID),
        ("async def", "def", CYCLE_ID),
        ("@task\n", "@task(pure=True)\n", CYCLE_ID),
        ("@task\n", '@task(mode="thread")\n', CYCLE_ID),
        ("price(3)", "price(item=3)", CYCLE_ID),
        ("price(3)", "found", CYCLE_ID),
        ("[found, price(3)]", "(found, price(3))", CYCLE_ID),
        ("price(3)", "price(3).with_retry(2)", CYCLE_ID),
        ("price(3)", "price(3).run_if(count, 0)", CYCLE_ID),
        ("count", "number", CYCLE_ID),
        ("count: int", "count: float", CYCLE_ID),
        ("int = 2", "int = 3", CYCLE_ID),
    ],
)
def test_what_a_change_changes(old: str, new: str, changed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old in SOURCE
    before = names(SOURCE, tmp_path / "before", monkeypatch)
    after = names(SOURCE.replace(old, new), tmp_path / "after", monkeypatch)
    assert [one != other for one, other in zip(before, after, strict=True)] == [changed == 3, changed >= 2, changed >= 1]


def test_a_moved_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(SOURCE, tmp_path / "here", monkeypatch) == names(SOURCE, tmp_path / "there", monkeypatch)


def test_folding_changes_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pure = SOURCE.replace("@task\n", "@task(pure=True)\n")
    plain, folded = names(pure, tmp_path / "plain", monkeypatch), names(pure, tmp_path / "folded", monkeypatch, fold=True)
    assert plain.cycle_id == folded.cycle_id
    assert plain.content != folded.content
