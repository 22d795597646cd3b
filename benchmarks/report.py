"""What a benchmark reports: tables of times and bars to hold, printed or as JSON."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from timing import Measurement


@dataclass(frozen=True)
class Table:
    """Times of several contenders (columns) in several cases (rows), against one of them."""

    title: str
    reference: str
    rows: dict[str, dict[str, Measurement]]

    def ratio(self, row: str, column: str) -> float:
        """Return a contender's best time as a multiple of the reference's."""
        return self.rows[row][column].best / self.rows[row][self.reference].best

    def lines(self) -> Iterator[str]:
        """Yield the table as text."""
        # Not all take part everywhere.
        columns = list(dict.fromkeys(column for times in self.rows.values() for column in times))
        width = max(len(row) for row in self.rows)
        yield f"{self.title}: ns per call, and as a multiple of {self.reference}"
        yield ""
        yield " " * width + "".join(f"{column:>16}" for column in columns)
        for row, times in self.rows.items():
            cells = [
                f"{times[c].best:9.1f} {self.ratio(row, c):6.2f}" if c in times else " " * 16
                for c in columns
            ]
            yield f"{row:<{width}}" + "".join(cells)

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON values."""
        rows = {
            row: {
                column: {"best": time.best, "median": time.median, "ratio": self.ratio(row, column)}
                for column, time in times.items()
            }
            for row, times in self.rows.items()
        }
        return {"title": self.title, "reference": self.reference, "rows": rows}


@dataclass(frozen=True)
class Bar:
    """A limit that a measured value shall not exceed."""

    title: str
    value: float
    limit: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is within the limit."""
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "holds " if self.holds else "MISSED"
        value, limit = f"{self.value:.2f}{self.unit}", f"{self.limit:g}{self.unit}"
        return f"{verdict}  {self.title}: {value} (bar: {limit})"

    def as_json(self) -> dict[str, Any]:
        """Return the bar as JSON values."""
        return {**vars(self), "holds": self.holds}


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    tables: Sequence[Table] = field(default=())
    bars: Sequence[Bar] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "tables": [table.as_json() for table in self.tables],
            "bars": [bar.as_json() for bar in self.bars],
        }


def combined(tables: Sequence[Table]) -> Table:
    """Return the medians of a table that several processes measured."""
    first = tables[0]
    rows = {
        row: {column: median([table.rows[row][column] for table in tables]) for column in times}
        for row, times in first.rows.items()
    }
    return Table(first.title, first.reference, rows)


def median(measurements: Sequence[Measurement]) -> Measurement:
    """Return the medians of what several processes measured."""
    return Measurement(
        statistics.median(measurement.best for measurement in measurements),
        statistics.median(measurement.median for measurement in measurements),
    )
