#!/bin/sh
# usage: tools/libffi.sh PREFIX
#
# Build libffi for wheels from its release, as a static library of position-independent code, into
# PREFIX. PKG_CONFIG_PATH=PREFIX/lib/pkgconfig makes setup.py find it. Needs curl, make and a C
# compiler. manylinux_2_28 itself has libffi 3.1, which is too old.

set -eu

version=3.8.0
sha256=7da3e2d9a171eb0a038f592ecad3ff2bb2550f3496d87b3b29ad0cf4430c0db4
url=https://github.com/libffi/libffi/releases/download/v$version/libffi-$version.tar.gz

test $# = 1 || {
    echo "usage: tools/libffi.sh PREFIX" >&2
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
curl --fail --silent --show-error --location --retry 3 --output libffi.tar.gz "$url"
echo "$sha256  libffi.tar.gz" | sha256sum -c -
tar xzf libffi.tar.gz
cd "libffi-$version"
./configure --quiet --prefix="$1" --libdir="$1/lib" --disable-multi-os-directory \
    --disable-shared --with-pic --disable-docs
make --silent install
