"""The C API for Cython modules: functions called at run time, without the GIL.

Consumers see `capi.pxd` alone: opaque structs and functions. What they call is an ffi.Function, of
which only the C signature counts here, not ``out``, ``errcheck`` or ``release_gil``.
"""

import atexit

from ffi import cdecl
from ffi.errors import Error, FFITypeError, FFIValueError, located

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from ffi._buffers cimport CodePointer
from ffi._closure cimport Closure, attach, detach, interpreter_is_running, report
from ffi._core cimport invoke_keeping
from ffi._direct cimport INVOKE_FRAME, frame_invoker
from ffi._frames cimport Frame, Thread, current_thread, raise_error, swap_out
from ffi._function cimport Entry, Function
from ffi._likely cimport unlikely
from ffi._signature cimport DIRECT_MOVE_WORD, MAX_FRAME, Plan
from ffi._types cimport describe

cdef extern from "pthread.h" nogil:
    ctypedef int pthread_key_t
    int pthread_key_create(pthread_key_t *key, void (*end)(void *) noexcept nogil)
    int pthread_setspecific(pthread_key_t key, const void *value)

cdef extern from "_direct_plan.h":
    uint64_t direct_extend(int kind, const char *data) noexcept nogil
    void direct_take(const Plan *plan, const char *frame, char *rvalue) noexcept nogil

# Nearer than that of another module.
cdef frame_invoker invoke_frame = INVOKE_FRAME

# Called where the GIL is held.
ctypedef void (*Refusal)(const Entry *entry, Thread *thread, int argument) noexcept nogil
ctypedef void (*Errors)(Thread *thread, Frame *frame) noexcept nogil

# What is refused, beside the number of an argument.
cdef enum:
    BAD_CALL = -1
    BAD_RESULT = -2
    BAD_ARGUMENTS = -3

# Of threads on which exceptions are pending.
cdef pthread_key_t pending_key


# --- what is called

cdef const Call *as_call(object function) except NULL:
    cdef str hint = ""
    if type(function) is not Function:
        if isinstance(function, Closure):
            hint = "; ffi.Function(it, \"double (double)\") makes one, by its prototype"
        elif isinstance(function, CodePointer):
            hint = "; ffi.Function(it) makes one"
        raise FFITypeError(f"as_call(): expected an ffi.Function, got {describe(function)}{hint}")
    check_open(function, "as_call()")
    return <const Call *>&(<Function>function).entry


cdef void *as_address(object function) except NULL:
    if not isinstance(function, CodePointer):
        raise FFITypeError(
            f"as_address(): expected an ffi.Function, Callback or Closure, got {describe(function)}"
        )
    if type(function) is Function:
        check_open(function, "as_address()")
    if (<CodePointer>function).code is NULL:
        raise FFIValueError(f"as_address(): {function!r} has no code")
    return (<CodePointer>function).code


cdef int check_open(Function function, str where) except -1:
    if function.signature is None:
        raise FFIValueError(f"{where}: the function is not made yet")
    if function.shared.closed:
        raise FFIValueError(f"{where}: {closed_library(function)}")
    return 0


cdef str closed_library(Function function):
    name = "its library" if function.library is None else repr(function.library.name)
    return f"{function.__name__}(): {name} is closed"


cdef object new_function(void *address, object prototype):
    try:
        if address is NULL:
            raise FFIValueError("NULL is no function")
        if not isinstance(prototype, str):
            raise FFITypeError(
                f"expected a prototype such as \"double (double)\", got {describe(prototype)}"
            )
        return Function(<uintptr_t>address, cdecl.parse_prototype(prototype))
    except Error as exc:
        raise located(exc, "new_function()") from exc.__cause__


# --- calls

cdef int invoke(const Call *call, void *rvalue, void **avalues) noexcept nogil:
    cdef const Entry *entry = <const Entry *>call
    cdef const Plan *plan
    cdef uint32_t i
    cdef uint64_t word
    cdef char frame[MAX_FRAME]
    cdef const char *value
    cdef Thread *thread
    cdef Frame running
    if unlikely(entry is NULL or entry.closed[0]):
        return refuse(entry, BAD_CALL)
    if unlikely(rvalue is NULL and entry.has_result):
        return refuse(entry, BAD_RESULT)
    if unlikely(avalues is NULL and entry.argument_count > 0):
        return refuse(entry, BAD_ARGUMENTS)
    plan = entry.plan
    if unlikely(plan is NULL):
        return invoke_generally(entry, rvalue, avalues)
    for i in range(plan.move_count):
        value = <const char *>avalues[i]
        if unlikely(value is NULL):
            return refuse(entry, <int>i)
        if plan.moves[i].kind == DIRECT_MOVE_WORD:
            memcpy(&word, value, sizeof(word))
        else:
            word = direct_extend(plan.moves[i].kind, value)
        memcpy(frame + plan.moves[i].at, &word, sizeof(word))
    thread = current_thread()
    begin(thread, &running)
    invoke_frame(frame, entry.code, plan.stack_words, plan.flags)
    if plan.result_count == 1 and plan.results[0].kind == DIRECT_MOVE_WORD:
        memcpy(rvalue, frame + plan.results[0].at, sizeof(word))
    else:
        direct_take(plan, frame, <char *>rvalue)
    return finish(thread, &running)


cdef int invoke_generally(const Entry *entry, void *rvalue, void **avalues) noexcept nogil:
    cdef Thread *thread
    cdef Frame running
    cdef unsigned int i
    for i in range(entry.argument_count):
        if avalues[i] is NULL:
            return refuse(entry, <int>i)
    thread = current_thread()
    begin(thread, &running)
    invoke_keeping((<Function>entry.function).signature.cif, entry.code, rvalue, avalues)
    return finish(thread, &running)


cdef inline void begin(Thread *thread, Frame *running) noexcept nogil:
    # Unlike a call by Python it leaves errno as the caller set it.
    running.error = NULL
    running.state = NULL
    running.below = thread.top
    thread.top = running


cdef inline int finish(Thread *thread, Frame *running) noexcept nogil:
    swap_out(thread)
    thread.top = running.below
    if unlikely(running.error is not NULL):
        keep_error(thread, running)
    return pending(thread)[0] is not NULL


# --- what is pending

cdef inline void **pending(Thread *thread) noexcept nogil:
    """Where an exception waits.

    In a callback that is with it, so that it leaves alone what waits for those who called it. In C
    code that a call has called it is with that call, which raises it if nobody else does.
    """
    return &thread.error if thread.top is NULL else &thread.top.error


cdef void keep_error(Thread *thread, Frame *running) noexcept nogil:
    cdef void **error = pending(thread)
    cdef int attached
    if error[0] is NULL:
        error[0] = running.error
        pthread_setspecific(pending_key, thread)
    elif interpreter_is_running():
        # The first one counts.
        attached = attach()
        (<Errors><void *>drop_error)(thread, running)
        detach(attached)


cdef void drop_error(Thread *thread, Frame *running) noexcept:
    Py_DECREF(<object>running.error)


cdef int raise_pending() except -1:
    cdef void **error = pending(current_thread())
    cdef Frame frame
    if error[0] is NULL:
        return 0
    frame.error = error[0]
    error[0] = NULL
    return raise_error(&frame)


cdef void end_thread(void *thread) noexcept nogil:
    """Report an exception that nobody raised on a thread that ends."""
    cdef int attached
    if (<Thread *>thread).error is NULL or not interpreter_is_running():
        return
    attached = attach()
    (<Errors><void *>report_error)(<Thread *>thread, NULL)
    detach(attached)


cdef void report_error(Thread *thread, Frame *_) noexcept:
    error = <object>thread.error
    Py_DECREF(error)
    thread.error = NULL
    report(error, None)


# --- refusals

cdef int refuse(const Entry *entry, int argument) noexcept nogil:
    cdef Thread *thread = current_thread()
    cdef int attached
    if interpreter_is_running() and pending(thread)[0] is NULL:
        attached = attach()
        (<Refusal><void *>make_refusal)(entry, thread, argument)
        detach(attached)
    return 1


cdef void make_refusal(const Entry *entry, Thread *thread, int argument) noexcept:
    cdef object error = None
    try:
        error = FFIValueError(f"invoke(): {what_is_wrong(entry, argument)}")
    except BaseException as exc:
        error = exc
    Py_INCREF(error)
    pending(thread)[0] = <void *>error
    pthread_setspecific(pending_key, thread)


cdef str what_is_wrong(const Entry *entry, int argument):
    cdef Function function
    if entry is NULL:
        return "NULL is no Call"
    function = <object>entry.function
    if argument == BAD_CALL:
        return closed_library(function)
    if argument == BAD_RESULT:
        name = function.rtype.name
        return f"{function.__name__}(): argument 'rvalue': NULL has no room for {name}"
    if argument == BAD_ARGUMENTS:
        return f"{function.__name__}(): argument 'avalues': NULL, expected an array of addresses"
    return (
        f"{function.__name__}(): argument 'avalues': entry {argument} is NULL, expected the "
        "address of a value"
    )


def _end_main_thread():
    # It does not end like others, which keys of threads tell of.
    cdef Thread *thread = current_thread()
    if thread.error is not NULL:
        report_error(thread, NULL)


atexit.register(_end_main_thread)
if pthread_key_create(&pending_key, end_thread) != 0:
    raise MemoryError("no more keys for storage of threads")
