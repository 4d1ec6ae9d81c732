"""What a call is told beyond its arguments, as a few words each."""

from __future__ import annotations

from cascade_vm.pictures.labels import MARK, plain
from cascade_vm.policies import CallPolicy


def marks(policy: CallPolicy) -> tuple[str, ...]:
    """``retry 3×``, ``timeout 5 s``, ``cache prices``, ``gpu=1``, ``10/s shop``: only what there is."""
    words = []
    if policy.retry is not None:
        words.append(f"retry {policy.retry.max_attempts}×")
    if policy.timeout is not None:
        words.append(f"timeout {policy.timeout:g} s")
    if policy.cache is not None:
        name = policy.cache.rpartition(":")[2]
        words.append("cache" if ":" in policy.cache else f"cache {name}")
    words += [f"{name}={'·' if amount is None else f'{amount:g}'}" for name, amount in policy.constraints]
    if policy.rate is not None:
        per = "s" if policy.rate.per == 1 else f"{policy.rate.per:g} s"
        words.append(f"{policy.rate.rate:g}/{per} {policy.rate.name}")
    return tuple([plain(one, MARK) for one in words])


def size(count: int | None, at_most: int | None) -> str:
    """What is said of a map: of how many items it is, where that is known, and how many may be in progress."""
    return f"map{'' if count is None else f' × {count:,}'}{'' if at_most is None else f', at most {at_most:,} at once'}"
