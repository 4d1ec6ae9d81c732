"""The decoder of artifacts under atheris, which looks for bytes that reach code that none has reached before.

    python tests/fuzz/atheris_decoder.py [FOLDER ...] [-max_total_time=600] [other options of libFuzzer]

Each input is the content of an artifact, or what is told about one, or a whole artifact, by its first byte; the hash is put right. What is
accepted must be in canonical form. FOLDER keeps what covers something new; a finding is kept as ``crash-...`` in the working folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

for _folder in (Path(__file__).parents[2], Path(__file__).parent):
    sys.path.insert(0, str(_folder))

with atheris.instrument_imports(include=["cascade_vm"]):
    import cascade_vm.codec
    from cascade_vm import LoadError, VerifyError
    from cascade_vm.container import pack, unpack

import msgspec  # noqa: E402 (behind what is watched)
from fuzz_corpus import samples  # noqa: E402
from msgspec.structs import astuple  # noqa: E402

from cascade_vm.about import about  # noqa: E402
from cascade_vm.content_form import FIELDS  # noqa: E402

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_ABOUT = b"\x93\x80\x80\x80"


def one_input(data: bytes) -> None:
    """:raises AssertionError: something was accepted that is not in canonical form. Any other error is a finding as it is."""
    kind, body = data[:1], data[1:]
    if kind == b"c":
        artifact = pack(body, _ABOUT)
    elif kind == b"a":
        artifact = pack(_content, body)
    else:
        artifact = data
    try:
        program = cascade_vm.codec.loads(artifact)
    except (LoadError, VerifyError) as refused:
        if not refused.code or not str(refused):
            raise AssertionError("an error that says nothing") from refused
        return
    parts = unpack(artifact)
    assert _ENCODER.encode(astuple(program.data)[: FIELDS[parts.version]]) == parts.content
    if parts.version >= 3:
        assert _ENCODER.encode(about(program.source_maps, program.fingerprints, program.provenance)) == parts.about


def seeds() -> list[bytes]:
    """What is known to be good, from which the others are made."""
    found = []
    for sample in samples():
        parts = unpack(sample.artifact)
        found += [sample.artifact, b"c" + bytes(parts.content)]
        if parts.version >= 3:
            found.append(b"a" + bytes(parts.about))
    return found


_content = bytes(unpack(samples()[1].artifact).content)


def main() -> None:
    """Run libFuzzer, in the folders that are given or one that is made."""
    folders = [one for one in sys.argv[1:] if not one.startswith("-")]
    folder = Path(folders[0]) if folders else Path("fuzz-corpus")
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(one)
    atheris.Setup(sys.argv if folders else [*sys.argv, str(folder)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
