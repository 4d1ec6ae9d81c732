"""Routes of a linked program: from a jump to what a frame needs to go on (S26).

Everything is there already, as blueprints: a jump puts its values into a copy of the registers that its route begins with. Nothing is
compiled, and no graph is looked at, unless a jump brings one along as a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cascade_vm import constants, isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.continuation import CONTINUATIONS, Continuation
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING, Declared, bind
from cascade_vm.jumps import ABSENT, Jump, More, does_not_fit, no_argument, no_route, shown_routes
from cascade_vm.link import Activation, Code
from cascade_vm.route_data import NOTHING, Part, Route, Table
from cascade_vm.shapes import Shapes

# Nothing in a value of these types can be a graph.
_EASY = frozenset({int, str, float, bool, type(None), bytes, complex})


class LinkedPart:
    """A part whose code is linked when a jump first comes to it."""

    __slots__ = ("_code", "_link", "inputs", "literals", "values")

    def __init__(self, part: Part, inputs: Sequence[Declared], link: Callable[[], Code]) -> None:
        self.literals = part.literals
        self.inputs = inputs
        self.values: list[Any] | None = None  # the literals, where all runs may share them
        self._link = link
        self._code: Code | None = None

    @property
    def code(self) -> Code:
        if self._code is None:
            self._code = self._link()  # another thread may do the same: one of the two is kept
        return self._code


class LinkedRoute:
    """A route, its slots by name."""

    __slots__ = ("data", "full", "named", "plain")

    def __init__(self, route: Route, parts: Sequence[LinkedPart]) -> None:
        self.data = route
        self.plain = parts[route.plain]
        self.full = parts[route.full]
        self.named = {slot.name: number for number, slot in enumerate(route.slots) if slot.name}

    def places(self, data: Any) -> dict[int, Any]:
        """The slots that ``data`` goes to, and the value for each.

        :raises TypeError: it does not fit the parameters.
        """
        route = self.data
        if type(data) is dict:
            given = data
        elif route.first >= 0:
            return {route.first: data}
        else:
            given = {self._first(data): data}
        found: dict[int, Any] = {}
        more = More()
        for name, value in given.items():
            number = self.named.get(name)
            if number is None:
                more[name] = value
            else:
                found[number] = value
        if more and (route.more < 0 or not all(type(name) is str for name in more)):
            raise does_not_fit(self._label, self._symbol.signature, self._fault(found, more))
        if more:
            found[route.more] = more
        return found

    def check(self, placed: Mapping[int, Any], data: Any) -> None:
        """:raises TypeError, CompileError: an argument that the route does not have is not among the data, or there is none."""
        if all(number in placed for number in self.data.required):
            return
        fault = self._fault(placed, {})
        if data is not MISSING:
            raise does_not_fit(self._label, self._symbol.signature, fault)
        where = self.plain.code.where(None, self.data.call)
        written = f" (written at {where})" if where else ""
        raise CompileError(f"{self._label}{self._symbol.signature} cannot be called like this: {fault}{written}", code="C02")

    def _first(self, data: Any) -> str:
        """The name of the first parameter, which no argument of the route is for."""
        import inspect

        try:
            return next(iter(inspect.signature(self.plain.code.functions[self._call.aux]).parameters))
        except (StopIteration, TypeError, ValueError):
            raise no_argument(self._label, data) from None

    def _fault(self, placed: Mapping[int, Any], more: Mapping[Any, Any]) -> TypeError:
        """What Python says of a call with these arguments."""
        import inspect

        code, call = self.plain.code, self._call
        slots, literals = self.data.slots, self.plain.literals
        open_ = {one.name for at, one in enumerate(slots) if at not in placed and one.plain >= 0 and literals[one.plain] == NOTHING}
        plain = len(call.reads) - len(call.names) - 1
        if call.spec != isa.NONE:
            plain -= code.blueprint.policies[call.spec].dynamic
        names = [name for name in call.names if name not in open_]
        try:
            inspect.signature(code.functions[call.aux]).bind(*[None] * plain, **dict.fromkeys([*names, *more]))
        except TypeError as fault:
            return fault
        return TypeError("the program was compiled for other parameters")

    @property
    def _call(self) -> Instruction:
        return self.plain.code.blueprint.instructions[self.data.call]

    @property
    def _symbol(self) -> Symbol:
        return self.plain.code.blueprint.symbols[self._call.aux]

    @property
    def _label(self) -> str:
        return self._symbol.name.replace(":", ".")


class Tables:
    """The tables of a linked program: what a key means, by table."""

    __slots__ = ("routes", "shared")

    def __init__(self, tables: Sequence[Table], parts: Sequence[LinkedPart]) -> None:
        self.routes: list[dict[Any, LinkedRoute | None]] = [
            {constants.decode(one.key): LinkedRoute(one, parts) if one.plain >= 0 else None for one in table.routes} for table in tables
        ]
        self.shared: list[Any] | None = None  # the constants, where all runs may share them

    def fill(self, literals: Sequence[int], pool: list[Any]) -> list[Any]:
        """The literal registers of a graph, with the constants that one run has."""
        return [pool[at] if at >= 0 else ABSENT if at == NOTHING else Routes(self, NOTHING - 1 - at, pool) for at in literals]


class Routes:
    """A table in one run: what stands in the register before the arguments of a bound call."""

    __slots__ = ("_number", "_pool", "_tables")

    def __init__(self, tables: Tables, number: int, pool: list[Any]) -> None:
        self._tables = tables
        self._number = number
        self._pool = pool

    def __repr__(self) -> str:
        return shown_routes(self._tables.routes[self._number])

    def resolve(self, value: Any) -> Any:
        """What the value of a bound call stands for: a jump for the graph that it leads to, or for its data at the end; else itself.

        :raises RouteNotFound: there is no such key. :raises TypeError: the data does not fit the parameters of the route.
        :raises CompileError: the route has not all of its arguments, and there is no data.
        """
        if type(value) is not Jump:
            return value
        routes = self._tables.routes[self._number]
        try:
            route = routes[value.key]
        except (KeyError, TypeError):
            raise no_route(value, routes) from None
        data = value.data
        if route is None:
            return None if data is MISSING else _Given(data) if type(data) in CONTINUATIONS else data
        slots = route.data.slots
        placed = {} if data is MISSING else route.places(data)
        if route.data.required:
            route.check(placed, data)
        found = None
        if not all(type(one) in _EASY for one in placed.values()):
            found = Jump.evaluations([placed.get(number) for number in range(len(slots))])
        if found is None:
            registers = self._begin(route.plain)
            for number, one in placed.items():
                at = slots[number].plain
                if at < 0:
                    break
                registers[at] = one
            else:
                return _Round(route.plain, registers)
        registers = self._begin(route.full)
        shared: frozenset[int] = frozenset()
        if found is not None and found.joint is not None:
            shared = found.shared
            registers[route.data.joint] = (found.joint,)
        for number, one in placed.items():
            if number in shared:
                registers[slots[number].joint] = True
            else:
                registers[slots[number].alone] = True
                registers[slots[number].box] = (one if found is None else found.alone[number],)
        return _Round(route.full, registers)

    def _begin(self, part: LinkedPart) -> list[Any]:
        if self._pool is not self._tables.shared:
            return self._tables.fill(part.literals, self._pool)
        if part.values is None:
            part.values = self._tables.fill(part.literals, self._pool)
        return part.values.copy()


class _Round(Continuation):
    """A jump on its way: the part that it leads to, with its literals."""

    __slots__ = ("literals", "part")

    def __init__(self, part: LinkedPart, literals: list[Any]) -> None:
        self.part = part
        self.literals = literals

    def activate(self, params: dict[str, Any], *, known: Shapes | None = None) -> Activation:
        part = self.part
        code = part.code
        literals = self.literals
        if part.inputs:
            literals = literals + bind(part.inputs, params, refuse_unknown=False)
        return code, literals + code.padding, None


class _Given(Continuation):
    """A value as it is, though the machine would go on with it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def activate(self, params: dict[str, Any], *, known: Shapes | None = None) -> Activation:
        return _RETURN, [self.value, *_RETURN.padding], None


_RETURN = Code(Blueprint("0" * 40, 1, 1, (), (), (Instruction(isa.RETURN, 0, reads=(0,)),), (Strand(0, 1),)), ())
