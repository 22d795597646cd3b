"""What a C function takes and returns, and Python values as its arguments and result.

Nothing is called here.
"""

from ffi.errors import (
    BadABI,
    BadArgtype,
    BadTypedef,
    Error,
    FFINotImplementedError,
    FFITypeError,
    FFIValueError,
    located,
)

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo
from libc.stdlib cimport calloc, free

from ffi cimport _marshal, _types
from ffi._buffers cimport Borrowed, Keepers, borrow, examine, give_back, is_integer, settle
from ffi._direct cimport make_plan
from ffi._faults cimport check_faults
from ffi._layouts cimport as_argument
from ffi._specs cimport to_type
from ffi._types cimport IS_BIG_ENDIAN, Type, check_has_values, shorten

cnp.import_array()

cdef extern from "Python.h":
    object PyNumber_Index(object value)

cdef extern from "_call_plan.h":
    void *ffi_call_plan_alloc(libffi.ffi_cif *cif)
    void ffi_call_plan_free(void *plan)

cdef enum:
    # What a call copies to the C stack, which a thread may have little of.
    MAX_BY_VALUE = 65536

cdef int check_status(int status, object what) except -1:
    if status == libffi.FFI_OK:
        return 0
    if status == libffi.FFI_BAD_ABI:
        raise BadABI(f"{what}: FFI_BAD_ABI; ffi.abi lists the calling conventions")
    if status == libffi.FFI_BAD_ARGTYPE:
        raise BadArgtype(f"{what}: FFI_BAD_ARGTYPE")
    raise BadTypedef(f"{what}: FFI_BAD_TYPEDEF")


# --- the description of a function

@cython.final
@cython.no_gc
cdef class CIF:
    """A call interface: what a C function takes and returns.

    Parameters
    ----------
    abi : int, optional
        A calling convention of `ffi.abi`; the platform's default if the first argument is a type.
    rtype : Type, dtype, scalar type or str
        The result's type; ``void`` for none.
    *atypes : Type, dtype, scalar type or str
        The types of the fixed arguments.
    variadic : sequence of types, optional
        The types of the arguments in place of ``...``, promoted as C does. None, the default, for
        a function that has no ``...``.

    Attributes
    ----------
    abi : int
        The calling convention.
    rtype : Type
        The result's type.
    atypes : tuple of Type
        The fixed arguments' types.
    variadic : tuple of Type or None
        The variadic arguments' types.
    path : str
        How calls and closures go: ``"direct"``, or ``"libffi"``.

    Raises
    ------
    TypeError
        For anything that is no type, for arrays (C passes their address) and for variadic types
        that C promotes.
    ValueError
        For an unknown ABI, and more than 1024 arguments or 65536 bytes of structs by value.
    NotImplementedError
        For signatures that have to go through libffi and that the one in use gets wrong, those with
        unions or bit-fields by value among them; and for unnamed bit-fields by value on which
        compilers disagree.

    Notes
    -----
    A CIF is immutable, hashable and picklable, and exports its ``ffi_cif`` as a read-only buffer,
    where libffi can describe it: not with unions or bit-fields by value.
    Equal CIFs have equal types and ABIs. Any number of threads may use one.
    Making one is far dearer than calling with it: keep it.

    References
    ----------
    libffi's ``ffi_prep_cif`` and ``ffi_prep_cif_var``.

    Examples
    --------
    >>> cif = ffi.CIF(ffi.types.int, ffi.types.int)
    >>> cif
    <ffi.CIF int (int)>
    >>> ffi.CIF("double", np.float64, "int") == ffi.CIF("f8", "f8", "int32")
    True
    >>> ffi.CIF("int", "pointer", variadic=["int", "double"])
    <ffi.CIF int (pointer, ..., int, double)>
    """

    def __cinit__(self, *types, variadic=None):
        try:
            prepare(self, types, variadic)
        except Error as exc:
            raise located(exc, "CIF()") from None

    def __dealloc__(self):
        if self.call_plan is not NULL:
            ffi_call_plan_free(self.call_plan)
        free(self.plan)
        free(self.ffi_types)
        free(self.offsets)

    @property
    def path(self):
        """How calls and closures go: ``"direct"``, or ``"libffi"``.

        Calls go direct in the default ABI of x86-64 and AArch64 on Linux and the BSDs, with up to
        16384 bytes of arguments on the stack. The environment variable ``FFI_NO_DIRECT=1`` turns
        that off, for debugging.
        """
        return "libffi" if self.plan is NULL else "direct"

    def __getbuffer__(self, Py_buffer *view, int flags):
        if not self.is_described:
            raise FFINotImplementedError(f"libffi has no description of {self!r}")
        PyBuffer_FillInfo(view, self, &self.cif, sizeof(self.cif), 1, flags)

    def __eq__(self, other):
        if type(other) is not CIF:
            return NotImplemented
        return self is other or (self.hash == (<CIF>other).hash and self.key == (<CIF>other).key)

    def __hash__(self):
        return self.hash

    def __repr__(self):
        cdef list names = [(<Type>atype).name for atype in self.atypes]
        if self.variadic is not None:
            names.append("...")
            names += [(<Type>atype).name for atype in self.variadic]
        abi = "" if self.abi == libffi.FFI_DEFAULT_ABI else f" abi {self.abi}"
        return f"<ffi.CIF {self.rtype.name} ({', '.join(names) or 'void'}){abi}>"

    def __reduce__(self):
        # The default ABI's number differs from platform to platform.
        abi = () if self.abi == libffi.FFI_DEFAULT_ABI else (self.abi,)
        return _cif, (*abi, self.rtype, *self.atypes, self.variadic)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def pack(self, *values):
        """Convert Python values into storage for one call.

        Parameters
        ----------
        *values : object
            One per argument: what `write` takes for its type. A pointer takes what
            `write_pointer` takes.

        Returns
        -------
        Arguments
            Takes the place of `avalues` in `call`, any number of times.

        Raises
        ------
        TypeError, OverflowError
            If a value does not fit its type.
        ValueError
            If the number of values is not that of the arguments.

        Examples
        --------
        >>> args = ffi.CIF("double", "double", "int").pack(0.5, 3)
        >>> len(args)
        2
        >>> ffi.CIF("void", "uint8").pack(256)
        Traceback (most recent call last):
        ...
        ffi.errors.FFIOverflowError: pack(): argument 0: expected uint8 in [0, 255], got 256
        """
        cdef Arguments packed
        cdef Py_ssize_t i
        if len(values) != self.nargs:
            raise FFIValueError(
                f"pack(): expected {self.nargs} values for {self!r}, got {len(values)}"
            )
        packed = Arguments(self)
        for i in range(<Py_ssize_t>self.nargs):
            try:
                _marshal.store(
                    self.arguments[i], <char *>packed.pointers[i], values[i], packed.keepers
                )
            except Error as exc:
                raise located(exc, f"pack(): argument {i}") from exc.__cause__
        try:
            settle(packed.keepers)
        except Error as exc:
            raise located(exc, "pack()") from None
        return packed

    def unpack(self, rvalue, /):
        """Convert the result of a call into a Python value.

        Parameters
        ----------
        rvalue : buffer
            What was given to `call`; ignored for ``void``.

        Returns
        -------
        int, float, complex, bool, bytes, numpy.longdouble, numpy.clongdouble, numpy.void or None
            None for ``void``, an address for a pointer.

        Raises
        ------
        TypeError
            If `rvalue` is no C-contiguous buffer.
        ValueError
            If it is too short for a result.

        Examples
        --------
        >>> ffi.CIF("double").unpack(np.array([2.5]))
        2.5
        """
        cdef Borrowed result
        if self.rtype.code == _types.VOID:
            return None
        try:
            borrow(rvalue, &result, False)
            try:
                examine(&result, False)
                check_result_size(self, result.nbytes)
                return _marshal.load(self.rtype, result_at(self.rtype, result.data))
            finally:
                give_back(&result)
        except Error as exc:
            raise located(exc, "unpack(): argument 'rvalue'") from exc.__cause__


def _cif(*arguments):
    *types, variadic = arguments
    return CIF(*types, variadic=variadic)


cdef int prepare(CIF self, tuple types, object variadic) except -1:
    cdef Py_ssize_t i
    cdef size_t end = 0
    cdef Type atype
    self.abi = libffi.FFI_DEFAULT_ABI
    if types and is_integer(types[0]) and not isinstance(types[0], bool):
        self.abi = to_abi(PyNumber_Index(types[0]))
        types = types[1:]
    if not types:
        raise FFITypeError("expected the result's type, got nothing")
    if variadic is not None:
        if not isinstance(variadic, (list, tuple)):
            raise FFITypeError(
                f"argument 'variadic': expected a sequence of types, got {shorten(variadic)}"
            )
        if len(types) == 1:
            raise FFIValueError("a variadic function has at least one fixed argument")
    count = len(types) - 1 + (0 if variadic is None else len(variadic))
    if count > MAX_ARGUMENTS:
        raise FFIValueError(f"expected at most {<int>MAX_ARGUMENTS} arguments, got {count}")
    self.rtype = to_rtype(types[0])
    self.atypes = tuple([to_atype(i, types[i + 1]) for i in range(len(types) - 1)])
    self.arguments = self.atypes
    if variadic is not None:
        self.variadic = tuple([to_promoted(i, item) for i, item in enumerate(variadic)])
        self.arguments = self.atypes + self.variadic
    self.nargs = len(self.arguments)
    self.key = (self.abi, self.rtype, self.atypes, self.variadic)
    self.hash = hash(self.key)

    self.ffi_types = <libffi.ffi_type **>calloc(self.nargs + 1, sizeof(libffi.ffi_type *))
    self.offsets = <size_t *>calloc(self.nargs + 1, sizeof(size_t))
    if self.ffi_types is NULL or self.offsets is NULL:
        raise MemoryError
    end = self.nargs * sizeof(void *)
    by_value = 0
    for i in range(<Py_ssize_t>self.nargs):
        atype = self.arguments[i]
        self.ffi_types[i] = as_argument(atype) if i < len(self.atypes) else atype.ffi
        end = (end + atype.alignment - 1) // atype.alignment * atype.alignment
        self.offsets[i] = end
        end += atype.size
        by_value += atype.size
    if by_value > MAX_BY_VALUE:
        raise FFIValueError(
            f"expected at most {<int>MAX_BY_VALUE} bytes of arguments by value, got {by_value}"
        )
    self.packed_size = end
    # libffi widens integers to ffi_arg, and asks for that much storage whatever the result.
    self.result_size = max(self.rtype.size, <Py_ssize_t>sizeof(libffi.ffi_arg))
    self.result_alignment = max(self.rtype.alignment, <Py_ssize_t>sizeof(libffi.ffi_arg))
    if self.abi == libffi.FFI_DEFAULT_ABI:
        self.plan = make_plan(self.rtype, self.arguments)
    if self.plan is NULL:
        check_libffi(self)
    prepare_libffi(self)
    if self.plan is NULL:
        self.call_plan = ffi_call_plan_alloc(&self.cif)
    return 0


def has_call_plan(CIF cif):
    """Tell whether calls go by a plan of libffi's, which 3.7 and newer make."""
    return cif.call_plan is not NULL


cdef int check_libffi(CIF self) except -1:
    cdef Py_ssize_t i
    check_described(self.rtype, "argument 'rtype'")
    for i in range(<Py_ssize_t>self.nargs):
        check_described(
            self.arguments[i],
            f"argument type {i}" if i < len(self.atypes) else "argument 'variadic'",
        )
    return check_faults(self.abi, self.rtype, self.arguments)


cdef int check_described(Type type, str where) except -1:
    if type.ffi is NULL:
        raise FFINotImplementedError(
            f"{where}: libffi cannot pass {type.name} by value; pass its address as "
            "ffi.types.pointer"
        )
    return 0


cdef int prepare_libffi(CIF self) except -1:
    cdef unsigned int i
    cdef int status
    for i in range(self.nargs):
        if self.ffi_types[i] is NULL:
            return 0
    if self.rtype.ffi is NULL:
        return 0
    if self.variadic is None:
        status = libffi.ffi_prep_cif(
            &self.cif, <libffi.ffi_abi>self.abi, self.nargs, self.rtype.ffi, self.ffi_types
        )
    else:
        status = libffi.ffi_prep_cif_var(
            &self.cif, <libffi.ffi_abi>self.abi, len(self.atypes), self.nargs, self.rtype.ffi,
            self.ffi_types,
        )
    check_status(status, repr(self))
    self.is_described = True
    return 0


cdef int to_abi(object value) except -1:
    if not 0 <= value <= 0x7FFFFFFF:
        raise BadABI(f"expected a number of ffi.abi, got {shorten(value)}")
    return value


cdef Type to_rtype(object value):
    cdef Type rtype
    try:
        rtype = to_type(value)
        if rtype.code == _types.ARRAY:
            raise FFITypeError(f"C cannot return an array, got {rtype.name}")
        if rtype.code != _types.VOID:
            check_has_values(rtype)
    except Error as exc:
        raise located(exc, "argument 'rtype'") from None
    return rtype


cdef Type to_atype(Py_ssize_t index, object value):
    cdef Type atype
    try:
        atype = to_type(value)
        if atype.code == _types.VOID:
            raise FFITypeError("void is no argument; without arguments, give no types")
        check_has_values(atype)
        if atype.code == _types.ARRAY:
            raise FFITypeError(f"C passes the address of {atype.name}; use ffi.types.pointer")
    except Error as exc:
        raise located(exc, f"argument type {index}") from None
    return atype


cdef Type to_promoted(Py_ssize_t index, object value):
    cdef Type atype
    try:
        atype = to_atype(index, value)
        if atype.code == _types.FLOAT:
            raise BadArgtype("C promotes a variadic float; use ffi.types.double")
        if _types.is_integral(atype.code) and atype.size < <Py_ssize_t>sizeof(int):
            raise BadArgtype(f"C promotes a variadic {atype.name}; use ffi.types.int")
    except Error as exc:
        raise located(exc, "argument 'variadic'") from None
    return atype


# --- packed arguments

@cython.final
cdef class Arguments:
    """The arguments of one call, as `CIF.pack` makes them.

    It holds the values, the array of their addresses, which it exports as a read-only buffer, and
    every buffer whose address is among the values. It never changes; any number of calls and
    threads may use it. ``len()`` gives the number of arguments.

    Attributes
    ----------
    cif : CIF
        What the arguments are for.

    Examples
    --------
    >>> ffi.CIF("int", "int").pack(-5)
    <ffi.Arguments of <ffi.CIF int (int)>>
    """

    def __cinit__(self, cif=None):
        if type(cif) is not CIF:
            raise FFITypeError("Arguments(): use CIF.pack")
        allocate(self, cif)

    def __dealloc__(self):
        free(self.pointers)

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"<ffi.Arguments of {self.cif!r}>"

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("packed arguments are read-only")
        view.obj = self
        view.buf = self.pointers
        view.len = self.shape[0] * sizeof(void *)
        view.itemsize = sizeof(void *)
        view.readonly = 1
        view.ndim = 1
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = <char *>_types.address_format()
        view.shape = self.shape if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL


cdef int allocate(Arguments self, CIF cif) except -1:
    cdef Py_ssize_t i
    # One block: the addresses, then the values, zeros until `pack` writes them.
    self.pointers = <void **>calloc(1, max(cif.packed_size, sizeof(void *)))
    if self.pointers is NULL:
        raise MemoryError
    for i in range(<Py_ssize_t>cif.nargs):
        self.pointers[i] = <char *>self.pointers + cif.offsets[i]
    self.cif = cif
    self.shape[0] = cif.nargs
    self.keepers = Keepers()
    return 0


# --- the result

cdef const char *result_at(Type rtype, const char *rvalue) noexcept:
    if IS_BIG_ENDIAN and _types.is_integral(rtype.code):
        return rvalue + max(0, <Py_ssize_t>sizeof(libffi.ffi_arg) - rtype.size)
    return rvalue


cdef int short_result(CIF cif, Py_ssize_t nbytes) except -1:
    raise FFIValueError(
        f"expected at least {cif.result_size} bytes for {cif.rtype.name}, got {nbytes}"
    )
