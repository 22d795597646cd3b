"""Looking for the file of a library by its short name."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

from ffi.errors import FFITypeError

# Names that ``lib{name}.so`` may be made of; a file name is none of these.
_SHORT_NAME = re.compile(r"(?!.*\.(?:so|dylib)\b)\w[\w+.-]*", re.ASCII)
_SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"


def candidates(name: str | bytes | os.PathLike[str] | None) -> Iterator[str]:
    """Yield what a linker's option ``-l`` would find, the file without a version last."""
    if isinstance(name, (str, bytes)) and _SHORT_NAME.fullmatch(os.fsdecode(name)):
        short = os.fsdecode(name)
        found = find_library(short)
        if found is not None:
            yield found
        yield f"lib{short}{_SUFFIX}"


def find_library(name: str) -> str | None:
    """Find the file of a library by its short name.

    Parameters
    ----------
    name : str
        As the linker's option ``-l`` takes it: ``"m"``, without prefix, suffix and version.

    Returns
    -------
    str or None
        What `dlopen` can load; None if there is no such library.

    Raises
    ------
    TypeError
        If `name` is no str.

    References
    ----------
    The standard library's ``ctypes.util.find_library``.

    Examples
    --------
    >>> ffi.find_library("m")  # doctest: +SKIP
    'libm.so.6'
    >>> ffi.find_library("no-such-library")
    """
    if not isinstance(name, str):
        raise FFITypeError(f"find_library(): expected str, got {type(name).__name__}")
    if not _SHORT_NAME.fullmatch(name):
        return None
    # Not at the top: it is large, and seldom needed, as is subprocess.
    try:
        from ctypes import util
    except ImportError:
        # A Python without ctypes, or ctypes without the system's libffi
        return _in_linker_cache(name)
    return util.find_library(name)


def _in_linker_cache(name: str) -> str | None:
    """Find a library among those that glibc's dynamic linker knows, as ctypes does first."""
    import subprocess

    try:
        command = ["/sbin/ldconfig", "-p"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    # Names, not paths: the linker takes the one of the right architecture.
    match = re.search(rf"^\s+(lib{re.escape(name)}\.so\S*) \(", done.stdout, re.MULTILINE)
    return match[1] if match else None
