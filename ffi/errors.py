"""Exceptions: every one is an `Error` and also the builtin a Python programmer expects.

Only exception classes and the helper that names the place of a failure live here.
"""

__all__ = [
    "BadABI",
    "BadArgtype",
    "BadTypedef",
    "Error",
    "FFIAttributeError",
    "FFIBufferError",
    "FFIKeyError",
    "FFINotImplementedError",
    "FFIOSError",
    "FFIOverflowError",
    "FFIReferenceError",
    "FFITypeError",
    "FFIValueError",
]


class Error(Exception):
    """Base of every exception that this package raises of its own."""


class FFITypeError(Error, TypeError):
    """An object of the wrong kind: its type, dtype, order, byte order or writability."""


class FFIValueError(Error, ValueError):
    """The right kind of object with an impossible value: NULL, a short buffer, a wrong count."""


class FFIOverflowError(Error, OverflowError):
    """A number that does not fit its C type, an address space or a size."""


class FFIOSError(Error, OSError):
    """A library or symbol that the dynamic linker cannot find."""


class FFINotImplementedError(Error, NotImplementedError):
    """A signature that cannot be called correctly on this platform, so it is refused."""


class FFIReferenceError(Error, ReferenceError):
    """C called something whose Python object is gone."""


class FFIAttributeError(Error, AttributeError):
    """A name that an object does not have, or that cannot be set."""


class FFIKeyError(Error, KeyError):
    """A name that a mapping does not have."""

    # Not as KeyError, which shows its message as it shows a key.
    __str__ = Exception.__str__


class FFIBufferError(Error, BufferError):
    """Borrowed memory was kept longer than it was lent."""


class BadTypedef(FFITypeError):
    """libffi answered ``FFI_BAD_TYPEDEF``: a type it cannot describe."""


class BadABI(FFIValueError):
    """No calling convention of this platform; libffi's ``FFI_BAD_ABI``."""


class BadArgtype(FFITypeError):
    """A type that cannot be an argument, such as a variadic ``float``; ``FFI_BAD_ARGTYPE``."""


def located(error: Error, where: str) -> Error:
    """Return the same error with its place in front of the message.

    Parameters
    ----------
    error : Error
        What a conversion raised.
    where : str
        The function and argument, such as ``"pack(): argument 2"``.

    Returns
    -------
    Error
        An exception of the same class; the very same error if other code made it its own way.
    """
    if type(error).__module__ != __name__ or len(error.args) != 1:
        return error
    return type(error)(f"{where}: {error}")
