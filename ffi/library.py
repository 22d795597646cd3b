"""Libraries: shared objects with their functions.

Names and declarations live here; `_dl` talks to the dynamic linker.
"""

from __future__ import annotations

import copyreg
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from ffi._declared import (
    NOTHING,
    Constants,
    ErrCheck,
    Types,
    Variable,
    check_known,
    check_variable,
    declare_constants,
    declare_types,
    qualities_of,
    variable_of,
    with_options,
)
from ffi._dl import Handle, find_address, open_shared_object, shared_of
from ffi._find import candidates, find_library
from ffi._function import Function, declaration_of, make_function
from ffi._objects import pointer_at
from ffi._pointers import Pointer
from ffi._specs import as_type
from ffi.cdecl import (
    Parameter,
    Prototype,
    Qualities,
    parse_declarations,
    parse_prototype,
    with_out,
)
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


class Library(Handle):
    """A shared object and its declared functions, as `dlopen` returns it.

    Functions that `cdef` and `function` have declared are attributes, and so are constants.
    ``library["name"]`` is the same and always means C's name, also where that is the name of a
    method. Each `dlopen` returns a library with declarations of its own.

    Attributes
    ----------
    name : str or None
        What the linker was asked for; None is the running program itself.
    path : str or None
        The file that was found, links resolved; None for the running program.
    closed : bool
        Whether `dlclose` was called.
    types : mapping
        The types that declarations may use besides C's own, by the names of their typedefs and by
        their tags, such as ``"struct point"``. `cdef` adds those that it declares, and
        ``library.types["point"] = point`` adds any type.
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
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_constants",
        "_functions",
        "_mode",
        "_variables",
        "release_gil",
        "types",
    )

    _constants: Constants
    _functions: dict[str, Function]
    _variables: dict[str, Variable]
    _mode: int
    release_gil: bool
    types: Types

    def function(
        self,
        name: str,
        /,
        *types: Any,
        release_gil: bool | None = None,
        out: Sequence[str] = (),
        errcheck: ErrCheck | None = None,
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
        out : sequence of str, optional
            Names of parameters that the function only writes to: pointers and arrays, which the
            call makes and returns.
        errcheck : callable, optional
            Called after the function as ``errcheck(result, function, args)``, as `Function` says.

        Returns
        -------
        Function
            An attribute of the library from now on.

        Raises
        ------
        TypeError
            For no prototype, for types that are none or not declared, and for parameters in `out`
            that C cannot write through.
        ValueError
            If the prototype is no C or lacks a name, if it has no parameter that `out` names, or if
            the library is closed.
        OSError
            If there is no such symbol, in the linker's words.
        NotImplementedError
            For signatures that cannot be called correctly here.

        See Also
        --------
        cdef : Declare what a header declares.

        Examples
        --------
        >>> libm = ffi.dlopen("m")
        >>> hypot = libm.function("double hypot(double x, double y)")
        >>> hypot(3.0, 4.0)
        5.0
        >>> libm.function("pow", ffi.types.double, ffi.types.double, np.float64)(2.0, 10.0)
        1024.0
        >>> libm.function("double frexp(double value, int *exponent)", out=["exponent"])(8.0)
        (0.5, 4)
        """
        try:
            symbol, prototype = self._signature(name, types)
            if out:
                prototype = with_out(prototype, out)
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
            prototype = parse_prototype(name, *self._known())
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

    def _known(self) -> tuple[Types, Constants, Qualities]:
        return self.types, self._constants, qualities_of(self.types, self._constants)

    def _declare(self, name: str, function: Function) -> None:
        self._functions[name] = function
        self._show(name, function)

    def _show(self, name: str, value: Any) -> None:
        # Found as ordinary attributes, which is the fastest way; the library's own stay.
        if not hasattr(type(self), name):
            self.__dict__[name] = value

    def cdef(
        self,
        source: str,
        /,
        *,
        out: Mapping[str, Sequence[str]] = NOTHING,
        errcheck: Mapping[str, ErrCheck] = NOTHING,
        release_gil: bool | None = None,
    ) -> None:
        """Declare what a header declares: functions, types, constants, variables.

        Parameters
        ----------
        source : str
            C, as a header has it after the preprocessor, such as ``cc -E -P``. Of preprocessor
            lines only ``#define NAME number`` is taken. Static functions that have a body are left
            out.
        out : mapping of str to sequence of str, optional
            For names of functions, the names of parameters that they only write to. The call makes
            what those point at, and returns it.
        errcheck : mapping of str to callable, optional
            For names of functions, what is called after them, as `Function` says.
        release_gil : bool, optional
            Whether other Python threads run during calls. The library's default if not given.

        Raises
        ------
        TypeError
            For types that are not declared, for parameters in `out` that C cannot write through,
            and if an `errcheck` cannot be called.
        ValueError
            For what is no C, for declarations that contradict each other or earlier ones, for
            names in `out` and `errcheck` that are not declared, or if the library is closed. For
            what is wrong in the text the message tells line and column.
        OSError
            If the library lacks symbols; all are named.
        NotImplementedError
            For declarations that are not supported, and functions that cannot be called correctly
            here.

        See Also
        --------
        variable : Return a pointer to a variable.

        Notes
        -----
        Nothing is declared if anything is wrong. Functions and constants are attributes of the
        library from now on, types are in ``library.types``, variables are found by `variable`.
        What is declared again must be the same.

        An array parameter ``const T x[n]`` is read, ``T x[n]`` is read and written in place. An
        integer parameter that stands alone as a dimension of an array that is not in `out` is taken
        from the arrays, of which all must agree, and can be given by name only. Other dimensions
        are computed and checked. Parameters in `out` can be given by name only: an array or a
        pointer, which is written to and returned. Results are a tuple if there are several, the C
        result first unless it is void.

        Examples
        --------
        >>> libm = ffi.dlopen("m")
        >>> libm.cdef("double hypot(double x, double y); double floor(double x);")
        >>> libm.hypot(3.0, 4.0), libm.floor(-0.5)
        (5.0, -1.0)
        >>> libm.cdef("double frexp(double x, int *exponent);", out={"frexp": ["exponent"]})
        >>> libm.frexp(8.0)
        (0.5, 4)
        >>> libc = ffi.dlopen(None)
        >>> libc.cdef("double erand48(unsigned short state[3]);")
        >>> libc.erand48(np.zeros(4, np.uint16))
        Traceback (most recent call last):
        ...
        ffi.errors.FFIValueError: erand48(): argument 'state': expected shape (3,)
            of uint16, got (4,)
        """
        try:
            found = parse_declarations(source, *self._known())
            check_known(found, self._functions, self._variables, self._constants)
            prototypes = with_options(found, out, errcheck)
            addresses = self._find_all([*prototypes, *found.variables], found.symbols)
            if release_gil is None:
                release_gil = self.release_gil
            functions = {
                name: make_function(
                    addresses[name], prototype, self, release_gil, errcheck.get(name)
                )
                for name, prototype in prototypes.items()
            }
        except Error as exc:
            raise located(exc, "cdef()") from None
        declare_types(found, self.types)
        declare_constants(found, self._constants)
        for name, value in found.constants.items():
            self._show(name, value)
        for name, type in found.variables.items():
            self._variables[name] = variable_of(type, name in found.const)
        for name, function in functions.items():
            self._declare(name, function)

    def _find_all(self, names: Sequence[str], symbols: Mapping[str, str]) -> dict[str, int]:
        addresses, missing = {}, []
        for name in names:
            symbol = symbols.get(name, name)
            try:
                addresses[name] = find_address(self, symbol)
            except FFIOSError:
                missing.append(symbol)
        if missing:
            raise FFIOSError(f"{self!r} lacks {', '.join(map(repr, missing))}")
        return addresses

    def variable(self, declaration: str, /) -> Pointer:
        """Return a pointer to a variable.

        Parameters
        ----------
        declaration : str
            As C, such as ``"double tolerance"``; or the name alone of one that `cdef` has declared.

        Returns
        -------
        Pointer
            ``[0]`` reads and sets the variable. That to an array is one to its first item, of which
            `Pointer.view` takes the number. It keeps the library loaded.

        Raises
        ------
        TypeError
            For names that are not declared, and for declarations of functions.
        ValueError
            If the declaration is no C, or the library is closed.
        OSError
            If there is no such symbol, in the linker's words.

        Examples
        --------
        >>> libc = ffi.dlopen(None)
        >>> libc.variable("char **environ")
        <ffi.Pointer char *** at 0x...>
        """
        try:
            name, variable = self._variable(declaration)
            address = find_address(self, name)
            return pointer_at(variable.pointer, address, shared_of(self), variable.nbytes)
        except Error as exc:
            raise located(exc, "variable()") from None

    def _variable(self, declaration: str) -> tuple[str, Variable]:
        if not isinstance(declaration, str):
            raise FFITypeError(f"expected str, got {type(declaration).__name__}")
        name = declaration.strip()
        if name in self._variables:
            return name, self._variables[name]
        if name in self._functions:
            raise FFITypeError(f"{name!r} is a function of {self!r}")
        if re.fullmatch(r"\w*", name):
            raise FFITypeError(
                f"{self!r} has no declared variable {name!r}; give 'double {name or 'name'}' or "
                "the like"
            )
        text = declaration if name.endswith(";") else f"{declaration};"
        found = parse_declarations(text, *self._known())
        if len(found.variables) != 1 or found.functions or found.types or found.constants:
            raise FFITypeError(f"expected the declaration of one variable, got {declaration!r}")
        ((name, declared),) = found.variables.items()
        variable = variable_of(declared, name in found.const)
        check_variable(name, variable, self._variables)
        if name in self._functions:
            raise FFITypeError(f"{name!r} is a function of {self!r}")
        return name, variable

    def __getitem__(self, name: str) -> Any:
        found = self._functions.get(name)
        if found is not None:
            return found
        if name in self._constants:
            return self._constants[name]
        raise FFIKeyError(self._undeclared(name))

    def __contains__(self, name: object) -> bool:
        return name in self._functions or name in self._constants

    def __iter__(self) -> Iterator[str]:
        return iter((*self._functions, *self._constants))

    def __getattr__(self, name: str) -> Any:
        if name in Library.__slots__:
            raise FFIAttributeError(f"{self!r} was not opened by dlopen")
        raise FFIAttributeError(self._undeclared(name))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FFIAttributeError(f"{self!r} is read-only, {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise FFIAttributeError(f"{self!r} is read-only, {name!r} cannot be deleted")

    def _undeclared(self, name: object) -> str:
        if name in self._variables:
            return f"{name!r} is a variable of {self!r}; variable({name!r}) is a pointer to it"
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
    for candidate in candidates(name):
        try:
            return open_shared_object(Library, candidate, mode)
        except FFIOSError as exc:
            messages.append(str(exc))
    raise FFIOSError("; ".join(messages))


def _fill(library: Library, mode: int, release_gil: bool) -> Library:
    if not isinstance(release_gil, bool):
        raise FFITypeError(
            f"argument 'release_gil': expected bool, got {type(release_gil).__name__}"
        )
    values = {
        "_constants": Constants(),
        "_functions": {},
        "_mode": mode,
        "_variables": {},
        "release_gil": release_gil,
        "types": Types(),
    }
    for name, value in values.items():
        object.__setattr__(library, name, value)
    return library


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
    errcheck: ErrCheck | None,
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
