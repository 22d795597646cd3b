#!/bin/sh
# usage: tools/platform.sh ARCH COMMAND [ARGUMENT...]
#
# Run a command on another architecture: in a Debian of that architecture, under QEMU's user-mode
# emulation, in a copy of the working tree. ARCH is Debian's name: arm64, armhf, i386, riscv64,
# s390x. Needs root, and Debian or Ubuntu with apt-get; what else is missing is installed.
#
# Packages come from $MIRROR, by default the first mirror of the host's own Debian.
#
# The first run makes $PLATFORMS/ARCH (.platforms/ARCH by default; clones may share it): a compiler,
# Python with NumPy and pytest, Cython. The compiler is one of the host's architecture for the
# other: it is not emulated. Each run copies what changed in the working tree to
# build/platform-ARCH, which is /src there, and hands FFI_* and CC of the environment on. Cython,
# too, runs on the host, as its C is the same for all, and puts it where `setup.py build_ext
# --build-temp build/temp` finds it. Mounts are private to the run; only QEMU's entry in the
# kernel's list of binary formats (binfmt_misc) stays, until the next boot. A kernel that takes no
# entry will not do: compilers failed in Debian's proot, which starts QEMU without one.

# shellcheck disable=SC2086  # lists of words
set -eu

release=trixie
gcc=14  # its
packages="ca-certificates libc6-dev libffi-dev make pkg-config python3 python3-cffi python3-dev
    python3-joblib python3-numpy python3-pycparser python3-pygments python3-pytest python3-scipy
    python3-setuptools"
modules="Cython>=3.1 pytest>=8.4"  # younger than the release's

cd "$(dirname "$0")/.."
tool=platform
. tools/debian.sh

test $# -ge 2 || die "usage: tools/platform.sh ARCH COMMAND [ARGUMENT...]"
arch=$1
shift

# QEMU's name of the architecture, that of wheels, GNU's, and what its programs' ELF headers say:
# class and byte order, then the machine.
native=$(uname -m)  # QEMU has names of its own
case $arch in
    arm64) cpu=aarch64 wheel=aarch64 gnu=aarch64-linux-gnu class='\x02\x01' machine='\xb7\x00' ;;
    armhf) cpu=arm wheel=armv7l gnu=arm-linux-gnueabihf class='\x01\x01' machine='\x28\x00' ;;
    i386) cpu='' native=i686 wheel=i686 ;;
    riscv64) cpu=riscv64 wheel=riscv64 gnu=riscv64-linux-gnu class='\x02\x01' machine='\xf3\x00' ;;
    s390x) cpu=s390x wheel=s390x gnu=s390x-linux-gnu class='\x02\x02' machine='\x00\x16' ;;
    *) die "unknown architecture $arch; known are arm64, armhf, i386, riscv64, s390x" ;;
esac
host=$(dpkg --print-architecture)
test "$arch" != "$host" || cpu=''
python=${PYTHON:-python3}
platforms=${PLATFORMS:-.platforms}
mkdir -p "$platforms"
platforms=$(cd "$platforms" && pwd)
root=$platforms/$arch
tree=$PWD/build/platform-$arch
qemu=${cpu:+$platforms/qemu/usr/bin/qemu-$cpu}

# Get QEMU of the same release as the systems, whatever the host's; it is linked statically.
get_qemu() {
    say "getting QEMU of $release"
    apt=$platforms/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$platforms/qemu"
    echo "deb [signed-by=$keyring] $mirror $release main" >"$apt/sources.list"
    set -- -qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root
    apt-get "$@" update
    (cd "$apt" && apt-get "$@" download qemu-user)
    dpkg -x "$apt"/qemu-user_*.deb "$platforms/qemu"
    rm -r "$apt"
}

# Have the kernel start the architecture's programs with QEMU, if it can. Flag F opens QEMU now, so
# that it works in other roots; with P programs keep their argv[0].
register() {
    list=/proc/sys/fs/binfmt_misc
    test -e $list/register || mount -t binfmt_misc none $list 2>/dev/null || return 0
    test ! -e $list/ffi-$cpu || return 0
    zeros='\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
    mask='\xff\xff\xff\xff\xff\xff'$zeros'\xff\xff'
    rule=":ffi-$cpu:M::\\x7fELF$class$zeros$machine:$mask:$qemu:PF"
    printf '%s\n' "$rule" 2>/dev/null >$list/register || say "binfmt_misc takes no entry"
}

# Run a command in the system, in a clean environment.
enter() {
    for name in $(env | sed -nE 's/^(FFI_[A-Z0-9_]+|CC)=.*/\1/p'); do
        eval "set -- \"$name=\$$name\" \"\$@\""
    done
    set -- env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive PYTHONPATH=/src "$@"
    mkdir -p "$tree" "$root/src"
    chroot "$root" /bin/true 2>/dev/null ||
        die "the kernel does not start programs of $arch: no entry in binfmt_misc was possible"
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount sh -euc 'root=$1 tree=$2 cpu=$3; shift 3
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind "$tree" "$root/src"
        exec setarch "$cpu" chroot "$root" sh -c "cd /src && exec \"\$@\"" sh "$@"' \
        sh "$root" "$tree" "$native" "$@"
}

# Put the host's gcc for the architecture into the system. The package cannot be installed there: it
# needs the architecture's headers and libgcc from packages for cross compilers, which count as
# another architecture's. The system's own are taken instead.
add_gcc() {
    enter apt-get install -qq --no-install-recommends "libgcc-$gcc-dev" \
        "binutils-$gnu:$host" "libisl23:$host" "libmpc3:$host" "libstdc++6:$host"
    # shellcheck disable=SC2016  # expanded by the inner shell
    enter sh -euc 'gcc=$1 gnu=$2 host=$3
        cd /var/cache/apt/archives
        apt-get download "cpp-$gcc-$gnu:$host" "gcc-$gcc-$gnu:$host"
        for package in "cpp-$gcc-$gnu"_*.deb "gcc-$gcc-$gnu"_*.deb; do dpkg -x "$package" /; done
        cp -rsn "/usr/lib/gcc/$gnu/$gcc" "/usr/lib/gcc-cross/$gnu"
        for name in gcc cc "$gnu-gcc"; do
            ln -s "/usr/bin/$gnu-gcc-$gcc" "/usr/local/bin/$name"
        done
        ln -s "/usr/bin/$gnu-readelf" /usr/local/bin/readelf
        ln -s "/usr/bin/$gnu-nm" /usr/local/bin/nm
        gcc --version' sh "$gcc" "$gnu" "$host"
}

make_root() {
    say "making $root"
    rm -rf "$root"
    debootstrap --arch="$arch" --foreign --variant=minbase --keyring=$keyring \
        $release "$root" "$mirror"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    enter /debootstrap/debootstrap --second-stage
    echo "deb $mirror $release main" >"$root/etc/apt/sources.list"
    if test -n "$cpu"; then
        enter dpkg --add-architecture "$host"
        enter apt-get update -qq
        enter apt-get install -qq --no-install-recommends $packages
        add_gcc
    else
        enter apt-get update -qq
        enter apt-get install -qq --no-install-recommends $packages clang gcc
    fi
    enter apt-get clean
    # With the host's pip: the system need not know the host's way to the index.
    version=$(cd "$root/usr/lib" && echo python3.*)
    "$python" -m pip install --quiet --no-deps --only-binary=:all: --implementation cp \
        --python-version "${version#python}" --platform "manylinux2014_$wheel" \
        --platform "manylinux_2_28_$wheel" --platform any \
        --target "$root/usr/local/lib/$version/dist-packages" $modules
    touch "$root/.made"
}

# Copy what differs, with new times: builds see every change, and nothing else.
copy_tree() {
    mkdir -p "$tree"
    git ls-files --cached --others --exclude-standard | sort >"$tree.new"
    while read -r file; do
        if ! test -f "$file"; then
            rm -f "$tree/$file"
        elif ! cmp -s "$file" "$tree/$file"; then
            cp --parents "$file" "$tree"
        fi
    done <"$tree.new"
    if test -e "$tree.files"; then
        comm -23 "$tree.files" "$tree.new" | while read -r file; do rm -f "$tree/$file"; done
    fi
    mv "$tree.new" "$tree.files"
}

# Translate for all architectures, and copy what differs; with new times where something is newer
# than its C, which Cython would write again.
translate() {
    env CC=true LDSHARED=true "$python" setup.py -q build_ext \
        --build-temp build/platform --build-lib build/platform >&2
    mkdir -p "$tree/build/temp/cython/ffi"
    for file in build/platform/cython/ffi/*.c; do
        name=${file##*/}
        copy=$tree/build/temp/cython/ffi/$name
        if ! cmp -s "$file" "$copy" || test -n "$(find "$tree/setup.py" "$tree/ffi" -newer "$copy" \
            \( -name "${name%.c}.pyx" -o -name "*.pxd" -o -name setup.py \))"; then
            cp "$file" "$copy"
        fi
    done
}

need debootstrap debootstrap
need $keyring debian-archive-keyring
exec 9>"$platforms/$arch.lock"
flock 9
if test -n "$cpu"; then
    test -x "$qemu" || get_qemu
    register
fi
test -e "$root/.made" || make_root
copy_tree
mkdir -p build
exec 9>build/platform.lock
flock 9
translate
exec 9>&-
enter "$@"
