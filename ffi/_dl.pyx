"""The dynamic linker: shared objects, their symbols and their lifetime."""

import os

from ffi.errors import Error, FFIOSError, FFITypeError, FFIValueError, located

cimport cython
from libc.stdint cimport uintptr_t

from ffi._types cimport describe, shorten, type_name

cdef extern from "_dl.h":
    const char *path_of_handle(void *handle) noexcept

cdef extern from "<dlfcn.h>" nogil:
    void *c_dlopen "dlopen"(const char *path, int mode)
    void *c_dlsym "dlsym"(void *handle, const char *name)
    int c_dlclose "dlclose"(void *handle)
    char *c_dlerror "dlerror"()


@cython.final
@cython.no_gc
cdef class SharedObject:
    """One reference to an object that the dynamic linker has loaded.

    Whatever uses an address of the object holds this. It gives the linker's reference back when
    the last holder is gone, but only after `dlclose`: a handle that is merely dropped stays loaded.
    """

    def __dealloc__(self):
        if self.closed and self.handle is not NULL:
            with nogil:
                c_dlclose(self.handle)


cdef class Handle:
    """A loaded shared object: what `dlsym` and `dlclose` take.

    Dropping a handle leaves the object loaded; `dlclose` closes it.

    Attributes
    ----------
    name : str or None
        What was asked for; None is the running program itself.
    path : str or None
        The file that was found, links resolved; None for the running program.
    """

    def __init__(self):
        raise FFITypeError(f"{type_name(self)}(): use ffi.dlopen")

    @property
    def closed(self):
        """Whether `dlclose` was called."""
        return self.shared is None

    def __repr__(self):
        state = " (closed)" if self.shared is None else ""
        return f"<ffi.Handle {self.name!r}{state}>"


cdef str linker_message():
    cdef char *message = c_dlerror()
    return "unknown error" if message is NULL else message.decode(errors="replace")


cdef bytes to_c_string(object text, str expected):
    if not isinstance(text, (str, bytes)):
        raise FFITypeError(f"expected {expected}, got {describe(text)}")
    cdef bytes encoded
    try:
        encoded = bytes(os.fsencode(text))
    except UnicodeEncodeError as exc:
        raise FFIValueError(f"expected {expected}, got {shorten(text)}: {exc}") from None
    if b"\0" in encoded:
        raise FFIValueError(f"expected {expected} without NUL, got {shorten(text)}")
    return encoded


def open_shared_object(type kind not None, name, mode):
    """Load a shared object, with a handle of class `kind`."""
    cdef bytes encoded
    cdef const char *path = NULL
    cdef void *handle
    cdef int flags
    cdef const char *found
    cdef Handle self = kind.__new__(kind)
    if name is not None:
        if not isinstance(name, (str, bytes)) and hasattr(type(name), "__fspath__"):
            try:
                name = os.fspath(name)
            except TypeError as exc:
                raise FFITypeError(f"expected a path, a file name or None: {exc}") from None
            if isinstance(name, str) and name and os.sep not in name:
                # A path is not searched for, as a bare file name would be.
                name = os.path.join(os.curdir, name)
        encoded = to_c_string(name, "a path, a file name or None")
        if not encoded:
            raise FFIValueError("expected a path, a file name or None, got an empty name")
        path = encoded
        self.name = os.fsdecode(encoded)
    if not isinstance(mode, int):
        raise FFITypeError(f"argument 'mode': expected os.RTLD_ flags, got {shorten(mode)}")
    if not 0 <= mode <= 0x7FFFFFFF:
        raise FFIValueError(f"argument 'mode': expected os.RTLD_ flags, got {shorten(mode)}")
    flags = mode
    # Constructors of the object run here, and may be slow or call Python.
    with nogil:
        handle = c_dlopen(path, flags)
    if handle is NULL:
        # The linker's words are kept per thread, and name the file.
        raise FFIOSError(linker_message())
    self.shared = SharedObject.__new__(SharedObject)
    self.shared.handle = handle
    if path is not NULL:
        found = path_of_handle(handle)
        if found is not NULL:
            self.path = os.path.realpath(os.fsdecode(<bytes>found))
    return self


cdef SharedObject open_of(object handle):
    if not isinstance(handle, Handle):
        raise FFITypeError(f"expected an ffi.Handle, got {describe(handle)}")
    cdef SharedObject shared
    with cython.critical_section(handle):
        shared = (<Handle>handle).shared
    if shared is None:
        raise FFIValueError(f"{(<Handle>handle).name!r} is closed")
    return shared


cdef void *find_symbol(SharedObject shared, object name, object library) except NULL:
    cdef bytes encoded = to_c_string(name, "a symbol's name")
    cdef void *address
    c_dlerror()
    address = c_dlsym(shared.handle, encoded)
    if address is NULL:
        raise FFIOSError(f"{shorten(name)} in {library!r}: {linker_message()}")
    return address


def find_address(handle, name):
    """Return the address of a symbol; errors name no function."""
    return <uintptr_t>find_symbol(open_of(handle), name, (<Handle>handle).name)


def shared_of(Handle handle not None):
    """Return what keeps the object of a handle loaded."""
    return handle.shared


def dlsym(handle, name, /):
    """Return the address of a symbol.

    Parameters
    ----------
    handle : Handle
        What `dlopen` returned.
    name : str or bytes
        The C name of a function or variable.

    Returns
    -------
    int
        Valid while the shared object is loaded.

    Raises
    ------
    TypeError
        If `handle` is no Handle, or `name` no string.
    OSError
        If there is no such symbol, in the linker's words.
    ValueError
        If the handle is closed, or the name holds a NUL.

    References
    ----------
    POSIX.1-2017, ``dlsym``.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> abs_ = ffi.dlsym(libc, "abs")
    >>> ffi.dlsym(libc, "no_such_function")
    Traceback (most recent call last):
    ...
    ffi.errors.FFIOSError: dlsym(): 'no_such_function' in None: ...
    """
    try:
        return find_address(handle, name)
    except Error as exc:
        raise located(exc, "dlsym()") from None


def dlclose(handle, /):
    """Close a shared object.

    The handle refuses further use at once. The linker unloads the object when nothing of ours
    uses it any more; addresses that `dlsym` gave are invalid from then on.

    Parameters
    ----------
    handle : Handle
        What `dlopen` returned.

    Raises
    ------
    TypeError
        If `handle` is no Handle.
    ValueError
        If it is closed already.

    References
    ----------
    POSIX.1-2017, ``dlclose``.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> ffi.dlclose(libc)
    >>> libc.closed
    True
    """
    cdef SharedObject shared
    try:
        shared = open_of(handle)
        with cython.critical_section(handle):
            is_first = (<Handle>handle).shared is not None
            (<Handle>handle).shared = None
        if not is_first:
            open_of(handle)  # closed by another thread: raises
    except Error as exc:
        raise located(exc, "dlclose()") from None
    shared.closed = True
