"""``python -m bench.break_even``: after how many runs generating code has paid for itself, against interpreting it as ``auto`` does."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

from bench.tasks import Layers, increment
from cascade_compiler import compile
from cascade_vm.codegen import generate
from cascade_vm.executable import Executable
from cascade_vm.fusing import WARM

_ROUNDS = 60


def _least(call: Callable[[], Any], times: int) -> float:
    """Seconds of a call, undisturbed."""
    return min(timeit.timeit(call, number=times) / times for _ in range(_ROUNDS))


def _chain(length: int) -> Any:
    value: Any = 0
    for _ in range(length):
        value = increment(value)
    return value


def _stays_cold(executable: Executable) -> Callable[[], Any]:
    """A call that runs it as if it had run often enough to be fused, and no more."""

    def run() -> Any:
        executable._runs = executable._code.hits = WARM
        return executable.run()

    return run


def main() -> None:
    for name, target in (("chain of 20", _chain(20)), ("layered graph of 500", Layers(500).graph())):
        program = compile(target)
        count = len(program.entry.instructions)
        cold, hot = program.link(), program.link(engine="codegen")
        interpret = _stays_cold(cold)
        if cold.run() != hot.run():
            raise AssertionError(f"{name}: the tiers differ")
        for _ in range(50):  # CPython's own inline caches
            interpret(), hot.run()
        cost = _least(lambda cold=cold: generate(cold._code, literals=cold._constants.values()), 1)
        gain = _least(interpret, 5) - _least(hot.run, 5)
        print(f"{name}: generating {cost / count * 1e6:.1f} µs an instruction, gain {gain / count * 1e9:.0f} ns: {cost / gain:.0f} runs")


if __name__ == "__main__":
    main()
