"""The layers: no import points upwards, and every declared function of libffi is used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "ffi"
SOURCES = sorted(p for p in FOLDER.iterdir() if p.suffix in (".py", ".pyx", ".pxd", ".pyi"))
OBJECTS = {"object", "str", "bytes", "list", "dict", "tuple", "set", "Type", "Arguments", "Lent"}
OBJECTS |= {"Handle", "SharedObject", "Pointer", "Record", "Memory", "Keepers"}
OBJECTS |= {"Source", "Accepted", "Signature", "Callback"}
MODULES = {path.stem for path in SOURCES} - {"__init__"}


def code(path):
    """Return a source without comments and docstrings, an import on one line each."""
    text = re.sub(r'"""(?:.|\n)*?"""', '""', path.read_text())
    text = re.sub(r"#.*", "", text)
    return re.sub(r"\(([^()]*)\)", lambda match: match[0].replace("\n", " "), text)


def in_package(module, names=()):
    """Name the modules of this package that an import brings."""
    package, _, submodule = module.partition(".")
    if package != "ffi":
        return {module} if not package else set()
    if submodule:
        return {submodule}
    return {name if name in MODULES else "__init__" for name in names or ["__init__"]}


def cython_imports(path):
    found = set()
    for line in code(path).splitlines():
        if match := re.match(r"\s*from\s+([\w.]+)\s+c?import\s+(.*)", line):
            names = re.findall(r"(\w+)(?:\s+as\s+\w+)?", match[2])
            found |= in_package(match[1], names)
        elif match := re.match(r"\s*c?import\s+(.*)", line):
            for module in re.findall(r"([\w.]+)(?:\s+as\s+\w+)?", match[1]):
                found |= in_package(module)
    return found


def python_imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= in_package(module, [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            found = found.union(*(in_package(alias.name) for alias in node.names))
    return found


def imports(path):
    """List the modules of this package that a source imports."""
    return (cython_imports if path.suffix in (".pyx", ".pxd") else python_imports)(path)


def layers():
    """List the modules of the comment in __init__.py, bottom up."""
    _, _, rest = (FOLDER / "__init__.py").read_text().partition("# The layers, bottom up.")
    return re.findall(r"^#   (\w+) {2,}\S", rest[: rest.index("\n\n")], re.MULTILINE)


LAYERS = layers()


def test_every_module_has_one_layer():
    assert sorted(LAYERS) == sorted(MODULES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from ffi._types cimport Type", {"_types"}),
        ("from ffi cimport _marshal, libffi as lib", {"_marshal", "libffi"}),
        (
            "from ffi cimport (\n    _marshal,  # why\n    libffi,\n)\nimport sys",
            {"_marshal", "libffi"},
        ),
        ("    from ffi.errors import Error, located", {"errors"}),
        ("import ffi", {"__init__"}),
        ("from ffi import CIF", {"__init__"}),
        ("cimport ffi._core as core, numpy", {"_core"}),
        ("from .errors import Error", {".errors"}),
        ("# import ffi\n'''no'''\nfrom libc.string cimport memcpy\nimport ffinder", set()),
        ('"""Doc.\n\nfrom ffi import CIF\n"""\nimport numpy as np', set()),
    ],
)
def test_imports_are_found(tmp_path, text, expected):
    path = tmp_path / "source.pyx"
    path.write_text(text)
    assert imports(path) == expected
    if "cimport" not in text and not text.startswith(" "):
        path = tmp_path / "source.py"
        path.write_text(text)
        assert imports(path) == expected


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_imports_point_downwards(path):
    below = LAYERS if path.stem == "__init__" else LAYERS[: LAYERS.index(path.stem)]
    if path.stem == "__main__":
        # It is a user of the whole.
        below = [*below, "__init__"]
    # A module may of course take its own declarations.
    assert imports(path) - {path.stem} <= set(below)


def declared():
    """List the functions and variables that libffi.pxd declares."""
    text = code(FOLDER / "libffi.pxd")
    functions = re.findall(r"^    \w[\w ]*?[ *](ffi_\w+)\(", text, re.MULTILINE)
    variables = re.findall(r"^    ffi_type (ffi_type_\w+)$", text, re.MULTILINE)
    return functions + variables


def test_declarations_are_found():
    names = declared()
    assert len(names) == len(set(names))
    assert {"ffi_call", "ffi_prep_cif", "ffi_closure_alloc", "ffi_type_double"} <= set(names)


@pytest.mark.parametrize("name", declared())
def test_every_declaration_is_used(name):
    users = [path.name for path in SOURCES if re.search(rf"\blibffi\.{name}\b", code(path))]
    assert users, f"libffi.pxd declares {name}, which nothing uses"


def test_libffi_holds_declarations_only():
    text = code(FOLDER / "libffi.pxd")
    assert not re.search(r"\b(cimport|import|class|def|inline|cdef (?!extern))\b", text)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix in (".pyx", ".pxd")], ids=str)
def test_exception_clauses_are_explicit(path):
    # Objects need none; everything else says what it raises, so that nobody has to know defaults.
    text = re.sub(r"\n\s*\)", ")", re.sub(r"\(\s*\n\s*", "(", code(path)))
    functions = r"^ *(cdef (?!class|extern|enum|struct)[^=\n]*\).*)"
    for declaration in re.findall(functions, text, re.M):
        head = declaration.partition("(")[0].replace("inline ", "")
        returns = head.removeprefix("cdef ").rpartition(" ")[0]
        if returns in OBJECTS:
            continue
        assert re.search(r"\)\s*(except|noexcept)", declaration), declaration
