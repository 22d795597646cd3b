"""Callbacks while the interpreter ends: quiet, whoever calls them then."""

from __future__ import annotations

import os
import sys

import pytest
from checks import run_python

SOURCE = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
typedef double (*unary)(double);
static unary kept;
static double last;
void keep(unary f) { kept = f; }
double call_kept(double x) { return kept(x); }
static void at_end(void) { last = kept(1.0); }
void call_at_end(void) { atexit(at_end); }
static volatile long calls;
static void *forever(void *data)
{
    (void)data;
    for (;;) {
        last = kept(1.0);
        calls++;
    }
}
void call_forever(int threads)
{
    pthread_t thread;
    while (threads--) {
        pthread_create(&thread, NULL, forever, NULL);
        pthread_detach(thread);
    }
}
long wait_for(long n) { while (calls < n) usleep(1000); return calls; }
/* One that has to wait until all has ended. */
static void *later(void *data)
{
    (void)data;
    usleep(300000);
    last = kept(1.0);
    return NULL;
}
static pthread_t waiting;
static void join(void) { pthread_join(waiting, NULL); }
void call_later(void) { atexit(join); pthread_create(&waiting, NULL, later, NULL); }
"""
START = """
import atexit, gc, os, sys, threading, time
import ffi
lib = ffi.dlopen(sys.argv[1])
lib.cdef('''
    typedef double (*unary)(double);
    void keep(unary f);
    double call_kept(double x);
    void call_at_end(void);
    void call_forever(int threads);
    long wait_for(long n);
    void call_later(void);
''')
"""
ENDS = {
    "alive": """
callback = ffi.callback("double (double)", lambda x: x + 1)
lib.keep(callback)
""",
    "in a cycle": """
class Owner: pass
owner = Owner()
owner.callback = ffi.callback("double (double)", lambda x: owner and x)
owner.itself = owner
lib.keep(owner.callback)
""",
    "called by an atexit of Python's": """
callback = ffi.callback("double (double)", lambda x: x + 1)
lib.keep(callback)
atexit.register(lambda: print(lib.call_kept(1.0)))
""",
    "called by an atexit of C's": """
callback = ffi.callback("double (double)", lambda x: print("never"))
lib.keep(callback)
lib.call_at_end()
""",
    "dead, and called by an atexit of C's": """
lib.keep(ffi.callback("double (double)", lambda x: print("never")))
lib.call_at_end()
""",
    "called by finalizers": """
class Calls:
    def __init__(self, lib, callback):
        self.lib, self.callback = lib, callback
    def __del__(self):
        assert self.lib.call_kept(1.0) == 2.0
callback = ffi.callback("double (double)", lambda x: x + 1)
lib.keep(callback)
calls = Calls(lib, callback)
calls.itself = calls
""",
    "called by running threads": """
callback = ffi.callback("double (double)", lambda x: x + 1)
lib.keep(callback)
lib.call_forever(3)
lib.wait_for(1000)
""",
    "called by a thread that C waits for": """
callback = ffi.callback("double (double)", lambda x: print("never"))
lib.keep(callback)
lib.call_later()
""",
    "run by a daemon": """
def sleep(x):
    running.set()
    time.sleep(60)
    return x
callback = ffi.callback("double (double)", sleep)
lib.keep(callback)
running = threading.Event()
threading.Thread(target=lib.call_kept, args=(1.0,), daemon=True).start()
running.wait()
""",
    "in a forked process": """
callback = ffi.callback("double (double)", lambda x: x + 1)
lib.keep(callback)
assert lib.call_kept(1.0) == 2.0
child = os.fork()
if child == 0:
    assert lib.call_kept(2.0) == 3.0
    assert lib.wait_for(0) == 0
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""",
}
PRINTED = {"called by an atexit of Python's": "2.0"}


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "ends", "-lpthread")


@pytest.mark.parametrize("end", ENDS)
def test_ends_quietly(path, end):
    if end == "in a forked process" and not hasattr(os, "fork"):
        pytest.skip(f"no fork on {sys.platform}")
    assert run_python(START + ENDS[end], path).strip() == PRINTED.get(end, "")
