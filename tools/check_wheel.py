"""Check a built wheel: its contents, its modules, and that they work in a new environment.

There, Cython modules are compiled against it too, without libffi's header.

usage: python tools/check_wheel.py dist/ffi-<version>-<tags>.whl
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

import check_binaries

ROOT = Path(__file__).parent.parent
CONSUMERS = ["Cython>=3.1", "setuptools>=77", "pytest>=8.4", "cffi"]
SHIPPED = ["*.py", "*.pxd", "*.pyi", "*.h", "py.typed"]

PROBE = """
import ffi, numpy
from importlib import import_module, metadata
for name in {modules}:
    import_module(name)
print("ffi", metadata.version("ffi"), "imports with numpy", numpy.__version__)
"""


def main(wheel: str) -> None:
    """Raise SystemExit with what is wrong, if anything is."""
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = [path.stem for pattern in ("*.pyx", "*.c") for path in ROOT.glob(f"ffi/{pattern}")]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    expected = {f"ffi/{name}{suffix}" for name in modules}
    expected |= {f"ffi/{path.name}" for pattern in SHIPPED for path in ROOT.glob(f"ffi/{pattern}")}
    inside = {name for name in names if ".dist-info/" not in name}
    if inside != expected:
        missing, strange = sorted(expected - inside), sorted(inside - expected)
        raise SystemExit(f"{wheel}: missing {missing}, should not hold {strange}")

    if not any(name.endswith("/licenses/licenses/libffi.txt") for name in names):
        raise SystemExit(f"{wheel}: the licence of libffi, which is inside, is missing")
    if sys.platform != "darwin":
        with tempfile.TemporaryDirectory() as folder:
            zipfile.ZipFile(wheel).extractall(folder)
            check_binaries.main("--static", *map(str, Path(folder).glob("ffi/*.so")))

    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        # The oldest NumPy that the wheel claims to work with, where that has wheels
        numpy = "numpy==1.26.*" if sys.version_info < (3, 13) else "numpy"
        subprocess.run([python, "-m", "pip", "install", "-q", wheel, numpy], check=True)
        probe = PROBE.format(modules=[f"ffi.{name}" for name in modules])
        subprocess.run([python, "-c", probe], cwd=folder, check=True)
        # Far from the sources, whose ffi would be the one that is imported.
        shutil.copytree(ROOT / "tests", f"{folder}/tests")
        subprocess.run([python, "-m", "pip", "install", "-q", *CONSUMERS], check=True)
        tests = [python, "-m", "pytest", "-q", *map(str, Path(folder).glob("tests/test_capi*.py"))]
        subprocess.run(tests, cwd=folder, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
