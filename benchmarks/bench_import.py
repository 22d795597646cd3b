"""`import ffi`, beyond `import numpy`."""

import os
import statistics
import subprocess
import sys

from report import Bar, Report
from timing import Effort

PROGRAM = """
from time import perf_counter
start = perf_counter()
import {}
print(perf_counter() - start)
"""
LIMIT_MS = 15


def run(effort: Effort) -> Report:
    """Import both in child processes that take turns."""
    import_ms("ffi")  # fills the caches of files
    differences = [import_ms("ffi") - import_ms("numpy") for _ in range(effort.processes)]
    bar = Bar("import ffi beyond import numpy", statistics.median(differences), LIMIT_MS, " ms")
    return Report(bars=[bar])


def import_ms(module: str) -> float:
    """Return the milliseconds that an import takes in a new process."""
    command = [sys.executable, "-c", PROGRAM.format(module)]
    # Installed modules have their bytecode.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return 1000 * float(done.stdout)
