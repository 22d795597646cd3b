#!/bin/sh
# usage: tools/bootstrap.sh [PYTHON [NAME...]]
#
# Install what a build needs and this machine lacks: make, Python with its venv module and headers,
# a C compiler, libffi's headers; and what is asked for of the commands clang and gfortran and of
# the libraries fftw3, gsl, lapacke, nlopt, sqlite3 and zlib, which come with their headers. Uses
# apt-get, dnf, apk or brew, with sudo where it must; where that is not possible, prints the line to
# run and fails.

# shellcheck disable=SC2086  # commands, package names and flags are kept as lists of words
set -eu

python=${1:-python3}
test $# = 0 || shift
names=$*

say() {
    echo "bootstrap: $*" >&2
}

py() {
    "$python" -c "$1" 2>/dev/null
}

# Print the words for what is missing.
missing() {
    for name in make $names; do
        case $name in
            fftw3 | lapacke | nlopt | sqlite3) header=$name.h ;;
            gsl) header=gsl/gsl_version.h ;;
            zlib) header=zlib.h ;;
            *) header= ;;
        esac
        if test -z "$header"; then
            command -v "$name" >/dev/null || echo "$name"
        else
            compiles "#include <$header>" || echo "$name"
        fi
    done
    if command -v "$python" >/dev/null; then
        py 'import ensurepip, venv' || echo python-venv
        include=$(py 'import sysconfig; print(sysconfig.get_path("include"))')
        test -f "$include/Python.h" || echo python-headers
    else
        echo python python-venv python-headers
    fi
    if compiles '#include <stdio.h>'; then
        has_libffi || echo libffi-headers
    else
        echo c-compiler libffi-headers
    fi
}

# Return whether the compiler that extension modules are built with takes the line $1.
compiles() {
    line=$1
    shift
    cc=${CC:-$(py 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")' || echo cc)}
    printf '%s\nint x;\n' "$line" |
        $cc ${CPPFLAGS:-} ${CFLAGS:-} "$@" -x c -c - -o "$scratch/x.o" 2>/dev/null
}

# The places are those of setup.py, which also checks that the library links.
has_libffi() {
    # shellcheck disable=SC2046
    compiles '#include <ffi.h>' $(pkg-config --cflags libffi 2>/dev/null) && return
    for prefix in ${CONDA_PREFIX:-} /usr/local /opt/homebrew/opt/libffi /usr/local/opt/libffi; do
        test -f "$prefix/include/ffi.h" && return
    done
    test "$(uname)" = Darwin && compiles '#include <ffi/ffi.h>'
}

# Print the packages of package manager $1 that hold what is missing.
packages() {
    version=$(py 'import sys; print("%d.%d" % sys.version_info[:2])' || true)
    for word in $lacking; do
        case $1-$word in
            *-make) echo make ;;
            brew-clang) echo llvm ;;
            *-clang) echo clang ;;
            brew-gfortran) echo gcc ;;
            dnf-gfortran) echo gcc-gfortran ;;
            *-gfortran) echo gfortran ;;
            brew-fftw3) echo fftw ;;
            brew-gsl | brew-sqlite3 | brew-zlib) echo "${word%3}" ;;
            brew-lapacke) echo lapack ;;
            brew-nlopt) echo nlopt ;;
            apt-get-fftw3) echo libfftw3-dev ;;
            apt-get-gsl | apt-get-nlopt | apt-get-sqlite3) echo "lib$word-dev" ;;
            apt-get-lapacke) echo liblapacke-dev ;;
            apt-get-zlib) echo zlib1g-dev ;;
            dnf-fftw3) echo fftw-devel ;;
            dnf-nlopt) echo NLopt-devel ;;
            dnf-gsl | dnf-sqlite3 | dnf-zlib) echo "${word%3}-devel" ;;
            dnf-lapacke) echo lapack-devel ;;
            apk-fftw3) echo fftw-dev ;;
            apk-gsl | apk-nlopt | apk-sqlite3 | apk-zlib) echo "${word%3}-dev" ;;
            apk-lapacke) echo lapack-dev ;;
            brew-python | brew-python-venv | brew-python-headers) echo python ;;
            *-python | dnf-python-venv | apk-python-venv) echo python3 ;;
            apt-get-python-venv) echo "python${version:-3}-venv" ;;
            apt-get-python-headers) echo "python${version:-3}-dev" ;;
            apt-get-c-compiler) echo gcc libc6-dev ;;
            apt-get-libffi-headers) echo libffi-dev pkg-config ;;
            dnf-python-headers)
                if test "$version" = "$(rpm -q --qf '%{VERSION}' python3 | cut -d. -f1-2)"; then
                    echo python3-devel
                else
                    echo "python${version:-3}-devel"
                fi
                ;;
            dnf-c-compiler) echo gcc ;;
            dnf-libffi-headers) echo libffi-devel pkgconf-pkg-config ;;
            apk-python-headers) echo python3-dev ;;
            apk-c-compiler) echo gcc musl-dev ;;
            apk-libffi-headers) echo libffi-dev pkgconf ;;
            brew-libffi-headers) echo libffi ;;
        esac
    done
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if command -v "$python" >/dev/null && ! py 'import sys; assert sys.version_info >= (3, 10)'; then
    say "$python is $("$python" --version 2>&1); ffi needs Python 3.10 or newer (make PYTHON=...)"
    exit 1
fi

lacking=$(missing)
test -n "$lacking" || exit 0
say "missing:" $lacking

manager=
for name in apt-get dnf apk brew; do
    if command -v $name >/dev/null; then
        manager=$name
        break
    fi
done
case $manager in
    apt-get) install="apt-get install --yes --no-install-recommends" ;;
    dnf) install="dnf install -y" ;;
    apk) install="apk add" ;;
    brew) install="brew install" ;;
    *)
        say "found none of apt-get, dnf, apk, brew: install them with your system's package manager"
        exit 1
        ;;
esac
install="$install $(packages $manager | paste -s -d ' ' -)"

if test "$manager" = brew && echo "$lacking" | grep -q c-compiler; then
    say "run: xcode-select --install"
    exit 1
fi

if test "$manager" = brew || test "$(id -u)" = 0; then
    sudo=
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || test -t 0; }; then
    sudo=sudo
else
    say "not allowed to install packages; run as root: $install"
    exit 1
fi

say "${sudo:+$sudo }$install"
if test "$manager" = apt-get; then
    run="$sudo env DEBIAN_FRONTEND=noninteractive"
    # A new machine has no package lists; those of an old one may be out of date.
    # shellcheck disable=SC2046
    apt-cache show $(packages apt-get) >/dev/null 2>&1 || $run apt-get update
    $run $install || { $run apt-get update && $run $install; }
else
    $sudo $install
fi

lacking=$(missing)
if test -n "$lacking"; then
    say "still missing after that:" $lacking
    exit 1
fi
