"""The tables `types`, `sizeof`, `alignof` and `abi`, against the C compiler's own answers."""

from __future__ import annotations

import copy
import pickle
import shlex
import shutil
import subprocess
from collections.abc import Mapping

import numpy as np
import pytest
from checks import refused

import ffi

C_NAMES = {
    **{f"{u}int{bits}": f"{u}int{bits}_t" for u in ("", "u") for bits in (8, 16, 32, 64)},
    "float": "float",
    "double": "double",
    "longdouble": "long double",
    "bool": "_Bool",
    "byte": "unsigned char",
    "char": "char",
    "schar": "signed char",
    "uchar": "unsigned char",
    "short": "short",
    "ushort": "unsigned short",
    "int": "int",
    "uint": "unsigned int",
    "long": "long",
    "ulong": "unsigned long",
    "longlong": "long long",
    "ulonglong": "unsigned long long",
    **{
        name: name
        for name in ("size_t", "ssize_t", "intptr_t", "uintptr_t", "ptrdiff_t", "wchar_t")
    },
    "pointer": "void *",
    "complex_float": "float _Complex",
    "complex_double": "double _Complex",
    "complex_longdouble": "long double _Complex",
}
FFI_NAMES = ["ffi_arg", "ffi_sarg", "ffi_type", "ffi_cif", "ffi_closure"]
INTEGERS = [n for n in C_NAMES if ffi.types[n].dtype.kind in "iu" and n != "pointer"]
TABLES = ["types", "sizeof", "alignof", "abi"]


@pytest.fixture(scope="module")
def answers(compile_c):
    """Sizes, alignments and signs by the C compiler: ``answers(symbol) -> int``."""
    lines = [
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#include <sys/types.h>",
        "#include <ffi.h>",
    ]
    for name, c_name in [*C_NAMES.items(), *((name, name) for name in FFI_NAMES)]:
        lines.append(f"const long long size_{name} = sizeof({c_name});")
        lines.append(f"const long long alignment_{name} = _Alignof({c_name});")
    for name in [*INTEGERS, "char"]:
        lines.append(f"const long long signed_{name} = ({C_NAMES[name]})-1 < 0;")
    for name in ffi.abi:
        c_name = f"FFI_{name.upper()}" + "_ABI" * (name in ("default", "first", "last"))
        lines.append(f"const long long abi_{name} = {c_name};")
    flags = []
    if shutil.which("pkg-config"):
        found = subprocess.run(
            ["pkg-config", "--cflags", "libffi"], capture_output=True, text=True, check=False
        )
        flags = shlex.split(found.stdout)
    library = ffi.dlopen(compile_c("\n".join(lines) + "\n", "tables", *flags))
    return lambda symbol: int(ffi.view(ffi.dlsym(library, symbol), np.longlong))


def test_keys():
    assert set(ffi.types) == {*C_NAMES, "void"}
    assert set(ffi.sizeof) == {*C_NAMES, *FFI_NAMES}
    assert set(ffi.alignof) == {*C_NAMES, "ffi_arg", "ffi_sarg"}
    assert {"default", "first", "last"} <= set(ffi.abi)


@pytest.mark.parametrize("name", [*C_NAMES, *FFI_NAMES])
def test_sizeof(answers, name):
    expected = answers(f"size_{name}")
    assert ffi.sizeof[name] == getattr(ffi.sizeof, name) == ffi.sizeof(name) == expected


@pytest.mark.parametrize("name", list(ffi.alignof))
def test_alignof(answers, name):
    expected = answers(f"alignment_{name}")
    assert ffi.alignof[name] == getattr(ffi.alignof, name) == ffi.alignof(name) == expected


@pytest.mark.parametrize("name", C_NAMES)
def test_types(answers, name):
    c_type = ffi.types[name]
    assert c_type is getattr(ffi.types, name)
    assert (c_type.name, c_type.fields) == (name, None)
    assert c_type.size == c_type.dtype.itemsize == answers(f"size_{name}")
    assert c_type.alignment == answers(f"alignment_{name}")
    assert ffi.sizeof(c_type) == ffi.sizeof(c_type.dtype) == c_type.size
    assert ffi.alignof(c_type) == c_type.alignment


@pytest.mark.parametrize("name", INTEGERS)
def test_signs(answers, name):
    assert ffi.types[name].dtype.kind == ("i" if answers(f"signed_{name}") else "u")


def test_char_has_the_sign_of_c(answers):
    lowest, highest = (-128, 127) if answers("signed_char") else (0, 255)
    storage = bytearray(1)
    ffi.write("char", storage, lowest)
    ffi.write("char", storage, highest)
    for value in (lowest - 1, highest + 1):
        with refused(OverflowError, match=rf"char in \[{lowest}, {highest}\], got {value}$"):
            ffi.write("char", storage, value)


@pytest.mark.parametrize("name", C_NAMES)
def test_c_spelling(name):
    assert ffi.sizeof(C_NAMES[name]) == ffi.sizeof[name]
    assert ffi.alignof(C_NAMES[name]) == ffi.alignof[name]


@pytest.mark.parametrize("name", list(ffi.abi))
def test_abi(answers, name):
    assert ffi.abi[name] == getattr(ffi.abi, name) == answers(f"abi_{name}")


def test_void():
    assert (ffi.types.void.size, ffi.types.void.dtype, ffi.types.void.fields) == (0, None, None)
    for table in (ffi.sizeof, ffi.alignof):
        with pytest.raises(KeyError, match="void"):
            table["void"]


@pytest.mark.parametrize(
    ("c_type", "name"),
    [
        (np.float64, "double"),
        (np.dtype("f4"), "float"),
        ("f8", "double"),
        ("float64", "double"),
        ("float32", "float"),
        ("float", "float"),
        ("int", "int"),
        ("long double", "longdouble"),
        ("  unsigned \t int ", "uint"),
        ("unsigned long long int", "ulonglong"),
        ("u2", "uint16"),
        ("?", "bool"),
        ("S1", "char"),
        (np.longlong, "longlong"),
        (np.intp, "ptrdiff_t"),
        (np.clongdouble, "complex_longdouble"),
        (ffi.types.pointer, "pointer"),
    ],
)
def test_measure(c_type, name):
    assert ffi.sizeof(c_type) == ffi.sizeof[name]
    assert ffi.alignof(c_type) == ffi.alignof[name]


def test_measure_aggregates():
    dtype = np.dtype([("c", "i1"), ("d", "f8", (3,))], align=True)
    for c_type in (dtype, ffi.struct(dtype)):
        assert ffi.sizeof(c_type) == dtype.itemsize
        assert ffi.alignof(c_type) == dtype.alignment
    assert ffi.sizeof(np.dtype((np.int16, (2, 3)))) == 12
    assert ffi.alignof(np.dtype((np.int16, (2, 3)))) == ffi.alignof.int16


@pytest.mark.parametrize("measure", [ffi.sizeof, ffi.alignof])
@pytest.mark.parametrize("c_type", ["", " ", "nope", "int int", "f8\0", "\ud800", "9" * 99])
def test_measure_unknown_names(measure, c_type):
    with refused(TypeError, match=r"of\(\): '.*neither a C type nor a NumPy dtype"):
        measure(c_type)


@pytest.mark.parametrize("measure", [ffi.sizeof, ffi.alignof])
@pytest.mark.parametrize("arguments", [(), ("int", "int")])
def test_measure_takes_one_type(measure, arguments):
    with pytest.raises(TypeError, match="argument"):
        measure(*arguments)


@pytest.mark.parametrize("name", TABLES)
class TestTable:
    """What all tables have in common."""

    def test_mapping(self, name):
        table = getattr(ffi, name)
        assert isinstance(table, Mapping)
        assert len(table) == len(list(table)) == len(dict(table))
        assert dict(table.items()) == {key: getattr(table, key) for key in table}
        assert "default" in table or "int" in table
        assert "no_such" not in table
        assert 3 not in table
        assert table.get("no_such", 7) == 7

    def test_unknown(self, name):
        table = getattr(ffi, name)
        with pytest.raises(KeyError, match="no_such"):
            table["no_such"]
        with pytest.raises(AttributeError, match=rf"ffi\.{name} has no 'no_such'"):
            table.no_such  # noqa: B018 (reading it is the test)
        assert not hasattr(table, "__array_interface__")

    def test_read_only(self, name):
        table = getattr(ffi, name)
        key = next(iter(table))
        before = dict(table)
        with pytest.raises(TypeError):
            table[key] = 0
        with pytest.raises(TypeError):
            del table[key]
        for attribute in (key, "no_such"):
            with pytest.raises(AttributeError, match=rf"ffi\.{name} is read-only, '{attribute}'"):
                setattr(table, attribute, 0)
            with pytest.raises(AttributeError, match=rf"ffi\.{name} is read-only, '{attribute}'"):
                delattr(table, attribute)
        assert dict(table) == before

    def test_copies_are_the_table(self, name):
        table = getattr(ffi, name)
        assert copy.copy(table) is table
        assert copy.deepcopy(table) is table
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(table, protocol)) is table

    def test_repr(self, name):
        table = getattr(ffi, name)
        assert repr(table).startswith(f"<ffi.{name}: ")
        assert all(key in repr(table) for key in table)
