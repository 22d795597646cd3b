"""Calls of one C function over many elements, whose operands NumPy has laid out.

No Python here, and nothing is allocated for an element. A function is called by a typed pointer if
its signature is a common one; here it is called in registers, else through a frame, else by libffi.
"""

import os

from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ffi cimport _types
from ffi._cif cimport CIF, result_at
from ffi._core cimport invoke
from ffi._direct cimport INVOKE_FRAME
from ffi._frames cimport Frame
from ffi._signature cimport DIRECT_MOVE_WORD, Move, Plan

cdef extern from "alloca.h":
    void *alloca(size_t size) nogil

cdef extern from *:
    bint __builtin_mul_overflow(size_t a, size_t b, size_t *product) nogil
    bint __builtin_add_overflow(size_t a, size_t b, size_t *sum) nogil

cdef extern from "_typed_loops.h":
    TypedLoop find_typed_loop(const char *key)
    void copy_item(char *to, const char *source, size_t size) nogil

cdef extern from "_registers.h":
    enum:
        REGISTERS_INTEGERS
        REGISTERS_TRUTH

    int register_of(const Move *move) nogil
    const RegisterWay *find_register_way(const Plan *plan)
    void register_clear(const RegisterWay *way, RegisterCall *call) nogil

cdef extern from "_direct_plan.h":
    uint64_t direct_extend(int kind, const char *data) nogil
    void direct_place(const Move *move, const Move *end, char *frame, const char *value) nogil
    void direct_take(const Plan *plan, const char *frame, char *rvalue) nogil

cdef enum:
    # Bytes of the largest result.
    MAX_RESULT = 32
    # Scratch of more bytes is not on the C stack.
    MAX_LOCAL = 4096

# As for other calls, for debugging: everything through libffi.
cdef bint HAS_TYPED = os.environ.get("FFI_NO_DIRECT", "0") in ("", "0")


cdef int prepare_way(Kernel *kernel, CIF cif, bytes key) except -1:
    kernel.cif = <void *>cif
    kernel.plan = <const Plan *>cif.plan
    if HAS_TYPED:
        kernel.typed = find_typed_loop(key)
    if kernel.plan is not NULL:
        kernel.way = find_register_way(kernel.plan)
    else:
        kernel.result_offset = <Py_ssize_t>result_at(cif.rtype, NULL)
    return 0


# An operand that C gets the address of.
cdef struct Passed:
    char *address                       # what C gets
    char *data                          # where NumPy has it
    Py_ssize_t stride
    bint is_copied                      # whether the address is scratch
    bint is_output
    size_t nbytes
    const Operand *operand
    const Py_ssize_t *strides           # of its core


# Those of a loop.
cdef struct Passing:
    Passed *items
    int count
    const Py_ssize_t *lengths           # of the core dimensions
    const int *axes


cdef Fault call_generally(
    const Kernel *kernel, char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides,
    Frame *frame
) noexcept nogil:
    cdef Passing passing
    cdef Passed *item
    cdef size_t scratch_size = 0
    cdef char *scratch = NULL
    cdef char *local = NULL
    cdef const Py_ssize_t *core_strides = strides + kernel.operand_count
    cdef bint has_work = False
    cdef int i
    passing.items = <Passed *>alloca((kernel.operand_count + 1) * sizeof(Passed))
    passing.count = 0
    passing.lengths = dimensions + 1
    passing.axes = kernel.axes
    for i in range(kernel.operand_count):
        if kernel.operands[i].is_address:
            item = &passing.items[passing.count]
            if not pass_operand(
                item, kernel, i, args, strides[i], core_strides, passing.lengths, &scratch_size
            ):
                return NO_MEMORY
            has_work |= item.is_copied or item.is_output
            passing.count += 1
        core_strides += kernel.operands[i].ndim
    if scratch_size > MAX_LOCAL:
        scratch = local = <char *>malloc(scratch_size)
        if scratch is NULL:
            return NO_MEMORY
    elif scratch_size:
        scratch = <char *>alloca(scratch_size)
    if scratch_size:
        for i in range(passing.count):
            if passing.items[i].is_copied:
                passing.items[i].address = scratch
                scratch += (passing.items[i].nbytes + 15) // 16 * 16
    if kernel.way is not NULL:
        call_by_registers(kernel, args, dimensions, strides, frame, &passing, has_work)
    else:
        call_by_plan(kernel, args, dimensions, strides, frame, &passing)
    free(local)
    return NO_FAULT


cdef bint pass_operand(
    Passed *passed, const Kernel *kernel, int index, char **args, Py_ssize_t stride,
    const Py_ssize_t *strides, const Py_ssize_t *lengths, size_t *scratch_size
) noexcept nogil:
    """Decide whether C gets the address of an operand, or that of a copy; False for too large."""
    cdef const Operand *operand = &kernel.operands[index]
    cdef const int *axes = kernel.axes + operand.first_axis
    cdef size_t nbytes = operand.size
    cdef bint is_contiguous = True, is_empty = False
    cdef Py_ssize_t length
    cdef int i = operand.ndim
    while i > 0:
        i -= 1
        length = lengths[axes[i]]
        is_empty |= length == 0
        is_contiguous &= length == 1 or strides[i] == <Py_ssize_t>nbytes
        if __builtin_mul_overflow(nbytes, length, &nbytes):
            return False
    passed.address = passed.data = args[index]
    passed.stride = stride
    passed.operand = operand
    passed.strides = strides
    passed.nbytes = nbytes
    passed.is_output = index >= kernel.input_count
    passed.is_copied = not is_contiguous or (passed.is_output and operand.ndim == 0)
    # An output may be an input too, item by item: NumPy takes it that C reads before it writes.
    for i in range(kernel.input_count):
        passed.is_copied |= passed.is_output and args[i] == args[index]
    if is_empty:
        passed.nbytes = 0
        passed.is_copied = False
    if passed.is_copied:
        return not __builtin_add_overflow(
            scratch_size[0], (passed.nbytes + 15) // 16 * 16, scratch_size
        )
    return True


cdef inline void put_integer(const Argument *argument, void *to, int64_t value) noexcept nogil:
    """Store a number as C has it, at the beginning of a word."""
    if argument.size == 8:
        (<int64_t *>to)[0] = value
    elif argument.size == 4:
        (<int *>to)[0] = <int>value
    elif argument.size == 2:
        (<short *>to)[0] = <short>value
    else:
        (<signed char *>to)[0] = <signed char>value


cdef void call_by_registers(
    const Kernel *kernel, char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides,
    Frame *running, Passing *passing, bint has_work
) noexcept nogil:
    cdef RegisterCall call
    cdef Value value
    cdef RegisterFeed *feed
    cdef const Argument *argument
    cdef const Move *move
    cdef bint has_words = True, has_values = False
    cdef int i, number
    register_clear(kernel.way, &call)
    for i in range(kernel.argument_count):
        argument = &kernel.arguments[i]
        find_value(kernel, argument, args, strides, passing, &value)
        # The halves of a complex number have registers of their own.
        move = argument.first
        while move < argument.end:
            number = register_of(move)
            if number >= REGISTERS_INTEGERS:
                feed = &call.vectors[number - REGISTERS_INTEGERS]
            else:
                feed = &call.integers[number]
            if value.item is not NULL:
                feed.word = <uint64_t><uintptr_t>value.item.address
                feed.step = 0 if value.item.is_copied else <uint64_t>value.item.stride
            elif argument.role != VALUE:
                feed.word = direct_extend(move.kind, value.source)
            else:
                feed.source = value.source + move.start
                feed.stride = value.stride
                feed.kind = REGISTERS_TRUTH if value.is_truth else move.kind
                has_words &= feed.kind == DIRECT_MOVE_WORD
                has_values = True
            move += 1
    call.code = kernel.code
    call.to = NULL
    if kernel.has_result:
        call.to = args[kernel.input_count]
        call.stride = strides[kernel.input_count]
        call.size = kernel.operands[kernel.input_count].size
        call.is_truth = kernel.operands[kernel.input_count].code == _types.BOOL
    call.before = call.after = NULL
    if has_work:
        call.before = bring
        call.after = take
        call.data = passing
    if not has_values and not has_work and kernel.way.addresses is not NULL:
        kernel.way.addresses(&call, dimensions[0], &running.error)
    elif has_words:
        kernel.way.words(&call, dimensions[0], &running.error)
    else:
        kernel.way.any(&call, dimensions[0], &running.error)


# Where the value of an argument lies for the next call.
cdef struct Value:
    const char *source
    Py_ssize_t stride
    Passed *item                        # whose address it is, or NULL
    bint is_truth                       # a _Bool that may be any byte
    int64_t word                        # a length, a constant, or such a _Bool


cdef inline void find_value(
    const Kernel *kernel, const Argument *argument, char **args, const Py_ssize_t *strides,
    const Passing *passing, Value *value
) noexcept nogil:
    value.stride = 0
    value.item = NULL
    value.is_truth = False
    if argument.role == VALUE:
        value.source = args[argument.number]
        value.stride = strides[argument.number]
        value.is_truth = argument.code == _types.BOOL
    elif argument.role == ADDRESS:
        value.item = &passing.items[kernel.operands[argument.number].place]
        value.source = <char *>&value.item.address
    else:
        value.source = <char *>&value.word
        put_integer(
            argument, &value.word,
            argument.value if argument.role == CONSTANT else passing.lengths[argument.number],
        )


ctypedef void (*Invoker)(void *cif, void *fn, void *rvalue, void **avalues) noexcept nogil


cdef void call_by_plan(
    const Kernel *kernel, char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides,
    Frame *running, Passing *passing
) noexcept nogil:
    """Call through a frame, or through libffi."""
    cdef const Plan *plan = kernel.plan
    cdef int count = kernel.argument_count
    cdef Value *values = <Value *>alloca((count + 1) * sizeof(Value))
    cdef void **avalues = <void **>alloca((count + 1) * sizeof(void *))
    cdef char result[MAX_RESULT + 16]
    # Where a long double may lie.
    cdef char *rvalue = <char *>((<size_t>result + 15) & ~<size_t>15)
    cdef char *frame = NULL
    cdef char *to = args[kernel.input_count]
    cdef Py_ssize_t stride = strides[kernel.input_count]
    cdef const Operand *output = &kernel.operands[kernel.input_count]
    cdef Py_ssize_t rest = dimensions[0]
    cdef int i
    # Of a long double C writes ten bytes.
    memset(result, 0, sizeof(result))
    if plan is not NULL:
        frame = <char *>alloca(plan.frame_size)
    for i in range(count):
        find_value(kernel, &kernel.arguments[i], args, strides, passing, &values[i])
    while rest > 0 and running.error is NULL:
        rest -= 1
        bring(passing)
        for i in range(count):
            avalues[i] = <void *>values[i].source
            if values[i].is_truth:
                (<char *>&values[i].word)[0] = values[i].source[0] != 0
                avalues[i] = &values[i].word
            values[i].source += values[i].stride
        if plan is NULL:
            (<Invoker><void *>invoke)(kernel.cif, kernel.code, rvalue, avalues)
        else:
            for i in range(count):
                direct_place(
                    kernel.arguments[i].first, kernel.arguments[i].end, frame, <char *>avalues[i]
                )
            if plan.result_address:
                memcpy(frame + plan.result_address, &rvalue, sizeof(rvalue))
            INVOKE_FRAME(frame, kernel.code, plan.stack_words, plan.flags)
            if plan.result_address == 0:
                direct_take(plan, frame, rvalue)
        if kernel.has_result:
            copy_item(to, rvalue + kernel.result_offset, output.size)
            if output.code == _types.BOOL:
                to[0] = to[0] != 0
            to += stride
        take(passing)


cdef void bring(void *data) noexcept nogil:
    """Make ready what C gets the addresses of."""
    cdef const Passing *passing = <const Passing *>data
    cdef Passed *item = passing.items
    cdef Passed *end = passing.items + passing.count
    while item < end:
        if not item.is_copied:
            item.address = item.data
        if item.is_output:
            # C may write a part only.
            memset(item.address, 0, item.nbytes)
        elif item.is_copied:
            copy_core(item, passing, item.address, item.data, 0, item.nbytes)
        item += 1


cdef void take(void *data) noexcept nogil:
    """Take what C wrote, and go on to the next."""
    cdef const Passing *passing = <const Passing *>data
    cdef Passed *item = passing.items
    cdef Passed *end = passing.items + passing.count
    while item < end:
        if not item.is_output or not item.is_copied:
            pass
        elif item.operand.ndim:
            copy_core(item, passing, item.address, item.data, 0, item.nbytes)
        elif item.operand.code == _types.BOOL:
            item.data[0] = item.address[0] != 0
        else:
            copy_item(item.data, item.address, item.operand.size)
        item.data += item.stride
        item += 1


cdef void copy_core(
    const Passed *item, const Passing *passing, char *packed, char *data, int axis, size_t nbytes
) noexcept nogil:
    """Copy between an array of `nbytes` and one with strides, which has the rest of the axes."""
    cdef Py_ssize_t length = passing.lengths[passing.axes[item.operand.first_axis + axis]]
    cdef Py_ssize_t stride = item.strides[axis]
    cdef bint is_last = axis + 1 == item.operand.ndim
    nbytes //= length
    while length > 0:
        length -= 1
        if not is_last:
            copy_core(item, passing, packed, data, axis + 1, nbytes)
        elif item.is_output:
            copy_item(data, packed, nbytes)
        else:
            copy_item(packed, data, nbytes)
        packed += nbytes
        data += stride
