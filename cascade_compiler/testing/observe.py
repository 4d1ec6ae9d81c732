"""Running one spec and writing down all that can be seen from outside."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.build import Built, build
from cascade_compiler.testing.eager import eager
from cascade_compiler.testing.events import Called, Event, Log
from cascade_compiler.testing.memory import Memory, remembered
from cascade_compiler.testing.show import show, show_failure
from cascade_compiler.testing.virtual_run import VirtualRun, capture_virtual

if TYPE_CHECKING:
    from collections import Counter

    from cascade_compiler.testing.specs import GraphSpec

EngineCall = Callable[[Built], Awaitable[Any]]


_REFERENCES: Memory[Observation] = OrderedDict()


@dataclass(frozen=True)
class Observation:
    """What one run did. Values are texts that are equal only for equal values of equal types; see ``show``."""

    source: str
    spec: GraphSpec
    seed: int | None
    result: str | None
    failure: str | None
    notes: tuple[str, ...]
    events: tuple[Event, ...]
    calls: Counter[Called]
    sync_order: tuple[Called, ...]
    makespan: float
    leaks: tuple[str, ...]
    iterations: int
    late: tuple[Event, ...] = ()
    stored: Mapping[tuple[str, str], int] = field(default_factory=dict)  # values by cache and text

    @property
    def outcome(self) -> str:
        return f"raised {self.failure}" if self.failure is not None else f"returned {self.result}"


def observe(
    engine_call: EngineCall, spec: GraphSpec, seed: int | None = None, *, source: str = "engine", cancel_at: int | None = None
) -> Observation:
    """Build ``spec``, run it in virtual time, and tell what happened.

    :param engine_call: starts the run, as ``lambda built: arun(built.target, **built.options())`` does.
    :param seed: the order in which simultaneous completions are delivered.
    :param cancel_at: cancel the run at this iteration of the loop, if it has not ended by then (P7).
    """
    log = Log()
    built = build(spec, log)
    ended: list[int] = []

    async def main() -> Any:
        try:
            return await engine_call(built)
        finally:
            ended.append(len(log.events))

    run = capture_virtual(main, seed=seed, cancel_at=cancel_at)
    return _observation(source, spec, seed, run, log, ended[0] if ended else len(log.events))


def observe_blocking(engine_call: Callable[[Built], Any], spec: GraphSpec, *, source: str = "engine") -> Observation:
    """Like ``observe``, for a call that brings its own loop or needs none: ``lambda built: run(built.target, ...)``.

    For specs without async tasks: others would wait in real time.
    """
    log = Log()
    built = build(spec, log)
    value: Any = None
    error: BaseException | None = None
    try:
        value = engine_call(built)
    except Exception as raised:
        error = raised
    return _observation(source, spec, None, VirtualRun(0.0, (), 0, error, value), log, len(log.events))


def observe_together(
    engine_call: EngineCall, specs: Sequence[GraphSpec], seed: int | None = None, *, source: str = "engine"
) -> list[Observation]:
    """Run all ``specs`` at the same time in one loop; one observation for each, to compare with its run alone (P18)."""
    logs = [Log() for _ in specs]
    builts = [build(spec, log) for spec, log in zip(specs, logs, strict=True)]

    async def one(built: Built) -> VirtualRun[Any]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            value = await engine_call(built)
        except Exception as raised:
            return VirtualRun(loop.time() - began, (), 0, raised, None)
        return VirtualRun(loop.time() - began, (), 0, None, value)

    async def main() -> list[VirtualRun[Any]]:
        return list(await asyncio.gather(*map(one, builts)))

    together = capture_virtual(main, seed=seed)
    return [
        _observation(source, spec, seed, VirtualRun(r.elapsed, together.leaks, 0, r.error, r._value), log, len(log.events))
        for spec, log, r in zip(specs, logs, together.value, strict=True)
    ]


def observe_eager(spec: GraphSpec) -> Observation:
    """The spec in plain Python. Its result, failure and order of calls are the reference; its time is that of one by one."""
    return remembered(_REFERENCES, spec, lambda: _observe_eager(spec))


def _observe_eager(spec: GraphSpec) -> Observation:
    log = Log()
    run = capture_virtual(lambda: eager(spec, log))
    return _observation("eager Python", spec, None, run, log, len(log.events))


def _observation(
    source: str, spec: GraphSpec, seed: int | None, run: VirtualRun[Any], log: Log, ended: int
) -> Observation:
    error = run.error
    return Observation(
        source=source,
        spec=spec,
        seed=seed,
        result=show(run.value) if error is None else None,
        failure=show_failure(error) if error is not None else None,
        notes=tuple(getattr(error, "__notes__", ())),
        events=tuple(log.events),
        calls=log.calls(),
        sync_order=log.sync_order(),
        makespan=run.elapsed,
        leaks=run.leaks,
        iterations=run.iterations,
        late=tuple(log.events[ended:]),
        stored=log.stored,
    )
