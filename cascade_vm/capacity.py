"""What a run has of each thing that calls may hold (S22): who holds how much, and who waits. Nothing here waits itself.

Amounts are added up exactly, as the decimal numbers that they are written as: ten times 0.1 is 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm.errors import CapacityError, InternalError
from cascade_vm.exact import exact

if TYPE_CHECKING:
    from fractions import Fraction


class _Request:
    """A request that waits. ``number`` tells who came first."""

    __slots__ = ("needs", "number", "token")

    def __init__(self, number: int, token: object, needs: dict[str, int | Fraction]) -> None:
        self.number = number
        self.token = token
        self.needs = needs


class Capacity:
    """Amounts by name, given out all or nothing, and strictly first come, first served.

    A request that waits holds nothing, and every later request that needs one of the names that it needs waits behind it, even if there is
    enough for the later one. So nobody starves, and there is no deadlock. Requests without a name in common never wait for each other.
    An amount of 0 needs nothing. Not for several threads at once: it belongs to one run.

    Each name has a queue of its own, and a request waits in the queues of all names that it needs; so what is given back costs
    time for those whom it lets go, and not for all who wait.

    :param totals: how much the run has of each name; none of another.
    :raises TypeError: it is no mapping with texts as its keys.
    :raises ValueError: an amount is negative, not finite, or no int or float (a bool is none).
    """

    def __init__(self, totals: Mapping[str, float]) -> None:
        if not isinstance(totals, Mapping):
            raise TypeError(f"capacity must be a mapping of amounts by name, such as {{'gpu': 2}}, not {totals!r}")
        for name in totals:
            if not isinstance(name, str):
                raise TypeError(f"capacity: the name of an amount must be a str, not {name!r}")
        self._shown = dict(totals)  # as they were given, for errors
        self._totals = {name: exact(f"the capacity {name!r}", total) for name, total in totals.items()}
        self._free = dict(self._totals)
        self._queues: dict[str, OrderedDict[int, _Request]] = {name: OrderedDict() for name in totals}
        self._waiting: dict[int, _Request] = {}  # by the identity of the token
        self._came = 0

    @property
    def free(self) -> dict[str, float]:
        """How much of each name nobody holds now."""
        return {name: float(amount) for name, amount in self._free.items()}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def check(self, amounts: Mapping[str, Any]) -> None:
        """Could a request for ``amounts`` ever be granted?

        :raises CapacityError: the run has nothing of that name, or less in all than the amount.
        :raises ValueError: an amount is negative, not finite, or no int or float (a bool is none). (A CapacityError is a ValueError too.)
        """
        self._needs(amounts)

    def request(self, amounts: Mapping[str, Any], token: object) -> bool:
        """Ask for ``amounts``. True: they are held from now on, until they are released. False: the request waits, and ``token`` will
        be in what ``release`` or ``withdraw`` returns once it is granted.

        :param token: whose request it is; told from others by identity, and in no more than one waiting request.
        :raises CapacityError, ValueError: as ``check``.
        """
        needs = self._needs(amounts)
        if id(token) in self._waiting:
            raise InternalError(f"a capacity was asked for twice with the token {token!r}")
        if not any(self._queues[name] for name in needs) and self._fits(needs):
            self._take(needs)
            return True
        self._came += 1
        request = self._waiting[id(token)] = _Request(self._came, token, needs)
        for name in needs:
            self._queues[name][request.number] = request
        return False

    def release(self, amounts: Mapping[str, Any]) -> list[Any]:
        """Give back what a granted request holds. Returns the tokens of the requests that are granted by this, in order of their coming."""
        needs = self._needs(amounts)
        for name, amount in needs.items():
            if self._free[name] + amount > self._totals[name]:
                raise InternalError(f"more of the capacity {name!r} was given back than was held")
        for name, amount in needs.items():
            self._free[name] += amount
        return self._grant(needs)

    def withdraw(self, token: object) -> list[Any]:
        """Give up the request of ``token``, which waits. Returns the tokens of the requests that are granted by this, in order of their
        coming: those that only waited behind it."""
        request = self._waiting.get(id(token))
        if request is None:
            raise InternalError(f"no request for capacity waits with the token {token!r}")
        self._leave(request)
        return self._grant(request.needs)

    def _grant(self, names: Iterable[str]) -> list[Any]:
        """Let go whoever can go, where more of ``names`` is free than before, or their queues are shorter."""
        granted: list[_Request] = []
        changed = list(names)
        while changed:
            queue = self._queues[changed.pop()]
            if not queue:
                continue
            request = next(iter(queue.values()))
            first_of_all = all(request is next(iter(self._queues[name].values())) for name in request.needs)
            if first_of_all and self._fits(request.needs):
                self._take(request.needs)
                self._leave(request)
                granted.append(request)
                changed += request.needs
        # Requests that are first at once have no name in common: the order in which they were found changes nothing but this list.
        granted.sort(key=lambda request: request.number)
        return [request.token for request in granted]

    def _fits(self, needs: dict[str, int | Fraction]) -> bool:
        return all(amount <= self._free[name] for name, amount in needs.items())

    def _take(self, needs: dict[str, int | Fraction]) -> None:
        for name, amount in needs.items():
            self._free[name] -= amount

    def _leave(self, request: _Request) -> None:
        del self._waiting[id(request.token)]
        for name in request.needs:
            del self._queues[name][request.number]

    def _needs(self, amounts: Mapping[str, Any]) -> dict[str, int | Fraction]:
        """The amounts that are more than 0, exactly; all are checked."""
        needs: dict[str, int | Fraction] = {}
        for name, amount in amounts.items():
            need = exact(f"the amount of {name!r}", amount)
            total = self._totals.get(name)
            if total is None:
                raise CapacityError(self._unknown(name))
            if need > total:
                raise CapacityError(f"{_shown(amount)} of {name!r} is more than the whole run has, which is {self._shown[name]!r}")
            if need:
                needs[name] = need
        return needs

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches

        text = f"the run has no capacity {name!r}: give it with run(..., capacity={{{name!r}: ...}})"
        near = get_close_matches(name, self._totals, n=3)
        if near:
            return f"{text}; did you mean {' or '.join(map(repr, near))}?"
        return f"{text}; it has {', '.join(map(repr, self._totals))}" if self._totals else text


def _shown(amount: Any) -> str:
    """An amount as it was written: those of a blueprint are floats, of ints too."""
    return repr(int(amount)) if isinstance(amount, float) and amount.is_integer() else repr(amount)
