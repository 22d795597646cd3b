"""Put NumPy arrays into an SQLite database and query them back into arrays.

Handles are pointers of their own types, which `ffi.gc` closes; an `errcheck` makes exceptions of
SQLite's error codes.
"""

import sqlite3

import numpy as np

import ffi

sqlite = ffi.dlopen("sqlite3")


def check(code: int, function: ffi.Function, args: tuple[object, ...]) -> None:
    """Raise for SQLite's error codes; without one, only the out parameters are returned."""
    if code:
        message = sqlite.sqlite3_errstr(code).string().decode()
        raise sqlite3.OperationalError(f"{function.__name__}: {message}")


names = ["open", "close", "exec", "prepare_v2", "bind_int64", "bind_double", "reset"]
sqlite.cdef(
    """
    #define SQLITE_ROW 100
    #define SQLITE_DONE 101
    typedef struct sqlite3 sqlite3;
    typedef struct sqlite3_stmt sqlite3_stmt;
    const char *sqlite3_errstr(int code);
    int sqlite3_open(const char *filename, sqlite3 **db);
    int sqlite3_close(sqlite3 *db);
    int sqlite3_exec(sqlite3 *db, const char *sql, void *callback, void *data, char **message);
    int sqlite3_prepare_v2(sqlite3 *db, const char sql[size], int size, sqlite3_stmt **statement,
                           const char **tail);
    int sqlite3_bind_int64(sqlite3_stmt *statement, int place, long long value);
    int sqlite3_bind_double(sqlite3_stmt *statement, int place, double value);
    int sqlite3_step(sqlite3_stmt *statement);
    long long sqlite3_column_int64(sqlite3_stmt *statement, int column);
    double sqlite3_column_double(sqlite3_stmt *statement, int column);
    int sqlite3_reset(sqlite3_stmt *statement);
    int sqlite3_finalize(sqlite3_stmt *statement);
    """,
    out={"sqlite3_open": ["db"], "sqlite3_prepare_v2": ["statement", "tail"]},
    errcheck={f"sqlite3_{name}": check for name in names},
)


def prepare(sql: bytes) -> ffi.Pointer:
    """Return a statement that ends itself."""
    statement, _ = sqlite.sqlite3_prepare_v2(db, sql)
    return ffi.gc(statement, sqlite.sqlite3_finalize)


rng = np.random.default_rng(4)
values = np.empty(500, [("station", np.int64), ("level", np.float64)])
values["station"], values["level"] = rng.integers(0, 5, values.size), rng.normal(size=values.size)

db = ffi.gc(sqlite.sqlite3_open(":memory:"), sqlite.sqlite3_close)
sqlite.sqlite3_exec(db, "create table tide (station integer, level real)", None, None, None)
with prepare(b"insert into tide values (?, ?)") as insert:
    for station, level in values:
        sqlite.sqlite3_bind_int64(insert, 1, station)
        sqlite.sqlite3_bind_double(insert, 2, level)
        assert sqlite.sqlite3_step(insert) == sqlite.SQLITE_DONE
        sqlite.sqlite3_reset(insert)

rows = []
with prepare(b"select station, avg(level) from tide group by station order by 1") as query:
    while sqlite.sqlite3_step(query) == sqlite.SQLITE_ROW:
        station = sqlite.sqlite3_column_int64(query, 0)
        rows.append((station, sqlite.sqlite3_column_double(query, 1)))
means = np.array(rows, values.dtype)
print(means)
np.testing.assert_array_equal(means["station"], np.unique(values["station"]))
for station, level in means:
    np.testing.assert_allclose(level, values["level"][values["station"] == station].mean())

try:
    prepare(b"select nothing")
except sqlite3.OperationalError as error:
    print(error)
else:
    raise AssertionError("no error for SQL that is wrong")
db.release()
