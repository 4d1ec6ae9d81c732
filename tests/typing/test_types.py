"""Type checkers accept what is right and find what is wrong (docs/how-to/types.md). pyright takes a part in `make lint` alone."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from checkers import FILES, HERE, ROOT, differences, expected


def test_what_type_checkers_must_accept_runs():
    # In a process of its own: its resources have names that others in this one may have, too.
    command = [sys.executable, "-W", "error", str(HERE / "accepted.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


def test_faults_are_expected_and_only_of_the_one_file():
    assert not expected(FILES[0], "mypy") | expected(FILES[0], "pyright")
    assert min(len(expected(FILES[1], checker)) for checker in ("mypy", "pyright")) > 40


def test_mypy_finds_the_faults_and_no_others(tmp_path):
    assert differences("mypy", tmp_path) == []


@pytest.mark.slow
def test_pyright_finds_the_faults_and_no_others(tmp_path):
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    assert differences("pyright", tmp_path) == []
