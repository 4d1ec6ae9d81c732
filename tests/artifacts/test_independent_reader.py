"""The page about the format is enough to read artifacts: a reader written from it finds what ``loads`` finds, and refuses alike."""

from __future__ import annotations

import ast
import decimal
import random
import sys
from pathlib import Path
from typing import Any

import artifact_flows
import independent_reader
import jump_flows
import msgspec
import pytest
import shape_flows
from damage import body_of, mutate, sealed

from cascade_compiler import compile
from cascade_vm import HmacKey, LoadError, VerifyError, constants, loads, sign

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "artifacts").glob("*.cbp"))


def test_it_imports_nothing_of_ours():
    tree = ast.parse(Path(independent_reader.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names | {"__future__"}


def plain(value: Any, form: Any) -> Any:
    """What ``loads`` gives in the words of the reader."""
    if isinstance(form, list):
        return [plain(one, form[0]) for one in value]
    if isinstance(form, dict):
        return {key: plain(one, form[""]) for key, one in value.items()}
    if form.startswith("?"):
        return None if value is None else plain(value, form[1:])
    if form == independent_reader.CONSTANT:
        return shown(constants.decode(value))
    if form in independent_reader.STRUCTURES:
        parts = [getattr(value, name) for name in value.__struct_fields__] if isinstance(value, msgspec.Struct) else value
        fields = independent_reader.STRUCTURES[form]
        return {name: plain(part, inner) for part, (name, inner) in zip(parts, fields.items(), strict=True)}
    return value


def shown(value: Any) -> str:
    """A constant as text, with its types and without the order of sets."""
    if type(value) in (set, frozenset):
        return f"{type(value).__name__}({sorted(map(shown, value))})"
    if type(value) is dict:
        return "{" + ", ".join(f"{shown(key)}: {shown(one)}" for key, one in value.items()) + "}"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({', '.join(map(shown, value))})"
    return f"{type(value).__name__} {value!r}"


def read_plain(found: Any, form: Any) -> Any:
    """What the reader gives, constants as text."""
    if isinstance(form, list):
        return [read_plain(one, form[0]) for one in found]
    if isinstance(form, dict):
        return {key: read_plain(one, form[""]) for key, one in found.items()}
    if form.startswith("?"):
        return None if found is None else read_plain(found, form[1:])
    if form == independent_reader.CONSTANT:
        return shown(found.value)
    if form in independent_reader.STRUCTURES:
        return {name: read_plain(found[name], inner) for name, inner in independent_reader.STRUCTURES[form].items() if name in found}
    return found


def agrees(artifact: bytes) -> None:
    program, found = loads(artifact), independent_reader.read(artifact)
    versions = [int.from_bytes(artifact[at : at + 2], "big") for at in (8, 10, 12)]
    assert (found["versions"], found["hash"]) == (versions, artifact[24:56])
    expected = plain(program.data, "Program")
    assert read_plain(found["program"], "Program") == {name: expected[name] for name in found["program"]}
    assert not any(expected[name] for name in expected.keys() - found["program"].keys())  # what the old version had not
    if versions[0] == 3:
        assert found["about"]["fingerprints"] == program.fingerprints
        assert found["about"]["provenance"] == program.provenance
        maps = found["about"]["source_maps"]
        assert maps == plain(program.source_maps, {"": "SourceMap"})
        places = {
            name: [
                (int.from_bytes(one["numbers"][2 * at : 2 * at + 2], "big"), int.from_bytes(one["lines"][4 * at : 4 * at + 4], "big"))
                for at in range(len(one["numbers"]) // 2)
            ]
            for name, one in maps.items()
        }
        assert {name: [pair if pair[0] != 0xFFFF else (-1, 0) for pair in one] for name, one in places.items()} == {
            name: source_map.places() for name, source_map in program.source_maps.items()
        }
    else:
        assert {name: [(one["file"], one["line"]) for one in old["places"]] for name, old in found["about"].items()} == {
            name: source_map.places() for name, source_map in program.source_maps.items()
        }


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_golden_corpus(path):
    """Of every version of the container"""
    agrees(path.read_bytes())


@pytest.mark.parametrize(
    "flow",
    [artifact_flows.small, artifact_flows.rich, jump_flows.machine, jump_flows.states, shape_flows.everything],
    ids=["small", "rich", "machine", "states", "shapes"],
)
def test_what_is_compiled_now(flow):
    agrees(compile(flow).to_bytes())


def test_signatures():
    artifact = sign(compile(artifact_flows.small).to_bytes(), HmacKey(bytes(range(32)), "me"))
    (signature,) = independent_reader.read(artifact)["signatures"]
    assert (signature["algorithm"], signature["name"], len(signature["signature"])) == ("hmac-sha256", "me", 32)


@pytest.mark.parametrize("seed", range(3))
def test_it_refuses_what_is_malformed(seed):
    """What the reader cannot read, ``loads`` refuses; what it can read, ``loads`` refuses for no reason of form"""
    artifact = compile(artifact_flows.small).to_bytes()
    rng = random.Random(seed)
    read = refused = 0
    for _ in range(300):
        tree = msgspec.msgpack.decode(body_of(artifact))
        mutate(tree, rng)
        body = bytearray(msgspec.msgpack.encode(tree))
        if rng.random() < 0.5:
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        changed = sealed(artifact, bytes(body))
        try:
            independent_reader.read(changed)
            read += 1
        except (independent_reader.Unreadable, ValueError, TypeError, decimal.DecimalException):
            refused += 1
            with pytest.raises((LoadError, VerifyError)):
                loads(changed)
    assert read > 20
    assert refused > 20



