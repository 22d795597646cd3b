"""Sub-interpreters are refused, clearly, whichever interpreter comes first."""

from __future__ import annotations

import importlib
import sys

import pytest
from checks import run_python

# CPython's own tests' way to sub-interpreters; 3.13 renamed it.
NAME = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"

CODE = """
import sys
import {name} as interpreters

{before}
interpreter = interpreters.create({arguments})
code = '''
import sys
sys.path[:] = {{path!r}}
try:
    import ffi
except ImportError as exc:
    print(exc, flush=True)
else:
    print("imported", flush=True)
print("ffi" in sys.modules, flush=True)
'''.format(path=sys.path)
failed = interpreters.run_string(interpreter, code)
assert failed is None, failed
interpreters.destroy(interpreter)
import ffi
print(ffi.dlopen(None).function("int abs(int)")(-3))
"""

MESSAGE = "ffi cannot be imported in a sub-interpreter: callbacks from C enter the main one"

# What has a GIL of its own, since 3.12, and what shares the main one's.
ARGUMENTS = [""] if sys.version_info < (3, 12) else ["isolated=True", "isolated=False"]
if sys.version_info >= (3, 13):
    ARGUMENTS = ["'isolated'", "'legacy'"]


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("before", ["", "import ffi"], ids=["first", "second"])
def test_refused(before, arguments):
    assert importlib.util.find_spec(NAME), f"this Python has no {NAME}"
    code = CODE.format(name=NAME, before=before, arguments=arguments)
    assert run_python(code) == f"{MESSAGE}\nFalse\n3\n"
