"""Numbers as people write them, to be added up without an error: 0.1 is a tenth, not the float next to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fractions import Fraction


def exact(what: str, number: Any) -> int | Fraction:
    """``number`` as a sum can hold it: an int, or the fraction that its shortest decimal text stands for.

    :param what: what the number is, for the error.
    :raises ValueError: it is no int or float, negative, or not finite. A bool is no number here.
    """
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(f"{what} must be a number, 0 or more, not {number!r}")
    if not number >= 0 or number == math.inf:  # NaN is not >= 0; isfinite would refuse a very large int
        raise ValueError(f"{what} must be a finite number, 0 or more, not {number!r}")
    if isinstance(number, int):
        return int(number)
    if number <= 2**53 and number.is_integer():
        return int(number)
    from fractions import Fraction  # only for who has fractions: few runs do

    return Fraction(float.__repr__(number))
