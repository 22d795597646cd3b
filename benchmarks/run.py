"""Run the benchmarks: each `bench_*.py` beside this file has `run(effort)` and `bars(tables)`."""

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from report import Report, Table, combined
from timing import FULL, QUICK, Effort

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHARTS = ROOT / "docs" / "charts"
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> None:
    """Run what the command line asks for, print it and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; or all")
    parser.add_argument("--quick", action="store_true", help="a few seconds, roughly")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "latest.json")
    parser.add_argument("--chart", action="store_true", help=f"fill {CHARTS.relative_to(ROOT)} too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")

    pin()
    print("\n".join(f"{key}: {value}" for key, value in environment().items()))
    effort = QUICK if options.quick else FULL
    reports = {name: run(name, effort) for name in options.names or NAMES}
    print("\nBars\n")
    for report in reports.values():
        for bar in report.bars:
            print(bar)
    write(options.output, reports)
    print(f"\nWritten to {options.output}")
    if options.chart:
        # Only here: the benchmarks themselves need no matplotlib.
        import chart

        for path in chart.draw(options.output, CHARTS):
            print(f"Drawn: {path.relative_to(ROOT)}")


def pin() -> None:
    """Stay on one processor, where the system can do that."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def environment() -> dict[str, str]:
    """Return what the numbers depend on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "system": platform.platform(),
        "machine": platform.machine(),
        "compiler": platform.python_compiler(),
    }


def run(name: str, effort: Effort) -> Report:
    """Run one benchmark in several processes, one after the other, and print its tables.

    Where code and data happen to lie differs from process to process, and costs some nanoseconds.
    """
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = pool.starmap(measure, [(name, effort)] * effort.processes, chunksize=1)
    tables = [combined(same) for same in zip(*found, strict=True)]
    for table in tables:
        print("", *table.lines(), sep="\n", flush=True)
    return Report(tables, list(importlib.import_module(f"bench_{name}").bars(tables)))


def measure(name: str, effort: Effort) -> list[Table]:
    """Run one benchmark in this process."""
    tables: list[Table] = importlib.import_module(f"bench_{name}").run(effort)
    return tables


def write(path: Path, reports: dict[str, Report]) -> None:
    """Write everything as JSON."""
    content: dict[str, Any] = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": environment(),
        "benchmarks": {name: report.as_json() for name, report in reports.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
