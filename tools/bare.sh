#!/bin/sh
# usage: tools/bare.sh [WHEEL]
#
# Prove that a wheel (dist/*.whl by default) runs where libffi is missing: in a Debian of the host's
# release that has Python and little else. Needs root, and Debian; what else is missing is installed.
#
# The first run makes the system in $BARE (.platforms/bare by default) from the host's first mirror.
# Each run puts NumPy, pycparser and the wheel there with the host's pip, for the system's Python,
# so the wheel must be for that version; then runs the examples of README.md there.

set -eu

cd "$(dirname "$0")/.."
tool=bare
. tools/debian.sh

test $# != 0 || set -- dist/*.whl
test $# = 1 || die "name one of the wheels $*"
wheel=$1
test -f "$wheel" || die "no wheel at $wheel: make wheel"

python=${PYTHON:-python3}
root=${BARE:-.platforms/bare}

enter() {
    env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
}

make_root() {
    say "making $root"
    rm -rf "$root"
    mkdir -p "$root"
    # shellcheck disable=SC1091
    release=$(. /etc/os-release && test "$ID" = debian && echo "$VERSION_CODENAME") ||
        die "works on Debian only"
    debootstrap --variant=minbase --include=python3 --keyring=$keyring "$release" "$root" "$mirror"
    # Python's ctypes loses its libffi too.
    find "$root" -xdev -name 'libffi*.so*' -exec rm {} +
    touch "$root/.made"
}

need debootstrap debootstrap
need $keyring debian-archive-keyring
test -e "$root/.made" || make_root

left=$(find "$root" -xdev -name 'libffi*.so*')
test -z "$left" || die "libffi is not missing: $left"
if enter python3 -c 'import ctypes' 2>/dev/null; then
    die "libffi is not missing: ctypes works"
fi
version=$(enter python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
arch=$(uname -m)
rm -rf "$root/opt/ffi"
"$python" -m pip install --quiet --only-binary=:all: --implementation cp \
    --python-version "$version" --platform "linux_$arch" --platform "manylinux_2_17_$arch" \
    --platform "manylinux2014_$arch" --platform "manylinux_2_28_$arch" \
    --target "$root/opt/ffi" "$wheel"
cp README.md "$root/opt"

# All of README.md, by direct calls if the machine has them, and by the libffi in the wheel.
for direct in "" 1; do
    enter env PYTHONPATH=/opt/ffi FFI_NO_DIRECT=$direct python3 -c '
import doctest, sys, ffi
flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
failed, tried = doctest.testfile("/opt/README.md", module_relative=False, optionflags=flags)
print(f"README.md: {failed} of {tried} examples failed; Python", sys.version.split()[0],
      "ffi at", ffi.__file__, "calls:", ffi.CIF("void").path)
sys.exit(failed != 0 or tried == 0)'
done
