"""Draw what `bench_direct.py` measured: nanoseconds per call over the number of arguments."""

import json
from pathlib import Path
from typing import Any

import bench_direct
import matplotlib as mpl
from matplotlib.figure import Figure

PANELS = {bench_direct.OVER_LONGS: "long", bench_direct.OVER_MIXED: "mixed scalars"}
LINES = {"ffi_call": ("C1", "s"), "direct": ("C0", "o"), "compiled": ("0.5", "^")}
# The same numbers make the same file.
STYLE: Any = {"svg.hashsalt": "ffi", "svg.fonttype": "none", "font.family": "sans-serif"}


def draw(results: Path, target: Path) -> None:
    """Draw the chart of a file of results that has the tables in question."""
    found = json.loads(results.read_text())["benchmarks"].get("direct", {"tables": []})
    tables = {table["title"]: table for table in found["tables"]}
    if missing := [title for title in PANELS if title not in tables]:
        raise SystemExit(f"no chart: {results} has no table {missing[0]!r}")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for axis, (title, label) in zip(axes, PANELS.items(), strict=True):
            plot(axis, tables[title]["rows"])
            axis.set_xlabel(f"arguments, {label}")
        # Shared, hence after both panels are drawn.
        axes[0].set_ylim(bottom=0)
        axes[0].set_ylabel("ns per call")
        axes[0].legend(frameon=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})


def plot(axis: Any, rows: dict[str, dict[str, dict[str, float]]]) -> None:
    """Draw the lines of one table."""
    counts = [int(row) for row in rows]
    for name, (colour, marker) in LINES.items():
        times = [row[name]["best"] for row in rows.values()]
        axis.plot(counts, times, color=colour, marker=marker, markersize=3.5, label=name)
    axis.set_xlim(0, max(counts))
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
