"""A call under a policy: tried again, timed, cached, limited (S16, S17, S19, S22).

What happens to such a call is written down once, in order, in ``_Invocation.steps``: a generator that yields what it waits for and gets its
outcome. Machine and driver do the waiting; nothing here does.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.caching import Hit
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.events import CacheHit, TaskBlocked, TaskFailed, TaskFinished, TaskRetrying, TaskStarted, show_error
from cascade_vm.flights import Within, flight_in, take_off
from cascade_vm.frame import Frame, Operation
from cascade_vm.instrument import tell_of
from cascade_vm.jobs import Job, Timer
from cascade_vm.jumps import given
from cascade_vm.limits import Limits
from cascade_vm.link import HANDLERS
from cascade_vm.notes import attempt_text
from cascade_vm.outcome import Error, Outcome, Value

if TYPE_CHECKING:
    from cascade_vm.frame import Receiver
    from cascade_vm.scheduler import Scheduler, Stop, Turn

# What a call waits for, besides operations: its turn among synchronous calls; that another call wakes it.
TURN: Any = type("TURN", (), {})()
WAKE: Any = type("WAKE", (), {})()

Steps = Generator[Any, Any, Any]
_NO_KWARGS: Any = MappingProxyType({})


def perform(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> Turn | Stop | None:
    """Begin the call of an instruction under its policy."""
    code = frame.code
    instruction = code.blueprint.instructions[pc]
    policy = code.blueprint.policies[instruction.spec]
    amounts, values = values[: policy.dynamic], values[policy.dynamic :]
    routes = values.pop(0) if code.blueprint.symbols[instruction.aux].bound else None
    plain = len(values) - len(instruction.names)
    kwargs = dict(zip(instruction.names, values[plain:], strict=True))
    if routes is not None:
        kwargs = given(kwargs)
    machine.expect(frame, pc)
    invocation = Invocation(frame, pc, instruction.spec, values[:plain], kwargs, amounts)
    invocation.routes = routes
    return invocation.begin(machine)


class Invocation:
    """One call under a policy. ``to`` takes its outcome, if that is not the value of the instruction: the map it is an item of."""

    __slots__ = (
        "amounts", "args", "attempt", "call", "frame", "held", "index", "key", "kwargs", "live", "pc", "policy", "routes", "running", "to",
    )  # fmt: skip

    def __init__(
        self, frame: Frame, pc: int, policy: int, args: list[Any], kwargs: dict[str, Any], amounts: list[Any],
        to: Receiver | None = None, index: int = -1,
    ) -> None:  # fmt: skip
        self.frame = frame
        self.pc = pc
        self.policy = frame.code.blueprint.policies[policy]
        self.live = frame.code.live[policy]
        self.args = args
        self.kwargs = kwargs
        self.amounts = amounts
        self.to = to
        self.index = index
        self.attempt = 0
        self.call = 0  # its number, once something has been told of it
        self.held: dict[str, Any] | None = None  # what it holds of the run's capacity
        self.key: tuple[int, bytes] | None = None  # under which others wait for its value
        self.running: Steps | None = None
        self.routes: Any = None  # of a call that may jump

    def begin(self, machine: Scheduler) -> Turn | Stop | None:
        self.running = self._steps(machine)
        return self.advance(machine, None)

    def advance(self, machine: Scheduler, outcome: Outcome | None) -> Turn | Stop | None:
        """Go on with ``outcome`` of what it waited for."""
        assert self.running is not None
        try:
            wanted = self.running.send(outcome)
        except StopIteration as stop:
            return self._end(machine, stop.value)
        except BaseException as failure:
            return self._end(machine, Error(failure))
        if wanted is TURN:
            machine.take_turn(self.frame, self.pc, self, _take_turn, self.index)
        elif wanted is not WAKE:
            machine.launch(wanted)
        return None

    def take(self, machine: Scheduler, index: int, outcome: Outcome, args: Any = (), kwargs: Any = _NO_KWARGS) -> None:
        """The outcome of an operation."""
        self.advance(machine, outcome)

    def _steps(self, machine: Scheduler) -> Steps:
        policy = self.policy
        limits = machine.limits
        if limits is None:
            limits = machine.limits = Limits(machine.capacity)
        if policy.cache is not None:
            known = yield from self._look_up(limits, _loop_of(machine))
            if known is not None:
                self._tell(machine, CacheHit)
                return known
        if policy.constraints:
            dynamic = iter(self.amounts)
            needed = {name: next(dynamic) if amount is None else amount for name, amount in policy.constraints}
            granted = limits.capacity.request(needed, self)
            self.held = needed
            if not granted:
                self._tell(machine, TaskBlocked, reason=f"capacity: {', '.join(needed)}")
                yield WAKE
        outcome = yield from self._attempts(machine, limits)
        if policy.cache is not None and type(outcome) is Value and type(outcome.value) not in CONTINUATIONS:
            assert self.key is not None
            self.live.cache.put(self.key[1], outcome.value)
        return outcome

    def _look_up(self, limits: Limits, loop: Any) -> Steps:
        """What the cache has, or what another call that is being made just now comes to; None where this one must be made."""
        key = self._key()
        while True:
            hit = self.live.cache.get(key)
            if hit is not None:
                return Value(hit.value)
            name = (id(self.live.cache), key)
            others = limits.being_made.get(name)
            if others is not None:
                others.append(self)
                known = yield WAKE
                if known.value is not None:
                    return known.value
                continue
            flight = None if loop is None else flight_in(loop, name)
            if flight is None:
                self.key = name
                limits.being_made[name] = []
                own = None if loop is None else take_off(loop, name, self.live.cache)
                if own is not None:
                    limits.flights[name] = own
                return None
            outcome = yield self._operation(flight.landing())
            if type(outcome) is Error:
                raise outcome.error
            if outcome.value is not None:
                return Value(outcome.value.value)

    def _key(self) -> bytes:
        """:raises NotCacheable: an argument is no plain data."""
        from cascade_vm.call_key import Injected, call_key

        code = self.frame.code
        instruction = code.blueprint.instructions[self.pc]
        symbol = code.blueprint.symbols[instruction.aux]
        args, kwargs = list(self.args), dict(self.kwargs)
        if code.resources:
            iterated = code.blueprint.maps[instruction.spec].iterated if instruction.opcode == isa.MAP else ()
            given = code.flow.defs[self.pc]
            first = len(given) - len(args) - len(kwargs)  # before them stand amounts, and the routes of a jump
            for at, giver in enumerate(given[first:]):
                if giver >= 0 and code.blueprint.instructions[giver].opcode == isa.ENTER and first + at not in iterated:
                    marker = Injected(code.blueprint.resources[code.blueprint.instructions[giver].aux].name)
                    if at < len(args):
                        args[at] = marker
                    else:
                        kwargs[instruction.names[at - len(args)]] = marker
        return call_key(symbol.name, symbol.version, None, code.functions[instruction.aux], args, kwargs)

    def _attempts(self, machine: Scheduler, limits: Limits) -> Steps:
        policy, retry = self.policy, self.policy.retry
        waits = isa_waits(self.frame, self.pc)
        has_turn = False
        while True:
            self.attempt += 1
            if policy.rate is not None:
                pause = limits.rates.wait(policy.rate, machine.clock())
                if pause > 0:
                    has_turn = False
                    self._tell(machine, TaskBlocked, reason=f"rate limit: {policy.rate.name}")
                    yield self._operation(Timer(pause))
            if not waits and not has_turn:
                yield TURN
                has_turn = True
            self._tell(machine, TaskStarted)
            # Outcomes are data here: a StopIteration could not leave a generator.
            outcome: Outcome
            try:
                outcome = Value(self._callable()(*self.args, **self.kwargs))
            except BaseException as failure:
                outcome = Error(failure)
            if waits and type(outcome) is Value:
                awaitable = outcome.value
                if self.key in limits.flights and type(awaitable) is not Job:
                    awaitable = Within(limits.flights[self.key], awaitable)
                operation = self._operation(awaitable, policy.timeout)
                operation.is_call = self.call
                outcome = yield operation
            if type(outcome) is not Error or retry is None or self.attempt >= retry.max_attempts:
                return outcome
            if not isinstance(outcome.error, self.live.errors):
                return outcome
            pause = retry.wait(self.attempt, None if self.index < 0 else self.index)
            self._tell(machine, TaskRetrying, error=show_error(outcome.error), wait=pause)
            if pause > 0:
                has_turn = False
                yield self._operation(Timer(pause))

    def _callable(self) -> Any:
        return self.frame.code.callees[self.pc]

    def _operation(self, awaitable: Any, timeout: float | None = None) -> Operation:
        return Operation(self.frame, self.pc, awaitable, (), {}, self, self.index, timeout)

    def _end(self, machine: Scheduler, outcome: Outcome) -> Turn | Stop | None:
        """Give back what it holds, wake who waits for its value, and hand that on."""
        self.running = None
        limits = machine.limits
        assert limits is not None
        if machine.failure is not None:
            if type(outcome) is Error:
                machine.fail(self.frame, self.pc, outcome.error, (), {})
            return None
        if self.attempt and type(outcome) is Value:
            self._tell(machine, TaskFinished)
        if self.held is not None:
            for other in limits.capacity.release(self.held):
                machine.take_turn(other.frame, other.pc, (other, None), _wake, other.index, eager=True)
        if self.key is not None:
            known = outcome if type(outcome) is Value and type(outcome.value) not in CONTINUATIONS else None
            for other in limits.being_made.pop(self.key):
                machine.take_turn(other.frame, other.pc, (other, known), _wake, other.index, eager=True)
            flight = limits.flights.pop(self.key, None)
            if flight is not None:
                flight.land(None if known is None else Hit(known.value))
        if self.to is not None and type(outcome) is Value:
            self.to.take(machine, self.index, outcome)
        elif type(outcome) is Error:
            self._fail(machine, outcome.error)
        else:
            try:
                value = outcome.value  # type: ignore[union-attr]
                return machine.arrive(self.frame, self.pc, value if self.routes is None else self.routes.resolve(value))
            except BaseException as failure:  # the value is a graph that cannot be run
                self._fail(machine, failure)
        return None

    def _tell(self, machine: Scheduler, kind: Any, **facts: Any) -> None:
        if machine.teller is not None:
            attempt = max(self.attempt, 1)
            self.call = tell_of(machine.teller, self.frame, self.pc, kind, index=self.index, attempt=attempt, call=self.call, **facts)

    def _fail(self, machine: Scheduler, failure: BaseException) -> None:
        self._tell(machine, TaskFailed, error=show_error(failure))
        most = 1 if self.policy.retry is None else self.policy.retry.max_attempts
        text = attempt_text(None if self.index < 0 else self.index, max(self.attempt, 1), most)
        machine.fail(self.frame, self.pc, failure, self.args, self.kwargs, text)


def _loop_of(machine: Scheduler) -> Any:
    """The event loop that drives ``machine``, if one does: the driver has given it that clock."""
    return None if machine.clock is monotonic else getattr(machine.clock, "__self__", None)


def _take_turn(machine: Scheduler, frame: Frame, invocation: Invocation) -> Turn | Stop | None:
    return invocation.advance(machine, Value(None))


def _wake(machine: Scheduler, frame: Frame, woken: tuple[Invocation, Any]) -> Turn | Stop | None:
    return woken[0].advance(machine, Value(woken[1]))


def isa_waits(frame: Frame, pc: int) -> bool:
    """Does the task that ``pc`` calls wait?"""
    blueprint = frame.code.blueprint
    return blueprint.symbols[blueprint.instructions[pc].aux].waits


HANDLERS[isa.PERFORM] = HANDLERS[isa.TAIL_PERFORM] = perform
