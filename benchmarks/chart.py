"""Draw what the benchmarks measured, as the charts that the documentation shows."""

import json
from pathlib import Path
from typing import Any

import bench_direct
import bench_typed_calls
import bench_ufuncs
import matplotlib as mpl
from matplotlib.figure import Figure

PANELS = {bench_direct.OVER_LONGS: "long", bench_direct.OVER_MIXED: "mixed scalars"}
LINES = {"ffi_call": ("C1", "s"), "direct": ("C0", "o"), "compiled": ("0.5", "^")}
# As the columns are called: in the chart, its colour and marker.
TYPED = {
    "ctypes": ("ctypes", "C3", "s"),
    "cffi ABI": ("cffi, ABI mode", "C1", "s"),
    "cffi API": ("cffi, API mode", "C8", "D"),
    "nanobind": ("nanobind", "0.7", "v"),
    "Cython": ("Cython", "0.4", "^"),
    "released": ("ffi", "C9", "o"),
    "kept": ("ffi, release_gil=False", "C0", "o"),
}
UFUNCS = {
    "np.vectorize": ("np.vectorize of ctypes", "C3", "s"),
    "np.frompyfunc": ("np.frompyfunc of ctypes", "C1", "D"),
    "numba": ("numba, of ctypes", "0.7", "v"),
    "compiled": ("compiled with Cython", "0.4", "^"),
    "ffi": ("ffi", "C0", "o"),
}
# The same numbers make the same file.
STYLE: Any = {"svg.hashsalt": "ffi", "svg.fonttype": "none", "font.family": "sans-serif"}

Rows = dict[str, dict[str, dict[str, float]]]


def draw(results: Path, folder: Path) -> list[Path]:
    """Draw the charts whose tables are in a file of results; return what was written."""
    benchmarks = json.loads(results.read_text())["benchmarks"].values()
    tables = {table["title"]: table["rows"] for found in benchmarks for table in found["tables"]}
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (function, titles) in CHARTS.items():
        if not all(title in tables for title in titles):
            continue
        with mpl.rc_context(STYLE):
            figure = function(*(tables[title] for title in titles))
            target = folder / name
            figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
        drawn.append(target)
    return drawn


def direct(*panels: Rows) -> Figure:
    """Draw calls in C over the number of arguments."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, rows, label in zip(axes, panels, PANELS.values(), strict=True):
        for name, (colour, marker) in LINES.items():
            plot(axis, rows, name, name, colour, marker)
        axis.set_xlabel(f"arguments, {label}")
    # Shared, hence after both panels are drawn.
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("ns per call")
    axes[0].legend(frameon=False)
    return figure


def plot(axis: Any, rows: Rows, column: str, label: str, colour: str, marker: str) -> None:
    """Draw one contender's line."""
    counts = [int(row) for row in rows]
    times = [row[column]["best"] for row in rows.values()]
    axis.plot(counts, times, color=colour, marker=marker, markersize=3.5, label=label)
    axis.set_xlim(0, max(counts))
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)


def typed_cases(rows: Rows) -> Figure:
    """Draw typed calls, a line of marks for each function."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    for column, (label, colour, marker) in present(rows):
        times = [row[column]["best"] for row in rows.values()]
        size = 7 if column in ("released", "kept") else 5
        axis.plot(times, range(len(rows)), marker, color=colour, markersize=size, label=label)
    axis.set_xscale("log")
    axis.set_xlabel("ns per call")
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=4, loc="outside upper center")
    return figure


def typed_arguments(rows: Rows) -> Figure:
    """Draw typed calls over the number of arguments, and without those that dwarf the rest."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    whole, detail = figure.subplots(1, 2)
    for column, (label, colour, marker) in present(rows):
        plot(whole, rows, column, label, colour, marker)
        if column not in ("ctypes", "cffi ABI"):
            plot(detail, rows, column, "_" + label, colour, marker)
    for axis in (whole, detail):
        axis.set_ylim(bottom=0)
        axis.set_xlabel("arguments, mixed scalars")
    whole.set_ylabel("ns per call")
    detail.set_title("without ctypes and cffi's ABI mode", fontsize="medium")
    figure.legend(frameon=False, ncols=4, loc="outside upper center")
    return figure


def ufuncs(rows: Rows, slow: Rows) -> Figure:
    """Draw ufuncs over the number of elements, those that take too long over few."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for column, (label, colour, marker) in UFUNCS.items():
        times = {
            int(size): row[column]["best"]
            for table in (slow, rows)
            for size, row in table.items()
            if column in row
        }
        if times:
            axis.plot(list(times), list(times.values()), color=colour, marker=marker, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("elements")
    axis.set_ylabel("ns per element")
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def present(rows: Rows) -> list[tuple[str, tuple[str, str, str]]]:
    """Return the contenders that took part."""
    columns = next(iter(rows.values()))
    return [(column, look) for column, look in TYPED.items() if column in columns]


CHARTS: dict[str, tuple[Any, list[str]]] = {
    "direct.svg": (direct, list(PANELS)),
    "typed_calls.svg": (typed_cases, [bench_typed_calls.TYPED]),
    "ufuncs.svg": (ufuncs, [bench_ufuncs.OVER_SIZES, bench_ufuncs.SLOW]),
    "typed_arguments.svg": (typed_arguments, [bench_typed_calls.OVER_MIXED]),
}
