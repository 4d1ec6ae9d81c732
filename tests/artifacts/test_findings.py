"""What fuzzing has found, one file each, named after what was wrong with it: each is refused by now, or does no harm."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FINDINGS = sorted((TESTS / "artifacts" / "findings").glob("*.cb[pl]"))


@pytest.fixture(scope="module", autouse=True)
def _fuzzer_can_be_imported():
    sys.path.append(str(TESTS / "fuzz"))
    yield
    sys.path.remove(str(TESTS / "fuzz"))


def test_there_are_some():
    assert len(FINDINGS) >= 8


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_a_finding(path):
    """Refused with an error of Cascade's own, or run within bounded steps, whatever the inputs"""
    from fuzz_outcome import outcome
    from fuzz_slices import known_samples

    content = path.read_bytes()
    told = set()
    for number, sample in enumerate(known_samples()):
        told.add(outcome(sample, content.decode() if path.suffix == ".cbl" else content, random.Random(number)))
        if any(one.startswith(("LoadError", "VerifyError")) for one in told):
            break  # refused before it could ask for inputs
    assert told


def test_the_findings_on_small_stacks():
    """In another process: none of them ends it, with 32 KiB of stack or 256, and however deep Python would recurse"""
    code = f"""
import sys, threading
from pathlib import Path
from cascade_vm import LoadError, VerifyError, assemble, loads, verify
told = []
def read():
    for path in sorted(Path({str(TESTS)!r}, "artifacts", "findings").glob("*.cb[pl]")):
        try:
            if path.suffix == ".cbl":
                verify(assemble(path.read_text("utf-8")))
            else:
                loads(path.read_bytes())
        except (LoadError, VerifyError) as refused:
            told.append(refused.code)
        else:
            told.append("accepted")
for limit in (sys.getrecursionlimit(), 1_000_000):
    sys.setrecursionlimit(limit)
    for stack in (32, 256):
        threading.stack_size(stack * 1024)
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
print(len(told))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TESTS.parent)
    assert shown.stdout.split() == [str(4 * len(FINDINGS))], shown.stderr
