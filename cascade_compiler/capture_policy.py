"""What a call was told, taken apart: data for its blueprint, and what of it only this process knows."""

from __future__ import annotations

from cascade_compiler.lazy import LazyResult
from cascade_compiler.policy import Policy
from cascade_vm.caching import name_of
from cascade_vm.policies import CallPolicy, LivePolicy


def call_policy(policy: Policy) -> tuple[CallPolicy, LivePolicy]:
    """What a call is told, as data, and beside it what of that only this process knows."""
    amounts = tuple((name, None if type(amount) is LazyResult else float(amount)) for name, amount in policy.constraints)
    cache = policy.cache
    named = None if cache is None else name_of(cache) or f"{type(cache).__module__}:{type(cache).__qualname__}"
    return CallPolicy(policy.retry, policy.timeout, named, amounts, policy.rate), LivePolicy(policy.errors, policy.cache)
