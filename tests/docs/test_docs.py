"""The documentation is true: its Python runs and prints what it shows, its links lead somewhere, its generated page is fresh.

A fence of ``python`` is run, as a module of its own: in a folder of its own that is on the import path, so that tasks can be found
again by name. Names carry over to the blocks below it on the same page. A first line such as ``# flows.py`` names the module.
A fence of ``text output`` right after it is what the block prints. ``python no-run`` is for what cannot be run, and is counted.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cascade_vm import isa_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"# (\w+)\.py\n")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


class Block(NamedTuple):
    info: str  # what follows the fence's backquotes
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1].strip(), m[2], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_PYTHON = [page for page in PAGES if any(block.info == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("CASCADE_CACHE_DIR", "CASCADE_CACHE_MB", "CASCADE_KEYS"):  # what a page sets ends with it
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    names: dict[str, Any] = {}
    found = blocks(page)
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.info != "python":
            continue
        called = _MODULE.match(block.text)
        name = called[1] if called else f"{page.stem.lower().replace('-', '_')}_line_{block.line}"
        run_as_module(name, block.text, tmp_path, names, monkeypatch)
        printed = capsys.readouterr().out
        if following is not None and following.info == "text output":
            assert printed.rstrip() == following.text.rstrip(), f"{name_of(page)}, line {following.line}"


def run_as_module(name: str, text: str, folder: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ``text`` as the module ``name``, with ``names`` in it; adds to them what it defines."""
    source = folder / f"{name}.py"
    source.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    vars(module).update(names)
    spec.loader.exec_module(module)
    names.update({key: value for key, value in vars(module).items() if not key.startswith("__")})


def test_hardly_any_python_is_not_run() -> None:
    not_run = [f"{name_of(page)}:{block.line}" for page in PAGES for block in blocks(page) if block.info == "python no-run"]
    assert len(not_run) <= 2, not_run


def test_every_python_fence_is_one_that_is_known() -> None:
    """A misspelt fence would silently not be run."""
    for page in PAGES:
        for block in blocks(page):
            if "py" in block.info.split(" ")[0]:
                assert block.info in ("python", "python no-run"), f"{name_of(page)}:{block.line}: {block.info}"
        assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0, f"{name_of(page)}: a fence is not closed"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no {target}"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        if anchor and target.suffix == ".md":
            anchors = {slug(heading) for heading in _HEADING.findall(prose(target))}
            assert anchor in anchors, f"{link}: {name_of(target)} has no such heading"


def test_every_page_can_be_found_from_the_readme() -> None:
    reached: set[Path] = set()
    open_ = [ROOT / "README.md"]
    while open_:
        page = open_.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link))
        open_ += [(page.parent / link).resolve() for link in links if link]
    assert not {name_of(page) for page in PAGES} - {name_of(page) for page in reached}


def test_the_page_of_the_instruction_set_is_fresh() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "instruction-set.md").read_text(encoding="utf-8") == isa_page.page()
