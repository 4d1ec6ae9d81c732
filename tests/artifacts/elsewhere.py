"""Python in a process of its own: where artifacts are compiled, linked and run without anything that this process knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def python(code: str, *args: str, **env: str) -> str:
    """What ``code`` prints in a process of its own, which can import Cascade and the module of flows."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "PYTHONWARNINGS": "error"} | env
    done = subprocess.run([sys.executable, "-c", code, *args], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
