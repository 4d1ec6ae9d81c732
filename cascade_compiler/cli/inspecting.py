"""What an artifact says about itself, for ``cascade inspect``: nothing of it is imported, and nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.cli import documents, output, targets
from cascade_vm import isa
from cascade_vm.container import content_hash, unpack
from cascade_vm.errors import LoadError
from cascade_vm.signing import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cascade_vm.blueprint import Blueprint
    from cascade_vm.container import Container
    from cascade_vm.policies import CallPolicy
    from cascade_vm.program import Program
    from cascade_vm.signing import Key, Signature


def inspect(path: str, keys: Sequence[Key] | None = None) -> dict[str, Any]:
    """All of it, as what ``json`` can write.

    :param keys: one of these must have signed it; None asks for no signature.
    :raises LoadError, VerifyError: the file is no artifact that could be run, or none of ``keys`` has signed it; the text names the path.
    """
    program = targets.artifact(path, keys=keys)
    try:
        with open(path, "rb") as file:
            artifact = file.read()
    except OSError as fault:  # it has been removed since
        raise LoadError(f"{path}: cannot be read: {fault.strerror or fault}", code="L09") from None
    parts = unpack(artifact)
    data = program.data
    return {
        "path": path,
        "versions": {
            "container": parts.version,
            "instruction_set": int.from_bytes(artifact[10:12], "big"),
            "operation_set": int.from_bytes(artifact[12:14], "big"),
        },
        "content_hash": content_hash(artifact).hex(),
        "cycle_id": program.cycle_id,
        "bytes": {
            "file": len(artifact), "content": len(parts.content), "about": len(parts.about), "signatures": len(parts.signatures),
            "constants": sum(map(len, data.constants)),
        },
        "counts": {
            "blueprints": len(data.blueprints),
            "instructions": documents.instructions(program),
            "strands": sum(len(one.strands) for one in data.blueprints),
            "registers": max((one.registers for one in data.blueprints), default=0),
            "constants": len(data.constants),
            "parts": len(data.parts),
            "tables": len(data.tables),
            "shapes": len(data.shapes),
        },
        "inputs": [
            told | {"text": documents.input_text(one)}
            for told, one in zip(documents.of_summary(program)["inputs"], program.inputs.values(), strict=True)
        ],
        "tasks": [
            {
                "name": one.name, "version": one.version, "kind": "async" if one.is_async else "sync", "mode": one.mode,
                "signature": one.signature, "jumps": one.bound, "fingerprint": one.name in program.fingerprints,
            }
            for one in program.symbols
        ],
        "modules": sorted(_modules(program)),
        "resources": [
            {"name": one.name, "scope": one.scope, "kind": "async" if one.is_async else "sync"}
            for one in sorted({one for graph in _begun(program) for one in graph.resources}, key=lambda one: one.name)
        ],
        "policies": [{"task": task, "policy": text} for task, text in sorted(_policies(program))],
        "provenance": dict(sorted(program.provenance.items())),
        "fingerprints": len(program.fingerprints),
        "signatures": [
            {"algorithm": one.algorithm, "key": one.name, "right": _is_right(one, parts, keys or ())} for one in read(parts.signatures)
        ],
        "source_files": sorted({file for one in program.source_maps.values() for file in one.files}),
    }  # fmt: skip


def text(told: dict[str, Any]) -> str:
    """What ``inspect`` found, for people."""
    versions, sizes, counts = told["versions"], told["bytes"], told["counts"]
    blueprints = ", ".join(f"{counts[name]:,} {name}" for name in ("parts", "tables", "shapes") if counts[name])
    rows: list[tuple[str, list[str]]] = [
        ("versions", [", ".join(f"{name.replace('_', ' ')} {version}" for name, version in versions.items())]),
        ("content hash", [told["content_hash"]]),
        ("cycle_id", [told["cycle_id"]]),
        ("sizes", [f"content {sizes['content']:,} bytes, about it {sizes['about']:,}, signatures {sizes['signatures']:,}"]),
        ("blueprints", [f"{counts['blueprints']:,}{f' ({blueprints})' if blueprints else ''}"]),
        ("code", [f"{counts['instructions']:,} instructions, {counts['strands']:,} strands, at most {counts['registers']:,} registers"]),
        ("constants", [f"{counts['constants']:,}, {sizes['constants']:,} bytes"]),
        ("inputs", [one["text"] for one in told["inputs"]]),
        ("tasks", [_task(one) for one in told["tasks"]]),
        ("imports", told["modules"]),
        ("resources", [f"{one['name']}   {one['kind']}, scope {one['scope']}" for one in told["resources"]]),
        ("policies", [f"{one['task']}   {one['policy']}" for one in told["policies"]]),
        ("provenance", [f"{name}: {value}" for name, value in told["provenance"].items()]),
        ("fingerprints", [f"{told['fingerprints']:,}"] if told["fingerprints"] else []),
        ("signatures", [f"{one['key']!r} ({one['algorithm']}), {_RIGHT[one['right']]}" for one in told["signatures"]]),
        ("source files", told["source_files"]),
    ]
    lines = [f"{told['path']}: {sizes['file']:,} bytes"]
    for name, values in rows:
        first, *others = values or ["none"]
        lines += [f"  {name:<14}{output.one_line(first)}", *(" " * 16 + output.one_line(one) for one in others)]
    return "\n".join(lines)


_RIGHT = {True: "right", False: "wrong", None: "not checked: no such key is given"}


def _is_right(signature: Signature, parts: Container, keys: Sequence[Key]) -> bool | None:
    """Did one of the keys make it? None where none has its name."""
    named = [key for key in keys if (key.algorithm, key.name) == (signature.algorithm, signature.name)]
    return any(key.verifies(parts.signed, signature.signature) for key in named) if named else None


def _task(one: dict[str, Any]) -> str:
    kind = one["kind"] if one["mode"] == "inline" else f"{one['kind']}, in a {one['mode']}"
    jumps = ", may jump" if one["jumps"] else ""
    return f"{one['name']}{one['signature']}   {kind}, version {one['version']}{jumps}"


def _begun(program: Program) -> list[Blueprint]:
    """The graphs that are linked by name. (What stands for the names of a shape comes with the graph that has it.)"""
    return [program.data.blueprints[at] for at in sorted(program.data.begun())]


def _modules(program: Program) -> set[str]:
    """What linking imports: the modules of tasks and resources, and of the exceptions that are retried."""
    names = [symbol.name for symbol in program.symbols]
    for blueprint in _begun(program):
        names += [one.name for one in blueprint.resources]
        names += [error for policy in blueprint.policies if policy.retry is not None for error in policy.retry.on]
    return {name.partition(":")[0] for name in names} - {"builtins"}


def _policies(program: Program) -> set[tuple[str, str]]:
    """(task, what its calls are told), of all graphs."""
    return {pair for blueprint in program.data.blueprints for pair in _policies_of(blueprint)}


def _policies_of(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    for one in blueprint.instructions:
        if isa.BY_CODE[one.opcode].spec == "none":
            continue
        task = blueprint.symbols[one.aux].name
        if one.opcode != isa.MAP:
            yield task, policy_text(blueprint.policies[one.spec])
            continue
        mapped = blueprint.maps[one.spec]
        words = ["mapped"]
        if mapped.max_concurrency is not None:
            words.append(f"at most {mapped.max_concurrency} in progress")
        if mapped.policy != isa.NONE:
            words.append(policy_text(blueprint.policies[mapped.policy]))
        yield task, "; ".join(words)


def policy_text(policy: CallPolicy) -> str:
    """A policy in words."""
    words = []
    retry = policy.retry
    if retry is not None:
        found = f"{retry.max_attempts} attempts on {_names(retry.on)}"
        if retry.delay:
            found += f", {retry.delay:g} s between them"
            found += f", times {retry.backoff:g} each time" if retry.backoff != 1 else ""
            found += f", at most {retry.max_delay:g} s" if retry.max_delay is not None else ""
            found += f", jitter {retry.jitter:g}" if retry.jitter else ""
        words.append(found)
    if policy.timeout is not None:
        words.append(f"timeout {policy.timeout:g} s")
    if policy.cache is not None:
        words.append(f"cache {policy.cache!r}")
    if policy.constraints:
        amounts = [f"{name} {'as computed' if amount is None else f'{amount:g}'}" for name, amount in policy.constraints]
        words.append(f"holds {', '.join(amounts)}")
    if policy.rate is not None:
        words.append(f"at most {policy.rate.rate:g} starts in {policy.rate.per:g} s, shared as {policy.rate.name!r}")
    return "; ".join(words) or "none"


def _names(errors: Iterable[str]) -> str:
    return ", ".join(name.removeprefix("builtins:") for name in errors) or "nothing"
