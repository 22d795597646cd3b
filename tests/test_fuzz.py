"""Odd objects at every public callable: exceptions are fine, crashes and hangs are not.

The number of calls for each seed is in the environment variable FFI_FUZZ_ROUNDS. A crash is told by
the description of the call, which is written before it is made.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ffi

ROUNDS = int(os.environ.get("FFI_FUZZ_ROUNDS", "3000"))
SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_odd_objects(seed, cases, tmp_path):
    log = tmp_path / "last-call"
    fuzzer = Path(__file__).with_name("fuzzer.py")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", fuzzer, str(seed), str(ROUNDS), cases, log],
        env={**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60 + ROUNDS / 100,
        check=False,
    )
    last = log.read_text(errors="replace").strip("\0") if log.exists() else "none"
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr}\nlast call: {last}"
    # If nearly everything is refused at the door, nothing is tested.
    worked, refused = map(int, done.stdout.split())
    assert worked + refused == ROUNDS
    assert worked > ROUNDS / 10
