"""What several test files share: values of every type, refusals, child processes, the hook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest

import ffi

t = ffi.types
WIDE = ffi.struct([("items", np.dtype((np.int64, 5)))], "struct wide")
THREE = ffi.struct([("bytes", np.dtype((np.uint8, 3)))], "struct three")
MIXED = ffi.struct([("c", t.int8), ("d", t.double)], "struct mixed")

# Whether calls and closures can do without libffi here.
DIRECT = ffi.CIF("void").path == "direct"

# Whether there is a GIL: not in free-threaded builds of Python.
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

# Values of each type for which cases.c has echo_NAME and drive_NAME.
VALUES = {
    **{f"int{n}": [-(2 ** (n - 1)), -1, 0, 2 ** (n - 1) - 1] for n in (8, 16, 32, 64)},
    **{f"uint{n}": [0, 1, 2**n - 1] for n in (8, 16, 32, 64)},
    "bool": [False, True],
    "char": [b"a", b"\0", b"\xff"],
    "float": [0.5, -np.inf],
    "double": [0.1, sys.float_info.max],
    "longdouble": [np.longdouble(1) / 3],
    "pointer": [0, 2 ** (8 * ffi.sizeof.pointer) - 1],
    "complex_float": [0.5 - 2j],
    "complex_double": [0.1 + 3j],
    "complex_longdouble": [np.clongdouble(0.1 + 3j) / 3],
    "byte": [(200,)],
    "three": [([1, 2, 3],)],
    "mixed": [(-3, 0.1)],
    "floats": [(0.5, 1.5, -2.5)],
    "longdoubles": [([0.1, -0.5],)],
    "nested": [((-3, 0.1), [([1, 2, 3],), ([4, 5, 6],)])],
    "wide": [(list(range(-2, 3)),)],
}
STRUCTS = {
    "byte": ffi.struct([("b", t.uint8)]),
    "three": THREE,
    "mixed": MIXED,
    "floats": ffi.struct([(name, t.float) for name in "xyz"]),
    "longdoubles": ffi.struct([("items", np.dtype((np.longdouble, 2)))]),
    "nested": ffi.struct([("m", MIXED), ("t", np.dtype((THREE.dtype, 2)))]),
    "wide": WIDE,
}


def plain(value):
    """Turn records and arrays into tuples and lists."""
    if isinstance(value, np.void):
        return tuple(plain(value[name]) for name in value.dtype.names)
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    return value


@contextmanager
def refused(kind: type[BaseException], match: str) -> Iterator[None]:
    """Expect an exception that is both `ffi.Error` and a builtin one."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert isinstance(caught.value, ffi.Error), f"{caught.value!r} is no ffi.Error"


def run_python(code: str, *arguments: object, timeout: float = 60) -> str:
    """Run Python code in a process of its own, which must end well and quietly."""
    paths = [str(Path(ffi.__file__).parents[1]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
    return done.stdout


class Unraisable:
    """What `sys.unraisablehook` was given, without keeping the objects."""

    def __init__(self) -> None:
        self.kinds: list[type[BaseException]] = []
        self.messages: list[str] = []
        self.objects: list[str] = []
        self.tracebacks: list[list[str]] = []

    def __call__(self, unraisable: Any) -> None:
        self.kinds.append(unraisable.exc_type)
        self.messages.append(str(unraisable.exc_value))
        self.objects.append(repr(unraisable.object))
        self.tracebacks.append(list(_functions(unraisable.exc_traceback)))


def _functions(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


def without_address(value: object) -> str:
    """Return what a test is named by: the same in every process, unlike some objects' repr."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))
