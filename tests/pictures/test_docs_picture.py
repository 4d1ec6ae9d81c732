"""The picture in docs/how-to/pictures.md is that of the workflow beside it. To draw it anew, run this file."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cascade_compiler import pictures

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
SVG = DOCS / "pictures.svg"
_NAME = "{http://www.w3.org/2000/svg}"


def workflow() -> Any:
    """The one that the page shows; its lines are counted as those of its module."""
    block = re.search(r"```python\n(# parcels\.py\n.*?)```", (DOCS / "pictures.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "parcels.py").write_text(block[1], encoding="utf-8")
        sys.path.insert(0, folder)
        before = sys.modules.pop("parcels", None)
        try:
            module = importlib.import_module("parcels")
            # Drawn here, while the folder is on the path: places are shown relative to that.
            return pictures.picture(module.report, fold=False), pictures.dot(module.report, title="parcels:report")
        finally:
            sys.path.remove(folder)
            sys.modules.pop("parcels", None)
            if before is not None:
                sys.modules["parcels"] = before


def test_the_picture_is_that_of_the_workflow():
    picture, dot = workflow()
    root = ElementTree.fromstring(SVG.read_text(encoding="utf-8"))
    groups = {kind: [] for kind in ("node", "edge", "cluster")}
    for one in root.iter(f"{_NAME}g"):
        for kind in groups:
            if kind in one.get("class", "").split():
                groups[kind].append((one.findtext(f"{_NAME}title"), "".join(text.text or "" for text in one.iter(f"{_NAME}text"))))
    nodes = dict(groups["node"])
    assert set(nodes) == {f"n{at}" for at in range(len(picture.nodes))}
    for at, node in enumerate(picture.nodes):
        shown = nodes[f"n{at}"].replace("\xa0", " ")
        assert node.title in shown
        assert node.arguments in shown
        assert node.where in shown
        assert all(mark in shown for mark in node.marks)
    assert sorted(title for title, _ in groups["edge"]) == sorted(f"n{e.source}->n{e.target}" for e in picture.edges)
    assert [text for _, text in groups["cluster"]] == [node.over for node in picture.nodes if node.kind == "map"]
    legend = re.findall(r'POINT-SIZE="9">([^<]*)<', dot)
    texts = {text.text for text in root.iter(f"{_NAME}text")}
    assert set(legend) <= texts


if __name__ == "__main__":
    from cascade_vm.pictures.layout import to_svg

    SVG.write_text(to_svg(workflow()[1]), encoding="utf-8")
