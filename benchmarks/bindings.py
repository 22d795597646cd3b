"""Bindings of the same functions, as one writes them by hand: Cython, nanobind, cffi's API."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cffi
from kernels import ARRAY, STRUCTS, TEXT, Kernel, c_type, header
from loops import import_extension

# In a process of its own: setuptools and Cython change theirs.
BUILD = """
import json, sys
from setuptools import Distribution, Extension

folder, options = json.loads(sys.argv[1])
distribution = Distribution({"ext_modules": [Extension(**options)]})
distribution.verbose = 0
build = distribution.get_command_obj("build_ext")
build.build_lib = build.build_temp = folder
distribution.run_command("build_ext")
"""


class BuildError(Exception):
    """A compiler refused a binding."""


def build(folder: Path, name: str, source: Path, library: Path, **options: Any) -> Any:
    """Compile one extension module, linked with the library, and import it."""
    options.setdefault("sources", []).insert(0, str(source))
    options.setdefault("include_dirs", []).append(str(folder))
    options["extra_compile_args"] = ["-O2", *options.get("extra_compile_args", [])]
    # The library has no soname: its path is what the module asks for.
    options["extra_link_args"] = [str(library)]
    argument = json.dumps([str(folder), {"name": name, **options}])
    command = [sys.executable, "-c", BUILD, argument]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{name} does not compile:\n{done.stdout}{done.stderr}")
    (path,) = folder.glob(f"{name}.*.so")
    return import_extension(name, path)


# --- cffi's API mode


def cffi_api(kernels: Sequence[Kernel], folder: Path, library: Path) -> Any:
    """Return the module that cffi makes: `lib` has the functions, `ffi` the types."""
    name = "cffi_bindings"
    builder = cffi.FFI()
    builder.cdef(header(kernels))
    builder.set_source(name, '#include "kernels.h"', compiler_verbose=0)
    source = folder / f"{name}.c"
    builder.emit_c_code(str(source))
    return build(folder, name, source, library)


# --- Cython


def cython(kernels: Sequence[Kernel], folder: Path, library: Path) -> Any:
    """Return a module of plain `def` functions, and of classes that hold the structs."""
    import numpy as np

    declared = "".join(
        f"    struct {struct}:\n" + "".join(f"        {t} {m}\n" for m, t in members.items())
        for struct, members in STRUCTS.items()
    )
    for kernel in kernels:
        parameters = ", ".join(kernel.atypes)
        declared += f'    {kernel.rtype} c_{kernel.name} "{kernel.name}"({parameters})\n'
    text = f'cimport numpy as cnp\ncnp.import_array()\ncdef extern from "kernels.h":\n{declared}'
    text += "".join(map(cython_class, STRUCTS)) + "".join(map(cython_function, kernels))
    source = folder / "cython_bindings.pyx"
    source.write_text(text)
    return build(folder, "cython_bindings", source, library, include_dirs=[np.get_include()])


def cython_class(struct: str) -> str:
    """Return a class that holds a struct."""
    members = STRUCTS[struct]
    parameters = ", ".join(f"{atype} {member}" for member, atype in members.items())
    text = f"""
cdef class {struct.title()}:
    cdef {struct} value
    def __init__(self, {parameters}):
"""
    text += "".join(f"        self.value.{member} = {member}\n" for member in members)
    for member in members:
        text += f"""
    @property
    def {member}(self):
        return self.value.{member}
"""
    return text


def cython_function(kernel: Kernel) -> str:
    """Return one function."""
    parameters, arguments = [], []
    for i, atype in enumerate(kernel.atypes):
        if atype in STRUCTS:
            parameters.append(f"{atype.title()} a{i} not None")
            arguments.append(f"a{i}.value")
        elif atype == ARRAY:
            parameters.append(f"cnp.ndarray[double, ndim=1, mode='c'] a{i} not None")
            arguments.append(f"<double *>cnp.PyArray_DATA(a{i})")
        else:
            parameters.append(f"{atype} a{i}")
            arguments.append(f"a{i}")
    call = f"c_{kernel.name}({', '.join(arguments)})"
    text = f"\ndef {kernel.name}({', '.join(parameters)}):\n"
    if kernel.rtype not in STRUCTS:
        return text + f"    return {call}\n"
    result = kernel.rtype.title()
    text += f"    cdef {result} result = {result}.__new__({result})\n"
    return text + f"    result.value = {call}\n    return result\n"


# --- nanobind

NANOBIND_TYPES = {
    ARRAY: ("nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>", ".data()"),
    TEXT: ("nb::bytes", ".c_str()"),
}


def nanobind(kernels: Sequence[Kernel], folder: Path, library: Path) -> Any:
    """Return a module made with nanobind, or None where that is not installed."""
    spec = importlib.util.find_spec("nanobind")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    lines = []
    for struct, members in STRUCTS.items():
        types = ", ".join(members.values())
        line = f'    nb::class_<{struct}>(m, "{struct.title()}").def(nb::init<{types}>())'
        lines.append(line + "".join(f'.def_rw("{m}", &{struct}::{m})' for m in members) + ";")
    lines += map(nanobind_function, kernels)
    source = folder / "nanobind_bindings.cpp"
    source.write_text(f"""
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
extern "C" {{
#include "kernels.h"
}}
namespace nb = nanobind;
NB_MODULE(nanobind_bindings, m) {{
{chr(10).join(lines)}
}}
""")
    return build(
        folder,
        "nanobind_bindings",
        source,
        library,
        sources=[str(home / "src" / "nb_combined.cpp")],
        include_dirs=[str(home / "include"), str(home / "ext" / "robin_map" / "include")],
        extra_compile_args=[
            "-std=c++17",
            "-fvisibility=hidden",
            "-fno-strict-aliasing",
            "-DNDEBUG",
            "-DNB_COMPACT_ASSERTIONS",
        ],
        language="c++",
    )


def nanobind_function(kernel: Kernel) -> str:
    """Return the definition of one function: itself, or a lambda where types differ."""
    if not any(atype in NANOBIND_TYPES for atype in kernel.atypes):
        return f'    m.def("{kernel.name}", &{kernel.name});'
    types = [NANOBIND_TYPES.get(atype, (c_type(atype), "")) for atype in kernel.atypes]
    parameters = ", ".join(f"{atype} a{i}" for i, (atype, _) in enumerate(types))
    arguments = ", ".join(f"a{i}{data}" for i, (_, data) in enumerate(types))
    return f'    m.def("{kernel.name}", []({parameters}) {{ return {kernel.name}({arguments}); }});'


BUILDERS: dict[str, Callable[[Sequence[Kernel], Path, Path], Any]] = {
    "cffi API": cffi_api,
    "Cython": cython,
    "nanobind": nanobind,
}


# Bars are measured against the others.
OPTIONAL = {"nanobind"}


def build_all(kernels: Sequence[Kernel], library: Path) -> dict[str, Any]:
    """Build every binding in the library's folder; say which optional one could not be."""
    folder = library.parent
    Path(folder, "kernels.h").write_text(header(kernels) + "\n")
    modules = {}
    for name, builder in BUILDERS.items():
        try:
            module = builder(kernels, folder, library)
        except (BuildError, ImportError) as error:
            if name not in OPTIONAL:
                raise
            first, *lines = str(error).splitlines()
            reasons = [line for line in lines if "error" in line.lower()][:3]
            print("", f"{name} is left out: {first}", *reasons, sep="\n")
            continue
        if module is None:
            print(f"\n{name} is not installed: left out")
        else:
            modules[name] = module
    return modules
