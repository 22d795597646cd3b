"""Libraries: shared objects with their functions.

Names, declarations and looking for files live here; `_dl` talks to the dynamic linker.
"""

from __future__ import annotations

import copyreg
import os
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from ffi._dl import Handle, find_address, open_shared_object
from ffi._function import Function, declaration_of, make_function
from ffi._layouts import as_type
from ffi._types import Type
from ffi.cdecl import Parameter, Prototype, check_name, parse_prototype
from ffi.errors import (
    Error,
    FFIAttributeError,
    FFIKeyError,
    FFIOSError,
    FFITypeError,
    FFIValueError,
    located,
)

__all__ = ["Library", "Types", "dlopen", "find_library"]

# Names that ``lib{name}.so`` may be made of; a file name is none of these.
_SHORT_NAME = re.compile(r"(?!.*\.(?:so|dylib)\b)\w[\w+.-]*", re.ASCII)
_SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"


class Types(MutableMapping[str, Type]):
    """The types that a library's prototypes may use, by their names in C.

    Besides C's own: names such as ``"point"``, and tags such as ``"struct point"``.
    """

    def __init__(self) -> None:
        self._types: dict[str, Type] = {}

    def __getitem__(self, name: str) -> Type:
        return self._types[name]

    def __setitem__(self, name: str, type: Any) -> None:
        try:
            check_name(name)
            self._types[name] = as_type(type)
        except Error as exc:
            raise located(exc, f"types[{name!r}]") from None

    def __delitem__(self, name: str) -> None:
        del self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __repr__(self) -> str:
        return f"<types: {', '.join(self)}>"


class Library(Handle):
    """A shared object and its declared functions, as `dlopen` returns it.

    Functions that `function` has declared are attributes. ``library["name"]`` is the same and
    always means C's name, also where that is the name of a method.

    Attributes
    ----------
    name : str or None
        What the linker was asked for; None is the running program itself.
    path : str or None
        The file that was found, links resolved; None for the running program.
    closed : bool
        Whether `dlclose` was called.
    types : mapping
        The types that prototypes may use besides C's own: ``library.types["point"] = point``.
    release_gil : bool
        Whether functions release the GIL if not told otherwise.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> libc.function("int abs(int number)")
    <ffi.Function int abs(int number) at 0x...>
    >>> libc.abs(-5)
    5
    >>> libc["abs"] is libc.abs
    True
    """

    # Slots, so that the names that functions have in C are free.
    __slots__ = ("__dict__", "__weakref__", "_functions", "_mode", "release_gil", "types")

    _functions: dict[str, Function]
    _mode: int
    release_gil: bool
    types: Types

    def function(
        self,
        name: str,
        /,
        *types: Any,
        release_gil: bool | None = None,
        errcheck: Callable[[Any, Function, tuple[Any, ...]], Any] | None = None,
    ) -> Function:
        """Declare a function.

        Parameters
        ----------
        name : str
            The function's prototype; or its name, if types follow.
        *types : type
            The type of the result and those of the arguments.
        release_gil : bool, optional
            Whether other Python threads run during a call. The library's default if not given.
        errcheck : callable, optional
            What `Function` takes.

        Returns
        -------
        Function
            An attribute of the library from now on.

        Raises
        ------
        TypeError
            For no prototype, and for types that are none or not declared.
        ValueError
            If the prototype is no C, or the library is closed.
        OSError
            If there is no such symbol, in the linker's words.
        NotImplementedError
            For signatures that cannot be called correctly here.

        Examples
        --------
        >>> libm = ffi.dlopen("m")
        >>> hypot = libm.function("double hypot(double x, double y)")
        >>> hypot(3.0, 4.0)
        5.0
        >>> libm.function("pow", ffi.types.double, ffi.types.double, np.float64)(2.0, 10.0)
        1024.0
        """
        try:
            symbol, prototype = self._signature(name, types)
            if release_gil is None:
                release_gil = self.release_gil
            address = find_address(self, symbol)
            function = make_function(address, prototype, self, release_gil, errcheck)
        except Error as exc:
            raise located(exc, "function()") from None
        self._declare(symbol, function)
        return function

    def _signature(self, name: str, types: tuple[Any, ...]) -> tuple[str, Prototype]:
        if not types:
            if isinstance(name, str) and re.fullmatch(r"\s*\w*\s*", name):
                raise FFITypeError(
                    f"expected a prototype, or a name and types, got {name!r} alone; give "
                    f"'int {name.strip() or 'name'}(double x)' or the like"
                )
            prototype = parse_prototype(name, self.types)
            if prototype.name is None:
                raise FFIValueError(f"prototype: expected the function's name in {name!r}")
            return prototype.name, prototype
        if not isinstance(name, str):
            raise FFITypeError(f"expected a function's name, got {type(name).__name__}")
        found = []
        for i, given in enumerate(types):
            try:
                found.append(as_type(given))
            except Error as exc:
                raise located(exc, f"argument {i - 1}" if i else "result") from None
        rtype, *atypes = found
        parameters = tuple(Parameter(None, atype) for atype in atypes)
        return str(name), Prototype(str(name), rtype, parameters)

    def _declare(self, name: str, function: Function) -> None:
        self._functions[name] = function
        # Found as ordinary attributes, which is the fastest way; the library's own stay.
        if not hasattr(type(self), name):
            self.__dict__[name] = function

    def __getitem__(self, name: str) -> Function:
        found = self._functions.get(name)
        if found is None:
            raise FFIKeyError(self._undeclared(name))
        return found

    def __getattr__(self, name: str) -> Function:
        raise FFIAttributeError(self._undeclared(name))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FFIAttributeError(f"{self!r} is read-only, {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise FFIAttributeError(f"{self!r} is read-only, {name!r} cannot be deleted")

    def _undeclared(self, name: object) -> str:
        return (
            f"{self!r} has no declared function {name!r}; declare it with "
            f"function('int {name}(double x)') or the like"
        )

    def __repr__(self) -> str:
        return f"<ffi.Library {self.name!r}{' (closed)' * self.closed}>"

    def __reduce__(self) -> NoReturn:
        raise FFITypeError("a Library does not pickle, its functions do")


def dlopen(
    name: str | bytes | os.PathLike[str] | None = None,
    mode: int = os.RTLD_NOW,
    *,
    release_gil: bool = True,
) -> Library:
    """Load a shared object.

    Parameters
    ----------
    name : str, bytes, path or None, optional
        A path, or a file name that the dynamic linker searches for; a path object is always a
        path. If there is no such file, a name such as ``"m"`` is looked for as `find_library` does.
        None is the running program with everything it has loaded globally, the C library included.
    mode : int, optional
        ``os.RTLD_NOW`` by default; add ``os.RTLD_GLOBAL`` to offer its symbols to later ones.
    release_gil : bool, optional
        Whether the library's functions release the GIL if not told otherwise.

    Returns
    -------
    Library
        It stays loaded when it is dropped; `dlclose` ends it.

    Raises
    ------
    OSError
        If the linker cannot load it, in the linker's words.
    TypeError, ValueError
        If `name` is no path or holds a NUL.

    See Also
    --------
    dlsym, dlclose

    References
    ----------
    POSIX.1-2017, ``dlopen``.

    Examples
    --------
    >>> ffi.dlopen(None)
    <ffi.Library None>
    """
    try:
        return _fill(_open(name, mode), mode, release_gil)
    except Error as exc:
        raise located(exc, "dlopen()") from None


def _open(name: str | bytes | os.PathLike[str] | None, mode: int) -> Library:
    try:
        return open_shared_object(Library, name, mode)
    except FFIOSError as exc:
        messages = [str(exc)]
    for candidate in _candidates(name):
        try:
            return open_shared_object(Library, candidate, mode)
        except FFIOSError as exc:
            messages.append(str(exc))
    raise FFIOSError("; ".join(messages))


def _candidates(name: str | bytes | os.PathLike[str] | None) -> Iterator[str]:
    # The names a linker's option -l would find, the one without a version last.
    if isinstance(name, (str, bytes)) and _SHORT_NAME.fullmatch(os.fsdecode(name)):
        short = os.fsdecode(name)
        found = find_library(short)
        if found is not None:
            yield found
        yield f"lib{short}{_SUFFIX}"


def _fill(library: Library, mode: int, release_gil: bool) -> Library:
    if not isinstance(release_gil, bool):
        raise FFITypeError(
            f"argument 'release_gil': expected bool, got {type(release_gil).__name__}"
        )
    values = {"_functions": {}, "_mode": mode, "release_gil": release_gil, "types": Types()}
    for name, value in values.items():
        object.__setattr__(library, name, value)
    return library


def find_library(name: str) -> str | None:
    """Find the file of a library by its short name.

    Parameters
    ----------
    name : str
        As the linker's option ``-l`` takes it: ``"m"``, without prefix, suffix and version.

    Returns
    -------
    str or None
        What `dlopen` can load; None if there is no such library.

    References
    ----------
    The standard library's ``ctypes.util.find_library``.

    Examples
    --------
    >>> ffi.find_library("m")  # doctest: +SKIP
    'libm.so.6'
    >>> ffi.find_library("no-such-library")
    """
    if not isinstance(name, str):
        raise FFITypeError(f"find_library(): expected str, got {type(name).__name__}")
    if not _SHORT_NAME.fullmatch(name):
        return None
    # Not at the top: it is large, and seldom needed.
    from ctypes import util

    return util.find_library(name)


# --- pickling

# Those that unpickled functions came from, so that the functions of one library share it again.
_reopened: WeakValueDictionary[tuple[str | None, int, bool], Library] = WeakValueDictionary()


def _reduce(function: Function) -> tuple[Any, ...]:
    library, prototype = function.library, declaration_of(function)
    name = prototype.name
    if not isinstance(library, Library):
        raise FFITypeError(f"{function!r} does not pickle: it comes from no library")
    try:
        known = name is not None and find_address(library, name) == function.address
    except FFIOSError:
        known = False
    except Error as exc:
        raise located(exc, f"{function!r} does not pickle") from None
    if not known:
        raise FFITypeError(f"{function!r} does not pickle: {name!r} is not its symbol")
    path = library.name if library.path is None else library.path
    return _restore, (
        path,
        library._mode,
        library.release_gil,
        name,
        prototype,
        function.release_gil,
        function.errcheck,
    )


def _restore(
    path: str | None,
    mode: int,
    library_releases_gil: bool,
    name: str,
    prototype: Prototype,
    release_gil: bool,
    errcheck: Callable[[Any, Function, tuple[Any, ...]], Any] | None,
) -> Function:
    library = _reopened.get((path, mode, library_releases_gil))
    try:
        if library is None or library.closed:
            library = _fill(_open(path, mode), mode, library_releases_gil)
            _reopened[path, mode, library_releases_gil] = library
        address = find_address(library, name)
        return make_function(address, prototype, library, release_gil, errcheck)
    except Error as exc:
        raise located(exc, f"unpickling {prototype.text}") from None


# Here and not in `Function`, which does not know how libraries are opened.
copyreg.pickle(Function, _reduce)
