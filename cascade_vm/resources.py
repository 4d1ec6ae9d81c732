"""Resources: what is set up before its first use and torn down when its scope ends, in reverse, however it ends (S21).

A resource is a generator, sync or async, that yields its value once; the machine goes on with it to tear it down. One of scope "run" lives
until the run ends, one of scope "step" until the graph that it stands in has its value: one turn of a loop. Set-up is an instruction like
any other (``enter``): what a resource needs is there first, and nothing is looked for while a graph runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError, ResourceError
from cascade_vm.frame import Frame, Operation
from cascade_vm.link import ENDINGS, HANDLERS
from cascade_vm.notes import add_note, builtin_note, other_failure_note
from cascade_vm.outcome import Error, Outcome

if TYPE_CHECKING:
    from cascade_vm.blueprint import Resource
    from cascade_vm.link import Code
    from cascade_vm.scheduler import Scheduler, Stop, Turn

_NONE: frozenset[int] = frozenset()
_SETTING_UP: Any = type("SETTING_UP", (), {})()


class Held:
    """One resource that is set up, or being set up. ``generator`` is None where a caller gave the value itself."""

    __slots__ = ("frame", "generator", "pc", "spec", "value", "waiting")

    def __init__(self, spec: Resource, frame: Frame, pc: int) -> None:
        self.spec = spec
        self.frame = frame
        self.pc = pc
        self.generator: Any = None
        self.value: Any = _SETTING_UP
        self.waiting: list[tuple[Frame, int]] = [(frame, pc)]  # instructions that wait for the value

    def begin(self, machine: Scheduler, factory: Callable[..., Any], kwargs: dict[str, Any]) -> None:
        """Set it up: at once, or by an operation."""
        try:
            self.generator = factory(**kwargs)
            if self.spec.is_async:
                machine.launch(Operation(self.frame, self.pc, self.generator.__anext__(), (), {}, self))
                return
            value = next(self.generator)
        except BaseException as failure:
            self._fail(machine, failure)
            return
        self.give(machine, value)

    def take(self, machine: Scheduler, index: int, outcome: Outcome, args: Any = (), kwargs: Any = None) -> None:
        """The set-up of an async resource has ended."""
        if type(outcome) is Error:
            self._fail(machine, outcome.error)
        else:
            self.give(machine, outcome.value)  # type: ignore[union-attr]

    def give(self, machine: Scheduler, value: Any) -> None:
        """It is there: for all who wait for it."""
        self.value = value
        assert machine.resources is not None
        if self.generator is not None:
            machine.resources.order.append(self)
        waiting, self.waiting = self.waiting, []
        for frame, pc in waiting:
            machine.settle(frame, pc, value)

    def came_late(self, machine: Scheduler) -> None:
        """It is there, and the run is over: nobody gets it, but it will be torn down."""
        assert machine.resources is not None
        machine.resources.order.append(self)

    def _fail(self, machine: Scheduler, failure: BaseException) -> None:
        if isinstance(failure, (StopIteration, StopAsyncIteration)):
            failure = ResourceError(f"the resource {self.label} ended without a yield: it must yield its value once")
        machine.fail(self.frame, self.pc, failure, (), {})

    @property
    def label(self) -> str:
        return self.spec.name.replace(":", ".")


class RunResources:
    """The resources of one run: those of scope "run" by what makes them, and all that are set up, oldest first."""

    __slots__ = ("_idle", "order", "overrides", "run")

    def __init__(self, overrides: Mapping[str, Any] | None) -> None:
        self.overrides = overrides or {}
        self._idle: dict[Code, frozenset[int]] = {}
        self.run: dict[Any, Held] = {}
        self.order: list[Held] = []

    def idle(self, code: Code) -> frozenset[int]:
        """The instructions that would set up what nobody needs: only resources that have been replaced inject it."""
        if not self.overrides:
            return _NONE
        known = self._idle.get(code)
        if known is None:
            known = self._idle[code] = _idle(code, self.overrides)
        return known

    def closing(self, held: list[Held]) -> Generator[tuple[Held, Any], Any, BaseException | None]:
        """Tear down ``held``, last first; yields (resource, awaitable) for each that is async, and is sent its outcome.

        Whatever fails, all are torn down. Ends with the first failure, the others in its notes; None where nothing failed.
        """
        first: BaseException | None = None
        for one in reversed(held):
            if one in self.order:
                self.order.remove(one)
            generator, one.generator = one.generator, None
            failure: BaseException | None = None
            try:
                if one.spec.is_async:
                    outcome = yield one, generator.__anext__()
                    if type(outcome) is Error:
                        raise outcome.error
                    yield one, generator.aclose()
                else:
                    next(generator)
                    generator.close()
                failure = ResourceError(f"the resource {one.label} yielded a second time: it must yield its value once")
            except (StopIteration, StopAsyncIteration):
                continue
            except GeneratorExit:
                raise
            except BaseException as raised:
                failure = raised
            add_note(failure, builtin_note(f"resource {one.label}, while it was torn down", None))
            if first is None:
                first = failure
            else:
                add_note(first, other_failure_note(failure))
        return first

    def close_without_loop(self) -> BaseException | None:
        """Tear all down, of a run that had no loop and so no async resource; what failed first, if anything did."""
        try:
            next(self.closing(list(self.order)))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        raise InternalError("an async resource was set up without an event loop")


def enter(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> None:
    """Have the value of a resource: set it up, unless its scope has it already."""
    code = frame.code
    instruction = code.blueprint.instructions[pc]
    spec = code.blueprint.resources[instruction.aux]
    factory = code.resources[instruction.aux]
    machine.expect(frame, pc)
    if machine.resources is None:
        machine.resources = RunResources(machine.overrides)
    resources = machine.resources
    if pc in resources.idle(code):
        machine.settle(frame, pc, None)
        return
    held = Held(spec, frame, pc)
    if spec.scope == "run":
        known = resources.run.setdefault(factory, held)
        if known is not held:
            if known.value is _SETTING_UP:
                known.waiting.append((frame, pc))
            else:
                machine.settle(frame, pc, known.value)
            return
    if _short_name(spec) in resources.overrides:
        held.give(machine, resources.overrides[_short_name(spec)])
        return
    if spec.scope == "step":
        if frame.scope is None:
            frame.scope = []
        frame.scope.append(held)
    kwargs = dict(zip(instruction.names, values, strict=True))
    if spec.is_async:
        held.begin(machine, factory, kwargs)
    else:
        machine.take_turn(frame, pc, (held, factory, kwargs), _begin)


def _short_name(spec: Resource) -> str:
    return spec.name.rpartition(":")[2].rpartition(".")[2]


def _idle(code: Code, overrides: Mapping[str, Any]) -> frozenset[int]:
    blueprint = code.blueprint
    needed = {code.pc_of[source] for choice in blueprint.choices for source in choice.sources if source >= 0}
    idle: set[int] = set()
    for pc in range(len(blueprint.instructions) - 1, -1, -1):  # whoever reads a value stands behind what gives it
        instruction = blueprint.instructions[pc]
        if instruction.opcode == isa.DROP:  # who lets go of a value does not need it
            continue
        if instruction.opcode == isa.ENTER:
            if pc not in needed:
                idle.add(pc)
            if pc in idle or _short_name(blueprint.resources[instruction.aux]) in overrides:
                continue
        needed.update(code.flow.before[pc])
    return frozenset(idle)


def _begin(machine: Scheduler, frame: Frame, work: tuple[Held, Callable[..., Any], dict[str, Any]]) -> None:
    held, factory, kwargs = work
    held.begin(machine, factory, kwargs)


def end_call(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> Turn | Stop | None:
    """The last call of a graph that has resources of its own: they end before the frame goes on."""
    instruction = frame.code.blueprint.instructions[pc]
    plain = len(values) - len(instruction.names)
    args, kwargs = values[:plain], dict(zip(instruction.names, values[plain:], strict=True))
    try:
        value = frame.code.callees[pc](*args, **kwargs)
    except BaseException as failure:
        return machine.fail(frame, pc, failure, args, kwargs)
    return end_step(machine, frame, pc, value)


def end_return(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> Turn | Stop | None:
    """The return of a graph that has resources of its own."""
    return end_step(machine, frame, pc, values[0])


def end_step(machine: Scheduler, frame: Frame, pc: int, value: Any) -> Turn | Stop | None:
    """Tear down what belongs to the graph that ``frame`` runs, then go on with ``value``."""
    held, frame.scope = frame.scope or [], None
    assert machine.resources is not None or not held
    if len(held) > 1 and machine.resources is not None:  # as they were set up, which need not be as that began
        own = set(map(id, held))
        held = [one for one in machine.resources.order if id(one) in own]
    steps = machine.resources.closing([one for one in held if one.generator is not None]) if machine.resources else iter(())
    return _Ending(frame, pc, value, steps).go_on(machine, None)


class _Ending:
    """The end of a step, which may have to wait for async resources."""

    __slots__ = ("frame", "pc", "steps", "value")

    def __init__(self, frame: Frame, pc: int, value: Any, steps: Any) -> None:
        self.frame = frame
        self.pc = pc
        self.value = value
        self.steps = steps

    def go_on(self, machine: Scheduler, outcome: Outcome | None) -> Turn | Stop | None:
        try:
            _, awaitable = self.steps.send(outcome) if outcome is not None else next(self.steps)
        except StopIteration as stop:
            if stop.value is not None:
                return machine.end_with(stop.value)
            return self._over(machine)
        operation = Operation(self.frame, self.pc, awaitable, (), {}, self)
        operation.shielded = True
        machine.launch(operation)
        return None

    def take(self, machine: Scheduler, index: int, outcome: Outcome, args: Any = (), kwargs: Any = None) -> None:
        self.go_on(machine, outcome)

    def _over(self, machine: Scheduler) -> Turn | Stop | None:
        frame, value = self.frame, self.value
        if type(value) in CONTINUATIONS:
            try:
                frame.enter(*machine.activate(value))
            except BaseException as failure:  # a graph that cannot be run
                return machine.fail(frame, self.pc, failure, (), {})
            machine.schedule(frame)
            return None
        return machine.finish(frame, value)


HANDLERS[isa.ENTER] = enter
ENDINGS[isa.TAIL_CALL] = end_call
ENDINGS[isa.RETURN] = end_return
