"""`import ffi`, beyond `import numpy`."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from report import Bar, Table
from timing import Effort, Measurement

PROGRAM = """
from time import perf_counter
start = perf_counter()
import {}
print(perf_counter() - start)
"""
LIMIT_MS = 15
NUMPY, FFI = "import numpy", "import ffi"


def run(effort: Effort) -> list[Table]:
    """Import both in child processes that take turns."""
    import_ms("ffi")  # fills the caches of files
    times: dict[str, list[float]] = {NUMPY: [], FFI: []}
    for _ in range(effort.imports):
        for statement, found in times.items():
            found.append(1e6 * import_ms(statement.removeprefix("import ")))
    measured = {
        name: Measurement(min(found), statistics.median(found)) for name, found in times.items()
    }
    return [Table("Imports", NUMPY, {"in a new process": measured})]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limit, of the medians."""
    times = tables[0].rows["in a new process"]
    beyond = (times[FFI].median - times[NUMPY].median) / 1e6
    yield Bar("import ffi beyond import numpy", beyond, LIMIT_MS, " ms")


def import_ms(module: str) -> float:
    """Return the milliseconds that an import takes in a new process."""
    command = [sys.executable, "-c", PROGRAM.format(module)]
    # Installed modules have their bytecode.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return 1000 * float(done.stdout)
