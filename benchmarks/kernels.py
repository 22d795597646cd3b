"""Compile `kernels.c`."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.c")


@contextmanager
def compiled() -> Iterator[Path]:
    """Yield a shared library made of `kernels.c`; the file goes afterwards."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "kernels.so")
        subprocess.run(
            [*compiler, "-O2", "-fPIC", "-shared", "-o", str(library), str(SOURCE)], check=True
        )
        yield library
