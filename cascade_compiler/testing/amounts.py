"""How much of the run's capacity calls hold, as the rules have it (S22): what eager Python and the ideal schedule both go by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cascade_compiler.testing.specs import Call, GraphSpec, Map, Ref
from cascade_compiler.testing.walks import demanded
from cascade_vm.errors import CapacityError

Amounts = Mapping[str, float]


def checked(amounts: Mapping[str, Any], capacity: Amounts) -> dict[str, float]:
    """What a call holds.

    :raises CapacityError: more than there is at all. :raises ValueError: an amount is no number of 0 or more.
    """
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < math.inf:
            raise ValueError(f"{name} must be a finite number, 0 or more")
    for name, amount in amounts.items():
        if name not in capacity or amount > capacity[name]:
            raise CapacityError(name)
    return {name: amount for name, amount in amounts.items() if amount}


def check_at_once(spec: GraphSpec) -> None:
    """What is known to be too much before anything runs, demanded or not.

    :raises CapacityError: it is.
    """
    for position in sorted(demanded(spec)):
        node = spec.nodes[position]
        if isinstance(node, (Call, Map)):
            checked({name: amount for name, amount in node.holds if not isinstance(amount, Ref)}, dict(spec.capacity))
