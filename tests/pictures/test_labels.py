"""Texts in pictures: whatever is in a name or value, it stays a text, and a short one."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from pictured import fetch, load, read_dot, read_mermaid, step

from cascade_compiler import Param, Router, bind, compile, pictures, select_jump
from cascade_vm.pictures import labels

HOSTILE = [
    "", " ", '"', "\\", "\\N", '\\"', "</B>", "<IMG SRC='x'/>", "<script>alert(1)</script>", "]]>", "--> n0", "end", "%%{init: {}}%%",
    "`**x**`",
    "&amp;", "#quot;", "\n", "\r\n\t", "\x00\x1b[31m", "\ud800", "\u202eabc", "\u2028", "日本語", "👩‍👩‍👧", "é" * 50,
    "|x|", ";", "}\n}", "n0 -> n1 [];", "$$x$$", "@{shape: x}",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None), max_size=80))


class Hostile:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def graphs(text):
    yield load(text)
    yield load(Hostile(text), source=Raising())
    yield load(**{text or "x": 1})
    yield Router(load(1), {text: load(2), "b" + text: 3})
    yield bind(step(1), select_jump({text: step(2), text + "x": None}))
    yield load(Param(text or "x", str, text))
    yield load({text: load(1)}[text] if text else load(1)).with_rate_limit(text or "x", 1)
    yield load(load(1)[text])
    yield fetch.map([load(1)]).run_if(text, otherwise=text)


@settings(max_examples=40)
@given(texts)
def test_no_text_breaks_out_of_its_place(text):
    for graph in graphs(text):
        picture = pictures.picture(graph)
        for written, read in ((pictures.dot(graph, title=text), read_dot), (pictures.mermaid(graph), read_mermaid)):
            drawn = read(written)
            assert (len(drawn.nodes), len(drawn.edges)) == (len(picture.nodes), len(picture.edges))
            assert written.replace("\n", "").isprintable()
        for label in re.findall(r"label=<(.*)>\];$", pictures.dot(graph), re.MULTILINE):
            ElementTree.fromstring(f"<x>{label.replace('&#160;', ' ')}</x>")  # an HTML-like label is XML


@given(texts, st.integers(8, 60))
def test_plain_is_short_printable_and_not_empty(text, most):
    shown = labels.plain(text, most)
    assert 0 < len(shown) <= most
    assert shown.isprintable()
    assert labels.plain(shown, most) == shown


@given(texts)
def test_what_is_escaped_is_read_back(text):
    shown = labels.plain(text, 60)
    assert unescape(labels.html(shown)) == shown
    quoted = labels.dot(shown)
    assert unescape(quoted[1:-1].replace('\\"', '"').replace("\\\\", "\\")) == shown
    names = {"quot": '"', "amp": "&", "lt": "<", "gt": ">"}
    back = re.sub(r"#(\w+);", lambda m: names.get(m[1]) or chr(int(m[1])), labels.mermaid(shown))
    assert back == shown


def test_huge_values_are_shown_short():
    for value in ("x" * 10**6, list(range(10**5)), dict.fromkeys(range(1000), "y" * 1000), 10**4000, b"z" * 10**6, 10**5000):
        for graph in (load(value), load(load(1), value), Router(load(1), {"a": value, "b": load(1)})):
            assert max(map(len, pictures.dot(graph).splitlines())) < 3000
            assert len(pictures.dot(graph)) < 12_000
    assert len(pictures.dot(compile(load("x" * 10**6)))) < 12_000


def test_a_value_whose_repr_fails_is_shown_by_its_type():
    assert "(&lt;Raising&gt;)" in pictures.dot(load(Raising()))


def test_addresses_are_not_shown():
    assert "(&lt;object&gt;)" in pictures.dot(load(object()))
    assert "(&lt;function graphs&gt;)" in pictures.dot(load(graphs))
    assert "'0x12'" in pictures.dot(load("0x12"))


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.integers(1, 10**6))
def test_places_are_short_and_end_with_the_line(path, line):
    shown = labels.place(path, line)
    assert len(shown) <= labels.PLACE + 2
    assert shown.endswith(f":{line}")


def test_of_a_long_path_the_end_is_shown():
    assert labels.place("a/" * 30 + "flows.py", 12).endswith("/a/flows.py:12")
    assert labels.place("shop/flows.py", 12) == "shop/flows.py:12"
