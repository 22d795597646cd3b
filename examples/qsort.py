"""Sort an array with C's qsort, which calls a Python function to compare two items."""

import numpy as np

import ffi

values = np.array([3.0, -1.0, 0.5, -4.0, 2.0])


def compare(rvalue: memoryview, avalues: memoryview) -> None:
    """Compare by magnitude: write a number below, equal to or above 0 to `rvalue`."""
    left, right = (magnitude(argument) for argument in avalues)
    ffi.write("int", rvalue, (left > right) - (left < right))


def magnitude(argument: int) -> float:
    """Return the magnitude of the item that an argument, at this address, points at."""
    item = ffi.read_pointer(ffi.view(argument, "pointer"))
    value: float = ffi.view(item, np.float64).item()
    return abs(value)


# `closure` must live as long as C may call it: here, until qsort returns.
closure = ffi.Closure(ffi.CIF("int", "pointer", "pointer"), compare)

# void qsort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *));
qsort = ffi.dlsym(ffi.dlopen(None), "qsort")
cif = ffi.CIF("void", "pointer", "size_t", "size_t", "pointer")
expected = np.array(sorted(values, key=abs))
ffi.call(cif, qsort, None, cif.pack(values, values.size, values.itemsize, closure))

print("sorted by magnitude:", values)
np.testing.assert_array_equal(values, expected)
