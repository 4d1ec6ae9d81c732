"""Graphs to draw, and DOT and Mermaid read back."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cascade_compiler import Jump, Param, Router, bind, inject, resource, select_jump, sequence, task, workflow
from cascade_vm.memory_cache import MemoryCache


@task
def load(day, source="db"):
    return [day, source]


@task
async def fetch(url):
    return url


@task(mode="thread")
def parse(rows):
    return rows


@task(mode="process")
def crunch(rows):
    return rows


@task(pure=True)
def total(*rows, limit=0):
    return len(rows) + limit


@task
def is_big(value):
    return bool(value)


@task
def kind(value):
    return "card"


@task
def pay(value, how):
    return how


@task
def merge(one, other):
    return [one, other]


@task
def pair(value):
    return value, value


@resource
def picture_store():
    yield []


@task
def save(value, store=inject("picture_store")):
    return value


@task
def crawl(urls, found):
    page = fetch(urls[0])
    return crawl(urls[1:], merge(found, page)) if urls else found


@task
def ping(n):
    return pong(n - 1) if n else 0


@task
def pong(n):
    return ping(n - 1) if n else 0


@task
def step(n, note=None):
    return Jump("again", n - 1) if n else Jump("done", n)


@workflow
def report(day: str, limit: int = 5):
    rows = load(day, source="archive")
    pages = fetch.map(["a", "b", "c"], max_concurrency=2).with_retry(3)
    crunched = crunch([rows, parse(rows).with_timeout(5)]).with_constraints(gpu=1)
    both = pair(rows)
    sum_ = total(both[0], both[1], crunched, pages, limit=limit).with_cache(MemoryCache())
    note = load(sum_).run_if(is_big(sum_), otherwise=None)
    paid = Router(kind(sum_), {"card": pay(sum_, "card"), "cash": pay(sum_, "cash")}, default=0)
    return save({"note": note, "paid": paid, "last": load("x").with_rate_limit("shop", 10).after(note)})


@workflow
def jumping(n: int):
    return bind(step(n), select_jump({"again": step(0, merge(1, 2)), "done": None}))


@workflow
def crawling(urls: list):
    return crawl(urls, [])


def chain(n: int) -> Any:
    value = load(0)
    for at in range(n):
        value = merge(value, at)
    return value


def fan(n: int) -> Any:
    return total(*[fetch(load(at)) for at in range(n)])


def diamond(depth: int) -> Any:
    value = load(0)
    for _ in range(depth):
        value = merge(value, value)
    return value


def mixed(width: int, depth: int, seed: int = 1) -> Any:
    """A graph without symmetries: so many calls in each of so many layers."""
    values: list[Any] = [load(at) for at in range(width)]
    for level in range(depth):
        values = [merge(values[(at * 7 + level * seed) % width], values[(at * at + level) % width]) for at in range(width)]
    return total(*values)


def constructs() -> dict[str, Any]:
    """A graph of each construct by itself."""
    first, second = load("a"), load("b")
    day = Param("day", str)
    return {
        "call": load(1), "keyword": load(1, source="x"),
        "list": total([first, [second, {"k": first}]]), "dict": total({"a": first, "b": 2}),
        "set": total({first, second}), "item": merge(pair(first)[0], pair(second)[1]), "lazy key": load(pair(first)[second]),
        "param": load(day), "after": first.after(second), "sequence": sequence([first, second, fetch("c")]),
        "run_if": first.run_if(second), "else": first.run_if(second, otherwise=fetch("c")), "if constant": first.run_if(False, otherwise=3),
        "router": Router(first, {"x": second, None: 3, 1: load(3)}, default=fetch("d")), "map": fetch.map([first, "x"]),
        "map of a value": fetch.map(first).with_retry(2), "constraints": load(1).with_constraints(gpu=first, cpu=2),
        "resource": save(first), "jump": bind(step(first), select_jump({"again": step(second), "other": step(1), "done": None})),
        "tail call": crawl(first, []), "mutual": ping(3), "container": [first, {"b": second}], "shared list": shared(),
    }  # fmt: skip


def shared() -> Any:
    both = [load(1), load(2)]
    return merge(total(both), total(both))


# --- what was written, read back --------------------------------------------------------------------------------------------------


class Drawn(NamedTuple):
    nodes: dict[str, str]  # by id: the rest of the statement
    edges: list[tuple[str, str, str]]  # source, target, the rest
    boxes: int


def read_dot(text: str) -> Drawn:
    """The statements of what ``to_dot`` writes: one a line."""
    nodes: dict[str, str] = {}
    edges = []
    depth = boxes = 0
    for line in text.splitlines():
        line = line.strip()
        if edge := re.fullmatch(r"(n\d+) -> (n\d+) \[(.*)\];", line):
            edges.append((edge[1], edge[2], edge[3]))
        elif node := re.fullmatch(r"(n\d+) \[(.*)\];", line):
            assert node[1] not in nodes
            nodes[node[1]] = node[2]
        elif re.fullmatch(r"subgraph cluster_\w+ \{|digraph cascade \{", line):
            depth += 1
            boxes += 1
        elif line == "}":
            depth -= 1
        else:
            assert re.match(r"graph \[|bgcolor=|node \[|edge \[|class=|labelloc=|label=<|fontsize=", line), line
    assert depth == 0
    return Drawn(nodes, edges, boxes - 1)


def read_mermaid(text: str) -> Drawn:
    """The statements of what ``to_mermaid`` writes, without the legend."""
    first, *lines = text.splitlines()
    assert re.fullmatch(r"flowchart (TB|LR)", first)
    nodes: dict[str, str] = {}
    edges = []
    depth = boxes = 0
    in_legend = False
    for line in lines:
        line = line.strip()
        if line == 'subgraph legend["legend"]':
            in_legend = True
        elif in_legend:
            in_legend = line != "end"
        elif re.fullmatch(r'subgraph \w+\["[^"]*"\]', line):
            depth += 1
            boxes += 1
        elif line == "end":
            depth -= 1
        elif edge := re.fullmatch(r'(n\d+) (-->|-\.->|==>)(\|"[^"]*"\|)? (n\d+)', line):
            edges.append((edge[1], edge[4], edge[2] + (edge[3] or "")))
        elif node := re.fullmatch(r'(n\d+)(\W+"[^"]*"\W+):::k_(\w+)', line):
            assert node[1] not in nodes
            nodes[node[1]] = node[2] + node[3]
        else:
            assert re.match(r"linkStyle [\d,]+ stroke|classDef \w+ |style (b\d+|m_n\d+|legend) |class n\d+ result$", line), line
    assert depth == 0
    return Drawn(nodes, edges, boxes)
