"""An artifact of 100,000 instructions: loading it, with verification, and linking it."""

from __future__ import annotations

import builtins
import marshal
from collections.abc import Callable, Iterator
from functools import cache

from bench.case import BY_HAND, Case, Reach, Work, sized
from bench.tasks import Layers, add, f, last
from cascade_compiler import compile
from cascade_vm import loads, verify


@cache
def _artifact(nodes: int) -> tuple[bytes, int]:
    program = compile(Layers(nodes).graph())
    return program.to_bytes(), len(program.entry.instructions)


def _sides(nodes: int) -> dict[str, Callable[[], Work]]:
    def by_hand() -> Work:
        layers = Layers(sized(nodes))
        code = marshal.dumps(builtins.compile(layers.source(), "by_hand", "exec"))
        scope: dict[str, object] = {"f": f, "add": add.fn, "last": last.fn}

        def call() -> bool:
            exec(marshal.loads(code), scope)
            return callable(scope["call"])

        return Work(call, layers.size, expect=True)

    def load_and_link() -> Work:
        data, size = _artifact(sized(nodes))
        return Work(lambda: callable(loads(data).link().run), size, expect=True)

    def load() -> Work:
        data, size = _artifact(sized(nodes))
        return Work(lambda: len(loads(data).entry.instructions), size, expect=size)

    def check() -> Work:
        data, size = _artifact(sized(nodes))
        return Work(lambda program: verify(program) is None, size, prepare=lambda: loads(data), expect=True)

    def link() -> Work:
        data, size = _artifact(sized(nodes))
        return Work(lambda program: callable(program.link().run), size, prepare=lambda: loads(data), expect=True)

    return {
        BY_HAND: by_hand,
        "load, verify and link": load_and_link,
        "of that, load and verify": load,
        "of that, verify": check,
        "of that, link": link,
    }


def cases() -> Iterator[Case]:
    for nodes in (10_000, 100_000):
        reaches = (Reach("load, verify and link", "seconds", most=0.5),) if nodes == 100_000 else ()
        yield Case(
            f"artifact of {nodes:,} instructions", "instruction", "unmarshalling the code of the function with one line a call",
            _sides(nodes), reaches=reaches, quick=nodes == 10_000,
            about="Its bytes are in memory.",
        )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.artifact", cases())
