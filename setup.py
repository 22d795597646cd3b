"""Build the extension modules: Cython to C, and C against libffi and NumPy."""

import multiprocessing
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

Flags = tuple[list[str], list[str]]  # for compiling, for linking

MODULES = [
    "_main_only",
    "_types",
    "_layouts",
    "_specs",
    "_direct",
    "_faults",
    "_buffers",
    "_scalars",
    "_marshal",
    "_memory",
    "_arrays",
    "_values",
    "_capsule",
    "_pointers",
    "_records",
    "_objects",
    "_frames",
    "_dl",
    "_cif",
    "_core",
    "_slots",
    "_closure",
    "_shapes",
    "_signature",
    "_variadic",
    "_general",
    "_function",
    "_callback",
    "_elements",
    "_loops",
    "_ufunc",
    "_foreign",
    "capi",
]

# The others are Cython.
PLAIN_C = {"_main_only"}

# Each is empty on other machines than its own.
ASSEMBLY = {"_direct": ["ffi/_direct_x86_64.S", "ffi/_direct_aarch64.S"]}

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "freethreading_compatible": True,
    "auto_pickle": False,
    "autotestdict": False,
    "allow_none_for_extension_args": False,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}

CFLAGS = ["-O2", "-fvisibility=hidden"]
# Frames on the stack are touched page by page, so that none jumps over a guard page; other modules'
# functions are called without a detour.
OPTIONAL_CFLAGS = ["-fstack-clash-protection", "-fno-plt"]

# FFI_WERROR=1 makes warnings errors, Cython's and the C compiler's; what the C that Cython writes
# cannot avoid is left out.
WERROR = bool(os.environ.get("FFI_WERROR"))
WERROR_CFLAGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]

# FFI_STATIC_LIBFFI=1, for wheels, makes libffi part of the modules, which then run where there is
# none. Each module has what it uses; the functions for closures, which keep state, have one user.
# macOS has a libffi of its own, which Apple signs and which wheels use.
STATIC = bool(os.environ.get("FFI_STATIC_LIBFFI")) and sys.platform != "darwin"

NO_WINDOWS = """
ffi does not build on Windows: it needs a POSIX system (Linux, macOS, a BSD).
"""

NO_LIBFFI = """
ffi cannot be built: libffi's header (ffi.h) or library was not found, neither with pkg-config nor
in the usual places. Install libffi's development files:

    Debian, Ubuntu   apt-get install libffi-dev
    Fedora, RHEL     dnf install libffi-devel
    Alpine           apk add libffi-dev
    conda            conda install -c conda-forge libffi
    macOS            brew install libffi

A copy elsewhere is found with CFLAGS="-I<its include>" and LDFLAGS="-L<its lib>".
"""

NO_STATIC_LIBFFI = """
FFI_STATIC_LIBFFI is set, and no static libffi that shared objects can contain was found:
libffi_pic.a (Debian's libffi-dev), or a libffi.a of position-independent code (tools/libffi.sh
builds one).
"""

PROBE = """
#include <ffi.h>
void *probe[] = {(void *)ffi_prep_cif, (void *)ffi_call, (void *)ffi_closure_alloc};
"""

NO_COMPILER = """
ffi cannot be built: the C compiler does not run: {error}
Install one, and Python's headers:

    Debian, Ubuntu   apt-get install gcc libc6-dev python3-dev
    Fedora, RHEL     dnf install gcc python3-devel
    Alpine           apk add gcc musl-dev python3-dev
    conda            conda install -c conda-forge c-compiler
    macOS            xcode-select --install
"""


class BuildExt(build_ext):
    """Run Cython and find libffi when, and only when, something is compiled."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()
        if self.editable_mode:
            # Setuptools builds editable installs in temporary folders; these last, so that a
            # second build compiles only what changed.
            tag = sysconfig.get_config_var("SOABI")
            self.build_temp = f"build/temp.editable-{tag}"
            self.build_lib = f"build/lib.editable-{tag}"

    def run(self) -> None:
        if sys.platform == "win32":
            raise SystemExit(NO_WINDOWS)
        super().run()

    def build_extensions(self) -> None:
        import numpy as np
        from Cython.Build import cythonize
        from Cython.Compiler import Options

        cflags, ldflags = find_libffi(self.compiler.linker_so)
        cflags += [flag for flag in OPTIONAL_CFLAGS if can_compile(self.compiler.compiler_so, flag)]
        for extension in self.extensions:
            extension.include_dirs = ["ffi", np.get_include()]
            extension.extra_compile_args += cflags
            extension.extra_link_args += ldflags

        self.compiler.src_extensions.append(".S")
        Options.warning_errors = WERROR
        # The C goes to the build folder: each Python, with its own NumPy, has its own.
        folder = Path(self.build_temp, "cython")
        # What is C already is copied there with its date.
        written = [file for file in folder.glob("ffi/*.c") if file.stem not in PLAIN_C]
        translated = cythonize(
            self.extensions,
            build_dir=str(folder),
            compiler_directives=DIRECTIVES,
            # Processes that are not forked would run this file again.
            nthreads=self.parallel if multiprocessing.get_start_method() == "fork" else 0,
            force=self.force or any(is_older(file, "setup.py") for file in written),
        )
        for extension, translation in zip(self.extensions, translated, strict=True):
            extension.sources = translation.sources
        super().build_extensions()


def is_older(file: Path, reference: str) -> bool:
    """Return whether `file` was last changed before `reference`."""
    return file.stat().st_mtime < Path(reference).stat().st_mtime


def find_libffi(linker: list[str]) -> Flags:
    """Return the flags with which libffi compiles and links."""
    for flags in candidates():
        if can_link(linker, flags):
            return flags
    raise SystemExit(NO_STATIC_LIBFFI if STATIC else NO_LIBFFI)


def candidates() -> Iterator[Flags]:
    """Yield flags to try."""
    for cflags, ldflags in places():
        if not STATIC:
            yield cflags, ldflags
            continue
        # Debian's libffi.a is not for shared objects, and no linker shall make do with it.
        for archive in ("-l:libffi_pic.a", "-l:libffi.a"):
            static = [archive if flag == "-lffi" else flag for flag in ldflags]
            yield cflags, [*static, "-Wl,--exclude-libs,ALL", "-Wl,-z,text"]


def places() -> Iterator[Flags]:
    """Yield flags: pkg-config's, none (the compiler's own places), then the usual places."""
    pkg_config = [os.environ.get("PKG_CONFIG", "pkg-config"), "libffi"]
    cflags, ldflags = output(*pkg_config, "--cflags"), output(*pkg_config, "--libs")
    if ldflags:
        yield cflags.split(), ldflags.split()

    yield [], ["-lffi"]
    prefixes = [os.environ.get("CONDA_PREFIX"), "/usr/local"]
    prefixes += ["/opt/homebrew/opt/libffi", "/usr/local/opt/libffi"]
    for prefix in filter(None, prefixes):
        yield [f"-I{prefix}/include"], [f"-L{prefix}/lib", "-lffi"]
    if sys.platform == "darwin":
        sdk = output("xcrun", "--show-sdk-path").strip()
        yield [f"-I{sdk}/usr/include/ffi"], ["-lffi"]


def can_link(linker: list[str], flags: Flags) -> bool:
    """Return whether a small use of libffi compiles and links with `flags`."""
    cflags, ldflags = flags
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        command = [*linker, "-fPIC", *cflags, str(source), "-o", f"{folder}/probe.so", *ldflags]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError as error:
            raise SystemExit(NO_COMPILER.format(error=error)) from None


def can_compile(compiler: list[str], flag: str) -> bool:
    """Return whether the compiler takes `flag` without a word."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int probe;\n")
        command = [*compiler, "-Werror", flag, "-c", str(source), "-o", f"{folder}/probe.o"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def output(*command: str) -> str:
    """Return what `command` prints, nothing if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout


HEADERS = [str(path) for pattern in ("*.h", "*.pxd", "*.S") for path in Path("ffi").glob(pattern)]

setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=[
        Extension(
            f"ffi.{name}",
            [f"ffi/{name}.{'c' if name in PLAIN_C else 'pyx'}", *ASSEMBLY.get(name, [])],
            depends=["setup.py", *HEADERS],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
                *[("FFI_IS_STATIC", "1")] * STATIC,
            ],
            extra_compile_args=CFLAGS + WERROR_CFLAGS * WERROR,
        )
        for name in MODULES
    ],
)
