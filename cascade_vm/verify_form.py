"""The verifier's rules of a blueprint's form, B1 to B6 but for what its instructions are needed for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint
from cascade_vm.caching import is_cache_name
from cascade_vm.fault_places import Fault, at_strand, clipped

MAX_REGISTERS = 2**31 - 1  # how many instructions there may be is for LoadLimits to say
_CYCLE_ID = re.compile(r"[0-9a-f]{40}")
SYMBOL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\s:]+")
_MODES = ("inline", "thread", "process")


def form_faults(blueprint: Blueprint) -> Iterator[Fault]:
    """Faults of what stands around the instructions."""
    if not _CYCLE_ID.fullmatch(blueprint.cycle_id):
        yield Fault("P1", "blueprint", f"{clipped(blueprint.cycle_id)!r} is no cycle_id")
    loaded, count = blueprint.literals + len(blueprint.inputs), len(blueprint.instructions)
    if blueprint.literals < 0 or not loaded <= blueprint.registers <= loaded + count:
        what = f"{blueprint.registers:,} registers, for {loaded:,} literals and inputs and {count:,} results"
        yield Fault("B1", "blueprint", what)
    if blueprint.registers > MAX_REGISTERS:
        yield Fault("B1", "blueprint", f"{blueprint.registers:,} registers, and the most that there can be are {MAX_REGISTERS:,}")
    for at, symbol in enumerate(blueprint.symbols):
        if not SYMBOL.fullmatch(symbol.name):
            yield Fault("B2", f"symbol {at}", f"{clipped(symbol.name)!r} is not module:qualname")
        if symbol.mode not in _MODES:
            yield Fault("B2", f"symbol {at}", f"there is no mode {clipped(symbol.mode, 20)!r}")
    yield from _policy_faults(blueprint)
    for at, resource in enumerate(blueprint.resources):
        if not SYMBOL.fullmatch(resource.name) or resource.scope not in ("run", "step"):
            yield Fault("B6", f"resource {at}", f"{clipped(resource.name)!r} of scope {clipped(resource.scope, 20)!r}")
    yield from _choice_faults(blueprint, loaded)
    yield from _strand_faults(blueprint)


def _choice_faults(blueprint: Blueprint, loaded: int) -> Iterator[Fault]:
    regions = range(len(blueprint.regions))
    if not regions or blueprint.regions[0] or any(one not in regions for opens in blueprint.regions for one in opens):
        yield Fault("B5", "blueprint", "a region opens with one that does not exist, or with region 0")
    if len(regions) > 1 and not blueprint.choices:
        yield Fault("B5", "blueprint", f"{len(regions):,} regions, and no choice that opens any")
    for at, choice in enumerate(blueprint.choices):
        where = f"choice {at}"
        routes = len(choice.regions)
        if routes != len(choice.sources) or (routes < 1 if choice.keyed else routes != 2):
            yield Fault("B5", where, f"has {routes:,} regions and {len(choice.sources):,} sources")
        if any(one not in regions for one in choice.regions):
            yield Fault("B5", where, "opens a region that does not exist")
        if any(source < SKIP and -2 - source >= loaded for source in choice.sources):
            yield Fault("B5", where, "takes a register that is neither a literal nor an input")
        if SKIP in (choice.sources if choice.keyed else choice.sources[:1]):
            yield Fault("B5", where, "has no value for a route that is not the second one of a condition")


def _strand_faults(blueprint: Blueprint) -> Iterator[Fault]:
    reached = 0
    for number, strand in enumerate(blueprint.strands):
        if not 0 <= strand.region < len(blueprint.regions):
            yield at_strand("B3", number, strand, f"is in region {strand.region}, which does not exist")
        if strand.start != reached or strand.stop <= strand.start:
            what = f"covers {strand.start} to {strand.stop}, and should begin at {reached} and not be empty"
            yield at_strand("B3", number, strand, what)
        reached = strand.stop
    if reached != len(blueprint.instructions) or not blueprint.strands:
        yield Fault("B3", "blueprint", f"the strands end at {reached} of {len(blueprint.instructions)} instructions")


def _is_number(value: float | None) -> bool:
    return value is None or (math.isfinite(value) and value >= 0)


def _policy_faults(blueprint: Blueprint) -> Iterator[Fault]:
    for at, policy in enumerate(blueprint.policies):
        retry, rate = policy.retry, policy.rate
        good = _is_number(policy.timeout) and policy.timeout != 0 and all(_is_number(amount) for _, amount in policy.constraints)
        if retry is not None:
            numbers = (retry.delay, retry.backoff, retry.max_delay, retry.jitter)
            good = good and retry.max_attempts >= 1 and all(map(_is_number, numbers)) and retry.jitter <= 1 and bool(retry.on)
        if rate is not None:
            good = good and _is_number(rate.rate) and _is_number(rate.per) and rate.rate > 0 and rate.per > 0
        if not good:
            yield Fault("B4", f"policy {at}", "a number of it means nothing")
        if policy.cache is not None and not (is_cache_name(policy.cache) or SYMBOL.fullmatch(policy.cache)):
            yield Fault("B4", f"policy {at}", f"{clipped(policy.cache)!r} is no kind of cache")
    for at, one in enumerate(blueprint.maps):
        if not isa.NONE <= one.policy < len(blueprint.policies):
            yield Fault("B4", f"map {at}", f"there is no policy {one.policy}")
        if not one.iterated or len(set(one.iterated)) != len(one.iterated) or (one.max_concurrency is not None and one.max_concurrency < 1):
            yield Fault("B4", f"map {at}", "goes over nothing, or over one operand twice, or may have nothing in progress")
