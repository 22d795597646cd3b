"""Time expressions against each other: interleaved, so that ratios hold when the machine drifts."""

import gc
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

# The names an expression uses become locals of the loop, so that looking them up costs the same
# for every contender, and little.
TEMPLATE = """
def once({names}):
    return {expression}

def loop(_clock, _repeat, {names}):
    _start = _clock()
    for _ in _repeat:
        {expression}
    return _clock() - _start
"""


def same(value: Any) -> Any:
    """Return `value`."""
    return value


@dataclass(frozen=True)
class Contender:
    """An expression to time, the values of its names, and how its result is read.

    `calls` is how many calls an evaluation makes, in a loop of its own.
    """

    name: str
    expression: str
    names: Mapping[str, Any]
    result: Callable[[Any], Any] = same
    calls: int = 1


@dataclass(frozen=True)
class Measurement:
    """Nanoseconds per call."""

    best: float
    median: float


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, the length of a sample, processes, and imports in each."""

    rounds: int
    sample_ns: int
    processes: int
    imports: int


EMPTY = Contender("empty loop", "None", {})
FULL = Effort(rounds=100, sample_ns=400_000, processes=5, imports=5)
QUICK = Effort(rounds=30, sample_ns=100_000, processes=1, imports=3)


def measure(
    contenders: Sequence[Contender],
    expected: object,
    effort: Effort,
    empty_loop: Contender = EMPTY,
) -> dict[str, Measurement]:
    """Check what the contenders give, then time them in turns: A B C A B C and so on.

    The time of the empty loop is subtracted, evaluation by evaluation.
    """
    for contender in contenders:
        check(contender, expected)
    loops = [Loop(contender) for contender in contenders]
    empty = Loop(empty_loop)
    with collector_paused():
        for loop in [empty, *loops]:
            loop.calibrate(effort.sample_ns)
        for _ in range(effort.rounds):
            for loop in [empty, *loops]:
                loop.sample()
    best, median = min(empty.samples), statistics.median(empty.samples)
    return {
        loop.name: Measurement(
            min(loop.samples) - best * empty.calls / loop.calls,
            statistics.median(loop.samples) - median * empty.calls / loop.calls,
        )
        for loop in loops
    }


def check(contender: Contender, expected: object) -> None:
    """Raise an AssertionError unless the expression gives what it should."""
    once = compile_functions(contender)["once"]
    result = contender.result(once(**contender.names))
    if result != expected:
        raise AssertionError(f"{contender.name}: expected {expected!r}, got {result!r}")


def compile_functions(contender: Contender) -> dict[str, Any]:
    """Return the functions of the template for one contender."""
    functions: dict[str, Any] = {}
    source = TEMPLATE.format(expression=contender.expression, names=", ".join(contender.names))
    exec(source, functions)
    return functions


class Loop:
    """A contender's loop and the nanoseconds per call of its samples."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.names = contender.names
        self.calls = contender.calls
        self.function = compile_functions(contender)["loop"]
        self.count = 1
        self.samples: list[float] = []

    def run(self) -> int:
        """Return the nanoseconds of one sample."""
        elapsed: int = self.function(perf_counter_ns, [None] * self.count, **self.names)
        return elapsed

    def calibrate(self, nanoseconds: int) -> None:
        """Choose how many evaluations make a sample of about so many nanoseconds."""
        # Of several, because one that is interrupted seems to take too long.
        while (elapsed := min(self.run() for _ in range(3))) < nanoseconds // 2:
            self.count *= 2
        self.count = max(1, self.count * nanoseconds // elapsed)

    def sample(self) -> None:
        """Take one sample."""
        self.samples.append(self.run() / (self.count * self.calls))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector out of the measurements."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def all_processors() -> Iterator[None]:
    """Use every processor, whatever the process is pinned to: the threads shall run at once."""
    if sys.platform != "linux":
        yield
        return
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned)
