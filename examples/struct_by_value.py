"""Call C's lldiv, which returns a struct, straight into the rows of a structured array."""

import math

import numpy as np

import ffi

# typedef struct { long long quot, rem; } lldiv_t;
# lldiv_t lldiv(long long numerator, long long denominator);
lldiv_t = ffi.struct([("quot", "longlong"), ("rem", "longlong")], name="lldiv_t")
cif = ffi.CIF(lldiv_t, "longlong", "longlong")
lldiv = ffi.dlsym(ffi.dlopen(None), "lldiv")

numerators = np.array([17, -17, 10**15 + 1], np.longlong)
denominator = np.array([5], np.longlong)
results = np.zeros(numerators.size, lldiv_t.dtype)

for i in range(numerators.size):
    # Slices are views: C reads the arguments from the arrays, and writes the result to its row.
    ffi.call(cif, lldiv, results[i : i + 1], (numerators[i : i + 1], denominator))

print(results)
for numerator, (quotient, remainder) in zip(numerators, results, strict=True):
    assert remainder == math.fmod(numerator, 5)  # with the numerator's sign, as in C
    assert quotient * 5 + remainder == numerator
