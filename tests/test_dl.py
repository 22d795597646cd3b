"""The dynamic linker: dlopen, dlsym, dlclose."""

from __future__ import annotations

import copy
import gc
import os
import pathlib
import pickle

import numpy as np
import pytest
from checks import refused, run_python, without_address

import ffi

SOURCE = """
int *unloaded = 0;
int tolerance = 42;
double numbers[3] = {1.5, 2.5, 3.5};
int answer(void) { return tolerance; }
__attribute__((destructor)) static void leave(void) { if (unloaded) ++*unloaded; }
"""


@pytest.fixture
def build(compile_c, request):
    """A new library, loaded by nobody else: ``build() -> path``."""
    count = 0

    def build():
        nonlocal count
        count += 1
        return compile_c(f"/* {request.node.nodeid} {count} */{SOURCE}", "loaded")

    return build


def watch(handle):
    """Return an array that counts how often the library was unloaded."""
    count = np.zeros(1, np.intc)
    pointer = ffi.view(ffi.dlsym(handle, "unloaded"), "pointer")
    ffi.write_pointer(pointer, count)
    return count


def answer(handle):
    cif = ffi.CIF("int")
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, ffi.dlsym(handle, "answer"), result, None)
    return cif.unpack(result)


class Path:
    """A path that is neither str nor pathlib's."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


# --- dlopen


@pytest.mark.parametrize(
    "kind",
    [
        str,
        os.fsencode,
        pathlib.Path,
        lambda path: Path(str(path)),
        lambda path: Path(os.fsencode(path)),
        lambda path: np.str_(path),
        lambda path: np.bytes_(os.fsencode(path)),
    ],
    ids=["str", "bytes", "pathlib", "PathLike", "PathLike of bytes", "np.str_", "np.bytes_"],
)
def test_paths(build, kind):
    path = build()
    handle = ffi.dlopen(kind(path))
    assert type(handle) is ffi.Library
    assert handle.name == str(path)
    assert handle.closed is False
    assert repr(handle) == f"<ffi.Library {str(path)!r}>"
    assert answer(handle) == 42
    ffi.dlclose(handle)


def test_program_itself():
    for handle in (ffi.dlopen(), ffi.dlopen(None), ffi.dlopen(name=None, mode=os.RTLD_LAZY)):
        assert handle.name is None
        assert repr(handle) == "<ffi.Library None>"
        cif = ffi.CIF("size_t", "pointer")
        result = np.zeros(1, np.uintp)
        ffi.call(cif, ffi.dlsym(handle, "strlen"), result, cif.pack(b"hello"))
        assert cif.unpack(result) == 5
        ffi.dlclose(handle)


def test_soname(build):
    # A file that is loaded is found by its name without a folder.
    path = build()
    with refused(OSError, match=path.name):
        ffi.dlopen(path.name)
    run_python(
        """if True:
            import os, sys
            import ffi
            folder, name = os.path.split(sys.argv[1])
            os.chdir(folder)
            handle = ffi.dlopen("./" + name)
            assert ffi.dlsym(handle, "answer")
        """,
        path,
    )


def test_path_with_odd_characters(build, tmp_path):
    folder = tmp_path / "é € \udcff"
    try:
        folder.mkdir()
    except OSError:
        folder = tmp_path / "é €"
        folder.mkdir()
    path = folder / "a library.so"
    path.write_bytes(build().read_bytes())
    for name in (path, str(path), os.fsencode(path)):
        handle = ffi.dlopen(name)
        assert handle.name == str(path)
        assert answer(handle) == 42
        ffi.dlclose(handle)


def test_missing(tmp_path):
    for name in (
        "libno-such-thing.so.7",
        tmp_path / "missing.so",
        b"/no/such/folder/x.so",
        "x" * 9999,
    ):
        text = os.fsdecode(name)
        with refused(OSError, match=r"^dlopen\(\): ") as _:
            ffi.dlopen(name)
        with pytest.raises(OSError, match=r"(?i)no such file|not found|too long") as caught:
            ffi.dlopen(name)
        assert text[:60] in str(caught.value)


def test_no_library(tmp_path):
    path = tmp_path / "text.so"
    path.write_text("this is no shared object\n" * 100)
    with refused(OSError, match=r"^dlopen\(\): .*text\.so.*(ELF|mach-o)"):
        ffi.dlopen(path)
    with refused(OSError, match=r"^dlopen\(\): .*"):
        ffi.dlopen(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("", ValueError, "empty name"),
        (b"", ValueError, "empty name"),
        (Path(""), ValueError, "empty name"),
        ("libm\0.so", ValueError, r"without NUL, got 'libm\\x00\.so'"),
        (b"libm.so.6\0", ValueError, r"without NUL, got b'libm\.so\.6\\x00'"),
        (Path("a\0b"), ValueError, "without NUL"),
        ("\ud800", ValueError, r"got '\\ud800'"),
        (3, TypeError, "got int 3"),
        (1.5, TypeError, "got float 1.5"),
        (True, TypeError, "got bool True"),
        (bytearray(b"libm.so"), TypeError, "got bytearray"),
        (memoryview(b"libm.so"), TypeError, "got memoryview"),
        (["libm.so"], TypeError, "got list"),
        (Path(3), TypeError, "expected .* int"),
        (Path(None), TypeError, "expected .* NoneType"),
        (np.array("libm.so"), TypeError, "got ndarray"),
    ],
    ids=lambda value: (
        f"Path {value.path!r}" if isinstance(value, Path) else without_address(value)[:20]
    ),
)
def test_names(name, kind, message):
    with refused(kind, match=rf"^dlopen\(\): .*{message}"):
        ffi.dlopen(name)


def test_error_of_a_path_is_the_users_own():
    class Failing:
        def __fspath__(self):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ffi.dlopen(Failing())


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("now", TypeError),
        (None, TypeError),
        (2.0, TypeError),
        (-1, ValueError),
        (2**31, ValueError),
        (2**64 + os.RTLD_NOW, ValueError),
    ],
)
def test_modes(mode, kind):
    with refused(
        kind, match=rf"^dlopen\(\): argument 'mode': expected os\.RTLD_ flags, got .*{mode}"
    ):
        ffi.dlopen(None, mode)


def test_global_mode(compile_c):
    provider = compile_c("int provided_to_others(void) { return 7; }", "provider")
    program = ffi.dlopen()
    ffi.dlopen(provider, os.RTLD_NOW | os.RTLD_LOCAL)
    with refused(OSError, match="provided_to_others"):
        ffi.dlsym(program, "provided_to_others")
    ffi.dlopen(provider, os.RTLD_NOW | os.RTLD_GLOBAL)
    assert ffi.dlsym(program, "provided_to_others")


def test_undefined_symbols(compile_c):
    path = compile_c(
        "int nowhere(void); int f(void) { return nowhere(); }", "undefined", "-Wl,-z,lazy"
    )
    with refused(OSError, match=r"^dlopen\(\): .*nowhere"):
        ffi.dlopen(path)


# --- dlsym


def test_symbols(build):
    handle = ffi.dlopen(build())
    for name in ("answer", b"answer", np.str_("answer"), np.bytes_(b"answer")):
        address = ffi.dlsym(handle, name)
        assert type(address) is int
        assert address > 0
    tolerance = ffi.view(ffi.dlsym(handle, "tolerance"), "int")
    assert tolerance == 42
    tolerance[...] = 7
    assert answer(handle) == 7
    numbers = ffi.view(ffi.dlsym(handle, "numbers"), "double", 3)
    assert numbers.tolist() == [1.5, 2.5, 3.5]
    assert ffi.read("double", numbers, 8) == 2.5
    ffi.dlclose(handle)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("no_such_symbol", OSError, "'no_such_symbol' in .*loaded.*undefined symbol|not found"),
        (b"no_such", OSError, "b'no_such' in .*loaded"),
        ("leave", OSError, "'leave' in "),
        ("", OSError, "'' in "),
        ("é", OSError, "'é' in "),
        ("x" * 100_000, OSError, "'xxx"),
        ("answer\0", ValueError, r"without NUL, got 'answer\\x00'"),
        (b"\0", ValueError, r"without NUL, got b'\\x00'"),
        ("\ud800", ValueError, r"got '\\ud800'"),
        (None, TypeError, "got NoneType"),
        (3, TypeError, "got int 3"),
        (bytearray(b"answer"), TypeError, "got bytearray"),
        (pathlib.Path("answer"), TypeError, "got PosixPath"),
        (["answer"], TypeError, "got list"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_wrong_symbols(build, name, kind, message):
    handle = ffi.dlopen(build())
    with refused(kind, match=rf"^dlsym\(\): .*({message})"):
        ffi.dlsym(handle, name)
    ffi.dlclose(handle)


@pytest.mark.parametrize("handle", [None, 3, "libm.so.6", object(), ffi.Handle])
def test_no_handle(handle):
    with refused(TypeError, match=r"^dlsym\(\): expected an ffi\.Handle, got "):
        ffi.dlsym(handle, "answer")
    with refused(TypeError, match=r"^dlclose\(\): expected an ffi\.Handle, got "):
        ffi.dlclose(handle)


def test_handles_are_not_made_by_hand(build):
    for kind in (ffi.Handle, ffi.Library):
        with refused(TypeError, match=rf"^{kind.__name__}\(\): use ffi\.dlopen"):
            kind()
    handle = ffi.dlopen(build())
    for function in (copy.copy, copy.deepcopy, pickle.dumps):
        with refused(TypeError, match="Library"):
            function(handle)
    for name in ("name", "closed", "path", "release_gil", "types", "function", "new"):
        with pytest.raises(AttributeError, match=name):
            setattr(handle, name, 3)
    ffi.dlclose(handle)


# --- dlclose


def test_dlclose_unloads(build):
    handle = ffi.dlopen(build())
    count = watch(handle)
    assert ffi.dlclose(handle) is None
    assert count == 1
    assert handle.closed is True
    assert repr(handle) == f"<ffi.Library {handle.name!r} (closed)>"


def test_use_after_close(build):
    handle = ffi.dlopen(build())
    ffi.dlclose(handle)
    name = handle.name.replace("\\", "\\\\")
    for function in (ffi.dlclose, lambda handle: ffi.dlsym(handle, "answer")):
        with refused(ValueError, match=rf"^dl(close|sym)\(\): '{name}' is closed$"):
            function(handle)


def test_closing_twice_unloads_once(build):
    path = build()
    first, second = ffi.dlopen(path), ffi.dlopen(path)
    count = watch(first)
    ffi.dlclose(first)
    with refused(ValueError, match="is closed"):
        ffi.dlclose(first)
    assert count == 0
    assert answer(second) == 42
    ffi.dlclose(second)
    assert count == 1


def test_handles_are_independent(build):
    path = build()
    first, second = ffi.dlopen(path), ffi.dlopen(path)
    assert first != second
    assert ffi.dlsym(first, "answer") == ffi.dlsym(second, "answer")
    ffi.dlclose(first)
    assert not second.closed
    assert ffi.dlsym(second, "answer")
    ffi.dlclose(second)


def test_dropped_handle_stays_loaded(build):
    handle = ffi.dlopen(build())
    count = watch(handle)
    address = ffi.dlsym(handle, "answer")
    del handle
    gc.collect()
    assert count == 0
    cif = ffi.CIF("int")
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, address, result, None)
    assert cif.unpack(result) == 42
    # At the end of the process the destructor still counts.
    KEPT.append(count)


KEPT = []


def test_loading_again_starts_anew(build):
    path = build()
    for _ in range(3):
        handle = ffi.dlopen(path)
        count = watch(handle)
        tolerance = ffi.view(ffi.dlsym(handle, "tolerance"), "int")
        assert tolerance == 42
        tolerance[...] = 7
        ffi.dlclose(handle)
        assert count == 1


def test_subclass_without_a_library():
    class Library(ffi.Handle):
        def __init__(self):
            pass

    handle = Library()
    assert handle.closed
    with refused(ValueError, match=r"^dlsym\(\): None is closed$"):
        ffi.dlsym(handle, "abs")


def test_a_bare_path_is_not_searched_for(tmp_path, cases, monkeypatch):
    (tmp_path / "bare.so").symlink_to(cases)
    monkeypatch.chdir(tmp_path)
    assert ffi.dlsym(ffi.dlopen(pathlib.Path("bare.so")), "add_int") > 0
    with refused(OSError, match="bare.so"):
        ffi.dlopen("bare.so")
