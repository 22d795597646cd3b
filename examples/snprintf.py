"""Call C's snprintf, a variadic function: each CIF says what is passed in place of the dots."""

import numpy as np

import ffi

# int snprintf(char *text, size_t size, const char *format, ...);
snprintf = ffi.dlsym(ffi.dlopen(None), "snprintf")
fixed = ("int", "pointer", "size_t", "pointer")


def c_format(form: bytes, types: list[str], *values: object) -> bytes:
    """Return what C's snprintf makes of a format and values of these types."""
    cif = ffi.CIF(*fixed, variadic=types)
    text = bytearray(100)
    length = np.zeros(ffi.sizeof.ffi_sarg, np.uint8)
    # A C string ends with a NUL.
    ffi.call(cif, snprintf, length, cif.pack(text, len(text), form + b"\0", *values))
    assert cif.unpack(length) < len(text)
    return ffi.string(text)


text = c_format(b"%d items, %.3f on average, in %s", ["int", "double", "pointer"], 7, 2.5, b"m\0")
print(text.decode())
assert text == b"%d items, %.3f on average, in %s" % (7, 2.5, b"m")
