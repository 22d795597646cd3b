"""Well-known libraries: handles, destructors, missing symbols, variadic calls, function pointers.

What the examples show is not repeated here.
"""

from __future__ import annotations

import gc
import runpy
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from checks import refused
from needs import bundles_openblas, lack, need_library

import ffi

GSL = """
typedef struct gsl_rng_type gsl_rng_type;
typedef struct gsl_rng gsl_rng;
typedef struct {
    size_t size, stride;
    double *data;
    struct gsl_block *block;
    int owner;
} gsl_vector;
extern const gsl_rng_type *gsl_rng_mt19937, *gsl_rng_ranlux;
gsl_rng *gsl_rng_alloc(const gsl_rng_type *kind);
gsl_rng *gsl_rng_clone(const gsl_rng *rng);
double gsl_rng_uniform(const gsl_rng *rng);
void gsl_rng_free(gsl_rng *rng);
gsl_vector *gsl_vector_calloc(size_t n);
void gsl_vector_set(gsl_vector *v, size_t i, double x);
double gsl_vector_max(const gsl_vector *v);
void gsl_vector_free(gsl_vector *v);

typedef struct { double (*function)(double x, void *params); void *params; } gsl_function;
typedef struct gsl_integration_workspace gsl_integration_workspace;
gsl_integration_workspace *gsl_integration_workspace_alloc(size_t n);
void gsl_integration_workspace_free(gsl_integration_workspace *w);
int gsl_integration_qags(const gsl_function *f, double a, double b, double epsabs, double epsrel,
                         size_t limit, gsl_integration_workspace *workspace, double *result,
                         double *abserr);
typedef void gsl_error_handler_t(const char *reason, const char *file, int line, int gsl_errno);
gsl_error_handler_t *gsl_set_error_handler(gsl_error_handler_t *handler);
gsl_error_handler_t *gsl_set_error_handler_off(void);
const char *gsl_strerror(int gsl_errno);
int gsl_sf_gamma_e(double x, gsl_sf_result *result);
"""
SQLITE = """
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open(const char *filename, sqlite3 **db);
int sqlite3_close(sqlite3 *db);
const char *sqlite3_errmsg(sqlite3 *db);
int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **statement,
                       const char **tail);
int sqlite3_step(sqlite3_stmt *statement);
int sqlite3_bind_blob(sqlite3_stmt *statement, int place, const void *data, int n, intptr_t end);
int sqlite3_bind_text(sqlite3_stmt *statement, int place, const char text[n], int n, intptr_t end);
const void *sqlite3_column_blob(sqlite3_stmt *statement, int column);
const unsigned char *sqlite3_column_text(sqlite3_stmt *statement, int column);
int sqlite3_column_bytes(sqlite3_stmt *statement, int column);
int sqlite3_finalize(sqlite3_stmt *statement);
char *sqlite3_mprintf(const char *format, ...);
char *sqlite3_snprintf(int n, char text[n], const char *format, ...);
void sqlite3_free(void *p);
"""


@pytest.fixture(scope="module")
def gsl():
    library = need_library("gsl")
    library.cdef("typedef struct { double val, err; } gsl_sf_result;")
    out = {"gsl_integration_qags": ["result", "abserr"], "gsl_sf_gamma_e": ["result"]}
    library.cdef(GSL, out=out)
    return library


@pytest.fixture(scope="module")
def sqlite():
    library = need_library("sqlite3")
    out = {"sqlite3_open": ["db"], "sqlite3_prepare_v2": ["statement", "tail"]}
    library.cdef(SQLITE, out=out)
    return library


@pytest.fixture
def db(sqlite):
    code, handle = sqlite.sqlite3_open(":memory:")
    assert code == 0
    with ffi.gc(handle, sqlite.sqlite3_close) as owned:
        yield owned


# --- handles


def test_handles_of_another_type_are_refused(gsl):
    kind = gsl.variable("gsl_rng_mt19937")[0]
    rng = ffi.gc(gsl.gsl_rng_alloc(kind), gsl.gsl_rng_free)
    vector = ffi.gc(gsl.gsl_vector_calloc(3), gsl.gsl_vector_free)
    gsl.gsl_vector_set(vector, 1, 4.5)
    assert gsl.gsl_vector_max(vector) == 4.5
    for call, message in (
        (lambda: gsl.gsl_vector_max(rng), "'v': expected const gsl_vector *, got .*gsl_rng"),
        (
            lambda: gsl.gsl_rng_uniform(vector),
            "'rng': expected const struct gsl_rng *, got .*gsl_v",
        ),
        (lambda: gsl.gsl_rng_alloc(rng), "'kind': expected const struct gsl_rng_type *"),
        (lambda: gsl.gsl_rng_free(kind), "'rng': expected struct gsl_rng *, got .*which is const"),
        (lambda: gsl.gsl_rng_uniform(rng.address), "'rng': expected a Pointer or None .* got int"),
        (lambda: gsl.gsl_rng_uniform(np.zeros(8)), "'rng': expected a Pointer or None"),
        (lambda: gsl.gsl_rng_uniform(b"rng"), "'rng': expected a Pointer or None"),
        (lambda: gsl.variable("gsl_rng_mt19937")[0][0], "gsl_rng_type"),
    ):
        with refused(TypeError, match=message.replace("*", r"\*").replace(r".\*", ".*")):
            call()
    # None is a NULL, which is the caller's affair; a handle without its type goes anywhere.
    assert 0 <= gsl.gsl_rng_uniform(rng.cast("void *")) < 1
    # Two libraries that declare the same tag mean the same.
    other = ffi.dlopen(gsl.name)
    other.cdef("struct gsl_rng; double gsl_rng_uniform(const struct gsl_rng *r);")
    assert 0 <= other.gsl_rng_uniform(rng) < 1


def test_records_behind_handles(gsl):
    # A struct that the library made, its memory viewed by NumPy.
    vector = ffi.gc(gsl.gsl_vector_calloc(4), gsl.gsl_vector_free)
    record = vector[0]
    assert (record.size, record.stride, record.owner) == (4, 1, 1)
    items = record.data.view(record.size)
    items[:] = [1, 9, 3, 4]
    assert gsl.gsl_vector_max(vector) == 9
    # One made here around an array's memory.
    array = np.array([5.0, 0.0, 7.0, 0.0, 6.0, 0.0])
    mine = ffi.new(gsl.types["gsl_vector"])
    mine[0].size, mine[0].stride, mine[0].data = 3, 2, array
    del array
    gc.collect()
    assert gsl.gsl_vector_max(mine) == 7
    with refused(TypeError, match="'data'"):
        mine[0].data = np.zeros(3, np.float32)


def test_released_handles_are_refused(gsl):
    rng = ffi.gc(gsl.gsl_rng_alloc(gsl.variable("gsl_rng_mt19937")[0]), gsl.gsl_rng_free)
    clone = ffi.gc(gsl.gsl_rng_clone(rng), gsl.gsl_rng_free)
    untyped = rng.cast("void *")
    first = gsl.gsl_rng_uniform(rng)
    # Not while another pointer to it is around.
    with refused(BufferError, match="pointers still use the memory of .*gsl_rng"):
        rng.release()
    del untyped
    rng.release()
    rng.release()
    with refused(ValueError, match=r"gsl_rng_uniform\(\): argument 'rng': .*was released"):
        gsl.gsl_rng_uniform(rng)
    with refused(ValueError, match="was released"):
        gsl.gsl_rng_free(rng)
    with clone:
        assert gsl.gsl_rng_uniform(clone) == first
    with refused(ValueError, match="was released"):
        gsl.gsl_rng_uniform(clone)


def test_out_handles_end_by_gc(sqlite, db):
    code, statement, tail = sqlite.sqlite3_prepare_v2(db, "select 1; select 2", -1)
    assert code == 0
    assert tail.string() == b" select 2"
    with refused(TypeError, match=r"'db': expected struct sqlite3 \*, got .*sqlite3_stmt"):
        sqlite.sqlite3_close(statement)
    with ffi.gc(statement, sqlite.sqlite3_finalize) as query:
        assert sqlite.sqlite3_step(query) == 100
    with refused(ValueError, match="'statement': .* was released"):
        sqlite.sqlite3_step(query)
    # What failed gives NULL for the handle.
    code, statement, _ = sqlite.sqlite3_prepare_v2(db, "select", -1)
    assert (code, statement) == (1, None)
    assert sqlite.sqlite3_errmsg(db).string() == b"incomplete input"


def test_destructors_run_in_any_thread(gsl):
    kind = gsl.variable("gsl_rng_ranlux")[0]
    drawn = []

    def draw():
        rng = ffi.gc(gsl.gsl_rng_alloc(kind), gsl.gsl_rng_free)
        drawn.append([gsl.gsl_rng_uniform(rng) for _ in range(1000)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 8
    assert all(numbers == drawn[0] for numbers in drawn)


# --- values


def test_bytes_with_nuls_go_in_and_out(sqlite, db):
    data = np.arange(7, dtype=np.float64)
    text = b"a\0b"
    _, statement, _ = sqlite.sqlite3_prepare_v2(db, "select ?, ?", -1)
    with ffi.gc(statement, sqlite.sqlite3_finalize) as query:
        copied = -1  # SQLITE_TRANSIENT
        assert sqlite.sqlite3_bind_blob(query, 1, data, data.nbytes, copied) == 0
        assert sqlite.sqlite3_bind_text(query, 2, text, copied) == 0
        assert sqlite.sqlite3_step(query) == 100
        blob = sqlite.sqlite3_column_blob(query, 0)
        assert sqlite.sqlite3_column_bytes(query, 0) == data.nbytes
        view = blob.cast("const double *").view(data.size)
        np.testing.assert_array_equal(view, data)
        assert not view.flags.writeable
        length = sqlite.sqlite3_column_bytes(query, 1)
        assert bytes(sqlite.sqlite3_column_text(query, 1).view(length)) == text


def test_variadic_functions(sqlite):
    with ffi.gc(
        sqlite.sqlite3_mprintf("%d %lld %.2f %Q", 3, ffi.new("long long", 2**40)[0], 2.5, "it's"),
        sqlite.sqlite3_free,
    ) as text:
        assert text.string() == b"3 1099511627776 2.50 'it''s'"
    buffer = np.zeros(8, np.uint8)
    assert sqlite.sqlite3_snprintf(buffer, "%s", "longer than that") is not None
    assert buffer.tobytes() == b"longer \0"


def test_function_pointers_in_structs(gsl, compile_c):
    source = """
    #include <math.h>
    double bell(double x, void *params) { return exp(-*(double *)params * x * x); }
    """
    compiled = ffi.dlopen(compile_c(source, "bell", "-lm"))
    bell = compiled.function("double bell(double x, void *params)")
    width = np.array([2.0])
    function = ffi.new(gsl.types["gsl_function"], {"function": bell, "params": width})
    with ffi.gc(
        gsl.gsl_integration_workspace_alloc(100), gsl.gsl_integration_workspace_free
    ) as workspace:
        arguments = (function, -6.0, 6.0, 0.0, 1e-10, 100, workspace)
        status, result, error = gsl.gsl_integration_qags(*arguments)
        assert status == 0
        assert abs(result - np.sqrt(np.pi / 2)) < 1e-12
        assert error < 1e-10
        # It reads the parameter where the array has it.
        width[0] = 0.5
        _, result, _ = gsl.gsl_integration_qags(*arguments)
        np.testing.assert_allclose(result, np.sqrt(2 * np.pi), rtol=1e-8)
    # As a field it is a function again.
    assert function[0].function(0.0, width) == 1.0
    with refused(TypeError, match="'function'"):
        function[0].function = compiled.function("double bell(double x)")


def test_errors_by_status(gsl):
    before = gsl.gsl_set_error_handler_off()
    try:
        # The handler that is set is a function, and is none before the first.
        off = gsl.gsl_set_error_handler(before)
        assert isinstance(off, ffi.Function)
        assert gsl.gsl_set_error_handler(off) == before
        status, value = gsl.gsl_sf_gamma_e(200.0)
        assert gsl.gsl_strerror(status).string() == b"overflow"
        assert np.isinf(value.val)
        assert gsl.gsl_sf_gamma_e(5.0)[1].val == 24
    finally:
        gsl.gsl_set_error_handler(before)


def test_libraries_agree_with_python():
    # On unaligned and read-only memory, and on none at all.
    library = need_library("z")
    crc32 = library.function("unsigned long crc32(unsigned long crc, const void *data, unsigned n)")
    data = bytes(range(256)) * 40
    for start in range(9):
        part = memoryview(data)[start:]
        assert crc32(0, part, part.nbytes) == zlib.crc32(part)
    assert crc32(0, None, 0) == zlib.crc32(b"")


def test_in_and_out_lengths():
    library = need_library("z")
    library.cdef("""
        int uncompress(unsigned char dest[], unsigned long *length, const unsigned char source[n],
                       unsigned long n);
    """)
    data = np.sin(np.arange(1000.0))
    packed, again = zlib.compress(data), np.zeros(1000)
    length = ffi.new("unsigned long", again.nbytes)
    assert library.uncompress(again.view(np.uint8), length, packed) == 0
    assert length[0] == data.nbytes
    np.testing.assert_array_equal(again, data)
    # Z_BUF_ERROR and Z_DATA_ERROR
    length[0] = again.nbytes - 1
    assert library.uncompress(again.view(np.uint8), length, packed) == -5
    assert library.uncompress(again.view(np.uint8), length, packed[:20] + bytes(99)) == -3
    with refused(TypeError, match="'length': expected an array of uint"):
        library.uncompress(again.view(np.uint8), np.array([again.nbytes], np.uint16), packed)


# --- declarations


@pytest.mark.parametrize("name", ["gsl", "sqlite3", "z"])
def test_missing_symbols_are_named_together(name):
    library = need_library(name)
    known = {"gsl": "gsl_rng_max", "sqlite3": "sqlite3_changes", "z": "adler32"}[name]
    text = f"int none_a(void); typedef int x; int {known}(void); extern int none_b; int none_c(x);"
    with refused(OSError, match=r"^cdef\(\): <ffi.Library .*> lacks 'none_a', 'none_c', 'none_b'$"):
        library.cdef(text)
    assert not library.types
    with refused(AttributeError, match=f"no declared function '{known}'"):
        getattr(library, known)


def test_closed_libraries(gsl):
    library = ffi.dlopen(gsl.name)
    library.cdef(GSL.partition("typedef struct { double (*")[0])
    rng = ffi.gc(
        library.gsl_rng_alloc(library.variable("gsl_rng_mt19937")[0]), library.gsl_rng_free
    )
    ffi.dlclose(library)
    with refused(ValueError, match=r"gsl_rng_uniform\(\): .* is closed"):
        library.gsl_rng_uniform(rng)
    # The handle keeps what its end needs.
    assert 0 <= gsl.gsl_rng_uniform(rng) < 1
    rng.release()


def test_lapack_of_numpys_wheel(monkeypatch, capsys):
    if not bundles_openblas():
        lack("no OpenBLAS in NumPy's wheel")
    monkeypatch.setattr(ffi, "find_library", lambda name: None)
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "lapack_solve.py"))
    assert "LAPACKE_dgesv64_ of" in capsys.readouterr().out
