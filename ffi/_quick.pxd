# The quick way of a typed call: arguments that are what they should be, straight into a frame, and
# the result out of it. No conversion runs Python code: an object that must be asked goes another
# way.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_FromDouble
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isinf
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy, strlen

from ffi cimport _types
from ffi._buffers cimport (
    Array, PyArray_BYTES, PyArray_CHKFLAGS, PyArray_ISNOTSWAPPED, PyArray_TYPE,
)
from ffi._likely cimport unlikely
from ffi._pointers cimport Pointer
from ffi._records cimport Record, make_record
from ffi._shapes cimport UNKNOWN, fits_shape
from ffi._signature cimport Move, Plan, Signature, Step
from ffi._values cimport Memory, load_object

cdef extern from "_compact.h":
    bint exact_int64(PyObject *value, int64_t *result)
    bint real_double(PyObject *value, double *result)

cdef extern from "_direct_plan.h":
    void direct_place(const Move *move, const Move *end, char *frame, const char *value) nogil
    void direct_take(const Plan *plan, const char *frame, char *rvalue) nogil

cdef extern from "Python.h":
    object PyLong_FromLong(long value)
    object PyLong_FromLongLong(long long value)
    object PyLong_FromUnsignedLongLong(unsigned long long value)
    bint PyType_IS "Py_IS_TYPE"(PyObject *value, PyTypeObject *type)

cdef extern from "numpy/arrayobject.h":
    PyTypeObject PyIntArrType_Type
    PyTypeObject PyLongArrType_Type

    ctypedef struct IntScalar "PyIntScalarObject":
        int obval

    ctypedef struct LongScalar "PyLongScalarObject":
        long obval

    bint PyArray_CheckExact "PyArray_CheckExact"(PyObject *value)

cdef enum:
    # Arguments by address; calls with more go the general way.
    MAX_HELD = 16


# What the call owns, as whoever called may let go of it, or release it, meanwhile.
cdef struct Held:
    int count
    PyObject *objects[MAX_HELD]


cdef inline bint hold_object(Held *held, PyObject *value) noexcept:
    if held.count == MAX_HELD:
        return False
    Py_INCREF(<object>value)
    held.objects[held.count] = value
    held.count += 1
    return True


cdef inline void let_go_of(Held *held) noexcept:
    while held.count:
        held.count -= 1
        Py_DECREF(<object>held.objects[held.count])


cdef inline bint put_record(
    const Step *step, const Plan *plan, PyObject *value, char *frame
) noexcept:
    cdef const char *data
    cdef uint32_t at, end
    if unlikely(
        not PyType_IS(value, <PyTypeObject *>Record)
        or <PyObject *>(<Record>value).type.identity is not step.identity
    ):
        return False
    data = (<Record>value).data
    if step.second:
        memcpy(frame + step.at, data, 8)
        memcpy(frame + step.second, data + 8, 8)
    elif step.row_end:
        # A word at a time, as it is loaded again at once.
        at, end = step.at, step.row_end
        memcpy(frame + at, data, 8)
        memcpy(frame + at + 8, data + 8, 8)
        memcpy(frame + at + 16, data + 16, 8)
        at += 24
        while at < end:
            data += 8
            memcpy(frame + at, data + 16, 8)
            at += 8
    else:
        direct_place(&plan.moves[step.first], &plan.moves[step.end], frame, data)
    return True


cdef inline bint put_word(
    const Step *step, PyObject *value, char *to, Held *held, int64_t *lengths
) noexcept:
    """Convert a usual int, float, array, bytes or None; return whether it was one that fits."""
    cdef int code = step.code
    cdef int64_t number
    cdef double real
    cdef float narrow
    cdef uint32_t bits
    cdef uint64_t word
    if code == _types.DOUBLE:
        if unlikely(not real_double(value, &real)):
            return False
        memcpy(to, &real, sizeof(real))
        return True
    if code == _types.POINTER:
        return put_address(step, value, to, held, lengths)
    if code == _types.FLOAT:
        if unlikely(not real_double(value, &real)):
            return False
        narrow = <float>real
        if isinf(narrow) and not isinf(real):
            return False
        memcpy(&bits, &narrow, sizeof(bits))
        word = bits
        memcpy(to, &word, sizeof(word))
        return True
    if unlikely(
        code > _types.UINT64 or not to_int64(value, &number) or not fits(number, code)
    ):
        return False
    memcpy(to, &number, sizeof(number))
    return True


cdef inline bint to_int64(PyObject *value, int64_t *number) noexcept:
    """Take the value of an exact int, or of NumPy's most usual ones; return whether it is one."""
    if exact_int64(value, number):
        return True
    if PyType_IS(value, &PyLongArrType_Type):
        number[0] = (<LongScalar *>value).obval
        return True
    if PyType_IS(value, &PyIntArrType_Type):
        number[0] = (<IntScalar *>value).obval
        return True
    return False


cdef inline bint fits(int64_t number, int code) noexcept:
    if code == _types.INT32:
        return number == <int32_t>number
    if code == _types.INT64:
        return True
    if code == _types.UINT64:
        return number >= 0
    if code == _types.UINT32:
        return number == <uint32_t>number
    if code == _types.INT16:
        return number == <int16_t>number
    if code == _types.UINT16:
        return number == <uint16_t>number
    if code == _types.INT8:
        return number == <int8_t>number
    if code == _types.UINT8:
        return number == <uint8_t>number
    return False


cdef inline bint put_rest(
    const Step *step, Py_ssize_t count, char *frame, const int64_t *lengths
) noexcept:
    """Convert what arrays told, and what C always gets."""
    cdef const Step *end = step + count
    while step < end:
        if step.variable < 0:
            memcpy(frame + step.at, &step.fixed, sizeof(uint64_t))
        elif lengths[step.variable] == UNKNOWN or not fits(lengths[step.variable], step.code):
            return False
        else:
            memcpy(frame + step.at, &lengths[step.variable], sizeof(int64_t))
        step += 1
    return True


cdef inline bint put_address(
    const Step *step, PyObject *value, char *to, Held *held, int64_t *lengths
) noexcept:
    cdef char *data
    cdef PyObject *keeper = value
    if PyArray_CheckExact(value):
        if (
            (
                PyArray_TYPE(<Array *>value) != step.accepted.type_number
                and PyArray_TYPE(<Array *>value) != step.accepted.other_number
            )
            or not PyArray_CHKFLAGS(<Array *>value, step.accepted.flags)
            or not PyArray_ISNOTSWAPPED(<Array *>value)
            or (step.shape.ndim >= 0 and not fits_shape(&step.shape, <Array *>value, lengths))
        ):
            return False
        data = PyArray_BYTES(<Array *>value)
    elif step.shape.is_static or (step.shape.ndim >= 0 and value is not <PyObject *>None):
        # Something must be there, or it may be too short.
        return False
    elif value is <PyObject *>None:
        data = NULL
    elif PyBytes_CheckExact(<object>value) and step.takes_text:
        data = PyBytes_AS_STRING(<object>value)
        if strlen(data) != <size_t>PyBytes_GET_SIZE(<object>value):
            return False
    elif PyType_IS(value, <PyTypeObject *>Pointer) and is_pointer_for(step, value):
        data = <char *>(<Pointer>value).value
        # While this is held the pointer cannot be released.
        keeper = <PyObject *>(<Pointer>value).owner
    elif (
        PyType_IS(value, <PyTypeObject *>Record)
        and (<PyObject *>(<Record>value).type.identity is step.target or step.takes_any)
        and (step.is_const or not (<Record>value).readonly)
        and not is_ended(<PyObject *>(<Record>value).owner)
    ):
        data = (<Record>value).data
    else:
        return False
    memcpy(to, &data, sizeof(data))
    return hold_object(held, keeper)


cdef inline bint is_pointer_for(const Step *step, PyObject *value) noexcept:
    return (
        (<Pointer>value).value != 0
        and (step.is_const or not (<Pointer>value).readonly)
        and (
            <PyObject *>(<Pointer>value).type.target.identity is step.target
            or step.takes_any
        )
        and not is_ended(<PyObject *>(<Pointer>value).owner)
    )


cdef inline bint is_ended(PyObject *owner) noexcept:
    return PyType_IS(owner, <PyTypeObject *>Memory) and (<Memory>owner).value == 0


cdef inline object take_result(
    PyObject *signature, const Plan *plan, char *frame, PyObject *shared
):
    cdef int code = (<Signature>signature).result_code
    cdef uint64_t word
    cdef double real
    cdef char *result
    cdef Record record
    result = frame + (<Signature>signature).result_at
    if code == _types.DOUBLE:
        memcpy(&real, result, sizeof(real))
        return PyFloat_FromDouble(real)
    if code == _types.VOID:
        return None
    if code <= _types.FLOAT:
        memcpy(&word, result, sizeof(word))
        if code == _types.INT32:
            return PyLong_FromLong(<int32_t>word)
        if code == _types.INT64:
            return PyLong_FromLongLong(<int64_t>word)
        if code == _types.UINT64:
            return PyLong_FromUnsignedLongLong(word)
        if code == _types.UINT32:
            return PyLong_FromLongLong(<uint32_t>word)
        if code == _types.POINTER and word == 0:
            return None
        return load_object((<Signature>signature).rtype, result, <object>shared)
    result = frame + (<Signature>signature).result_offset
    if (<Signature>signature).makes_record:
        record = make_record((<Signature>signature).rtype)
        direct_take(plan, frame, record.data)
        return record
    if plan.result_address == 0:
        direct_take(plan, frame, result)
    return load_object((<Signature>signature).rtype, result, <object>shared)
