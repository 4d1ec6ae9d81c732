"""The repr of everything public is short, whatever it holds."""

from __future__ import annotations

import pytest
from pictured import crawling, diamond, fetch, jumping, load, merge, picture_store, report, total

import cascade_compiler
import cascade_vm
from cascade_compiler import (
    Env,
    Jump,
    Param,
    Registry,
    Router,
    bind,
    cache_info,
    common,
    compile,
    explain,
    gather,
    inject,
    literal,
    run,
    select_jump,
    sequence,
    subscribe,
    task,
)
from cascade_compiler.capture import capture
from cascade_vm import events
from cascade_vm.bounded import MOST, bounded
from cascade_vm.memory_cache import MemoryCache
from cascade_vm.profiling import profile
from cascade_vm.sqlite_cache import SqliteCache

BIG = "x" * 100_000
MANY = list(range(100_000))


class Endless:
    def __repr__(self) -> str:
        return "e" * 10**6


def long_named():
    def one(value):
        return value

    one.__name__ = one.__qualname__ = "long_" * 200
    return task(one)


def everything(folder) -> dict[str, object]:
    long = long_named()
    program = compile(total(*[merge(load(at), BIG) for at in range(50)], limit=Param("p" * 1000, list[int], MANY)))
    jumps = compile(jumping)
    limits = load(1).with_constraints(**{"g" * 500: 1}).with_retry(3).with_rate_limit("r" * 500, 1)
    told: list[object] = []
    with subscribe(told.append):
        run(load(BIG))
    table = select_jump({BIG: None, **{at: load(at) for at in range(1000)}})
    with profile() as measured:
        run(load(1))
    return {
        "diamond": diamond(40), "literal argument": load(BIG), "list": load(MANY), "many": total(*MANY), "endless": load(Endless()),
        "int": load(10**4000), "too long an int": load(10**9000), "keyword": total(**{"k" * 10_000: 1}), "long name": long(long(1)),
        "long names": long(*[long(1)] * 6), "router": Router(load(1), {BIG: load(2), "b": MANY}), "table": table,
        "bound": bind(load(1), table), "jump": Jump(BIG, MANY), "jump endless": Jump(Endless(), {Endless(): Endless()}),
        "param": Param("p" * 1000, list[int], MANY), "env": Env("E" * 1000), "map": fetch.map(MANY), "map kind": long.map(MANY).task,
        "literal": literal(BIG), "common": common(x=MANY), "gather": gather(*[load(1)] * 1000), "item": load(1)[BIG], "limits": limits,
        "sequence": sequence([load(at) for at in range(1000)]), "policy": limits.policy, "condition": load(1).run_if(BIG).policy,
        "workflow": report, "task": long.task, "resource": picture_store, "inject": inject(picture_store), "registry": Registry([load]),
        "program": program, "data": program.data, "blueprint": program.entry, "source map": program.source_maps[program.cycle_id],
        "executable": program.link(), "inputs": next(iter(program.inputs.values())), "jumps": jumps, "part": jumps.data.parts[0],
        "route": jumps.data.tables[0].routes[0], "jump table": jumps.data.tables[0], "shape": compile(crawling).data.shapes[0],
        "call policy": compile(load(1).with_rate_limit("r" * 500, 1)).entry.policies[0], "explanation": explain(program),
        "explanation of a graph": explain(total(*[load(at) for at in range(100)])), "cache info": cache_info(), "profile": measured,
        "memory cache": MemoryCache(name="m" * 100), "sqlite cache": SqliteCache(folder / ("s" * 200)), "graph": capture(diamond(40)),
        "operation": capture(load(MANY)).ops[-1], "failure": events.TaskFailed(run=1, time=0.0, task="t" * 1000, error="e" * 1000),
        **{f"instruction {at}": one for at, one in enumerate(program.entry.instructions)},
        **{f"strand {at}": one for at, one in enumerate(program.entry.strands)},
        **{f"symbol {at}": one for at, one in enumerate(program.entry.symbols)},
        **{f"event {at}": one for at, one in enumerate(told)},
        **{f"slot {at}": one for at, one in enumerate(jumps.data.tables[0].routes[0].slots)},
    }  # fmt: skip


def test_no_repr_is_long(tmp_path):
    found = everything(tmp_path)
    assert {name: len(repr(one)) for name, one in found.items() if len(repr(one)) > MOST} == {}
    assert {name: repr(one) for name, one in found.items() if "\n" in repr(one)} == {}


@pytest.mark.parametrize("package", [cascade_compiler, cascade_vm])
def test_every_public_class_that_has_fields_is_among_them(package, tmp_path):
    """A class of the interface that is added is shown by itself, or is an error or a key, whose texts are their own."""
    seen = {type(one).__mro__ for one in everything(tmp_path).values()}
    classes = [one for name in package.__all__ if isinstance(one := getattr(package, name), type) and not issubclass(one, BaseException)]
    unseen = {one.__name__ for one in classes if not any(one in mro for mro in seen)}
    assert unseen <= {"Ed25519PrivateKey", "Ed25519PublicKey", "HmacKey", "LoadLimits", "TaskFunction", "Continuation"}
    assert len(repr(cascade_vm.LoadLimits())) <= MOST


def test_short_things_are_shown_whole():
    assert repr(compile(load(1)).entry.symbols[0]) == (
        "Symbol(name='pictured:load', version='1', is_async=False, signature='(day, source=…)', mode='inline', bound=False)"
    )
    assert repr(load(1, source="x")).startswith("<LazyResult pictured.load(1, source='x') at ")
    assert repr(MemoryCache(maxsize=2)) == "<MemoryCache: 0 of 2 entries>"
    assert repr(select_jump({"a": None, 1: None})) == "<select_jump: 'a', 1>"
    assert repr(compile(load(1)).link()).startswith("<Executable of <Program ")
    assert repr(events.RunStarted(run=1, time=2.0)) == "RunStarted(run=1, time=2.0)"


def test_bounded_keeps_both_ends():
    assert bounded("abc", 3) == "abc"
    shown = bounded("begin" + "-" * 1000 + "end", 50)
    assert len(shown) == 50
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert "..." in shown
