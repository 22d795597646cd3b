"""Callbacks as common C libraries use them: in sorting, for messages, at the ends of threads."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from checks import refused

import ffi

SOURCE = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
typedef void (*logger)(int level, const char *message, void *data);
static struct { logger log; void *data; int count, has_started; pthread_t thread; } state;
static void *work(void *data)
{
    (void)data;
    /* Not before the call that started it is over. */
    while (!__atomic_load_n(&state.has_started, __ATOMIC_ACQUIRE)) usleep(100);
    for (int i = 0; i < state.count; i++) {
        char message[32];
        snprintf(message, sizeof(message), "step %d", i);
        state.log(i % 3, message, state.data);
    }
    return NULL;
}
int start(logger log, void *data, int count)
{
    state.log = log, state.data = data, state.count = count, state.has_started = 0;
    return pthread_create(&state.thread, NULL, work, NULL);
}
int stop(void)
{
    __atomic_store_n(&state.has_started, 1, __ATOMIC_RELEASE);
    return pthread_join(state.thread, NULL);
}
typedef double (*unary)(double);
static pthread_key_t key;
static double sum;
static void end(void *f) { sum += ((unary)f)(2.0) + ((unary)f)(3.0); }
static void *run(void *f)
{
    pthread_setspecific(key, f);
    sum += ((unary)f)(1.0);
    return NULL;
}
double end_threads(unary f, int count)
{
    pthread_t thread;
    if (!key) pthread_key_create(&key, end);
    for (sum = 0; count--;) {
        pthread_create(&thread, NULL, run, (void *)f);
        pthread_join(thread, NULL);
    }
    return sum;
}
"""
HEADER = """
int start(void (*log)(int level, const char *message, void *data), void *data, int count);
int stop(void);
double end_threads(double (*f)(double), int count);
"""


@pytest.fixture(scope="module")
def lib(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "others", "-lpthread"))
    library.cdef(HEADER)
    return library


def raiser(error):
    def fail(*_):
        raise error

    return fail


# --- sorting with user data


@pytest.fixture
def qsort_r():
    try:
        return ffi.dlopen(None).function(
            "void qsort_r(void *base, size_t n, size_t size,"
            " int (*compare)(const int *a, const int *b, void *data), void *data)"
        )
    except OSError:
        pytest.skip("no qsort_r in the C library")


def test_sort_by_user_data(qsort_r):
    """Indices are sorted by the values that the user's pointer leads to."""
    values = np.random.default_rng(0).random(200)
    order = np.random.default_rng(1).permutation(200).astype(np.intc)

    @ffi.callback("int (const int *a, const int *b, void *data)")
    def compare(a, b, data):
        keys = data.cast("const double *").view(200)
        return int(np.sign(keys[a[0]] - keys[b[0]]))

    qsort_r(order, order.size, order.itemsize, compare, values)
    np.testing.assert_array_equal(order, np.argsort(values))


def test_sort_that_fails(qsort_r):
    order = np.arange(10, dtype=np.intc)[::-1].copy()
    calls = []

    def compare(a, b, data):
        calls.append(data)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        qsort_r(order, order.size, order.itemsize, compare, None)
    assert calls == [None]
    assert sorted(order) == list(range(10))
    with refused(TypeError, match=r"<lambda>\(\): result: expected an integer for int32"):
        qsort_r(order, order.size, order.itemsize, lambda a, b, data: "less", None)


# --- messages from a thread of the library


def test_log_from_a_thread(lib):
    """The callback outlives the call it was passed to, and the messages come from elsewhere."""
    messages = []

    @ffi.callback("void (int level, const char *message, void *data)")
    def log(level, message, data):
        data.cast("int *")[0] += 1
        messages.append((level, message.string(), threading.get_ident()))

    count = np.zeros(1, np.intc)
    assert lib.start(log, count, 100) == 0
    assert lib.stop() == 0
    assert [(level, text) for level, text, _ in messages] == [
        (i % 3, b"step %d" % i) for i in range(100)
    ]
    assert threading.get_ident() not in {thread for *_, thread in messages}
    assert len({thread for *_, thread in messages}) == 1
    assert count[0] == 100


def test_log_that_fails(lib, unraisable):
    """The call that the callback was passed to is over: the hook is told, each time."""
    log = ffi.callback(
        "void (int level, const char *message, void *data)", raiser(LookupError("no log"))
    )
    assert lib.start(log, None, 3) == 0
    assert lib.stop() == 0
    assert unraisable.messages == ["no log"] * 3


def test_threads_that_call_when_they_end(lib):
    class Kept:
        pass

    local, seen = threading.local(), []

    def call(x):
        local.kept = Kept()
        seen.append(weakref.ref(local.kept))
        return x

    assert lib.end_threads(call, 20) == 20 * (1 + 2 + 3)
    gc.collect()
    assert len(seen) == 60
    assert not any(kept() for kept in seen)
