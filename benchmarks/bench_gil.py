"""What releasing the GIL costs, alone and beside a thread that runs Python code."""

import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

import kernels
from kernels import Kernel
from report import Bar, Table
from timing import Effort, Measurement, all_processors, collector_paused

import ffi

# Each round waits for the one before.
SPIN = Kernel(
    "spin",
    "double",
    ("long",),
    (3,),
    1.75,
    "spin_for(a0)",
    """
static double spin_for(long count)
{
    double value = 0;
    while (count-- > 0)
        value = 0.5 * value + 1;
    return value;
}
""",
)
DURATION_NS = 1000
# A thread that waits for the GIL gets it after 5 ms: a sample has many such turns.
SAMPLE_NS = 250_000_000


def run(effort: Effort) -> list[Table]:
    """Call a function that takes a microsecond, with the GIL released and kept."""
    samples: dict[str, dict[str, list[float]]] = {}
    with kernels.compiled([SPIN]) as path, all_processors(), collector_paused():
        library = ffi.dlopen(path)
        functions = {
            name: library.function(SPIN.name, "double", "long", release_gil=release_gil)
            for name, release_gil in [("kept", False), ("released", True)]
        }
        for function in functions.values():
            if (result := function(3)) != SPIN.expected:
                raise AssertionError(f"expected {SPIN.expected}, got {result}")
        count = calibrate(functions["kept"])
        rounds = max(3, effort.rounds // 10)
        for title, company in [("alone", alone), ("beside a busy thread", busy_thread)]:
            samples[title] = {name: [] for name in functions}
            with company():
                for _ in range(rounds):
                    for name, function in functions.items():
                        samples[title][name].append(time_calls(function, count))
    rows = {
        title: {
            name: Measurement(min(times), statistics.median(times))
            for name, times in columns.items()
        }
        for title, columns in samples.items()
    }
    return [Table("A function of a microsecond", "kept", rows)]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield nothing: what waiting for the GIL costs is CPython's."""
    yield from ()


def calibrate(function: Callable[[int], float]) -> int:
    """Return how many rounds take `DURATION_NS`."""
    count = 1000
    best = min(time_calls(function, count, 1_000_000) for _ in range(20))
    return max(1, int(count * DURATION_NS / best))


def time_calls(function: Callable[[int], float], count: int, duration: int = SAMPLE_NS) -> float:
    """Return the nanoseconds of one call: the mean, for a few wait long."""
    calls = 0
    start = perf_counter_ns()
    while (elapsed := perf_counter_ns() - start) < duration:
        function(count)
        calls += 1
    return elapsed / calls


@contextmanager
def alone() -> Iterator[None]:
    """Run no other thread."""
    yield


@contextmanager
def busy_thread() -> Iterator[None]:
    """Run a thread that never waits."""
    finished = False

    def work() -> None:
        while not finished:
            pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished = True
        thread.join()
