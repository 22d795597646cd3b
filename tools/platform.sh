#!/bin/sh
# usage: tools/platform.sh ARCH COMMAND [ARGUMENT...]
#
# Run a command on another architecture: in a Debian of that architecture, under QEMU's user-mode
# emulation, in a copy of the working tree. ARCH is Debian's name: arm64, armhf, i386, riscv64,
# s390x. Needs root, and Debian or Ubuntu with apt-get; what else is missing is installed.
#
# Packages come from $MIRROR, by default the first mirror of the host's own Debian.
#
# The first run makes $PLATFORMS/ARCH (.platforms/ARCH by default; clones may share it): compilers,
# Python with NumPy and pytest, Cython. Each run copies what changed in the working tree to
# build/platform-ARCH, which is /src there, and hands FFI_* and CC of the environment on. Mounts are
# private to the run; only QEMU's entry in the kernel's list of binary formats (binfmt_misc) stays,
# until the next boot. A kernel that takes no entry will not do: compilers failed in Debian's proot,
# which starts QEMU without one.

# shellcheck disable=SC2086  # lists of words
set -eu

release=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
packages="ca-certificates clang gcc libc6-dev libffi-dev make pkg-config python3 python3-cffi
    python3-dev python3-joblib python3-numpy python3-pycparser python3-pygments python3-pytest
    python3-scipy python3-setuptools"
modules="Cython>=3.1 pytest>=8.4"  # younger than the release's

say() {
    echo "platform: $*" >&2
}

die() {
    say "$@"
    exit 1
}

test $# -ge 2 || die "usage: tools/platform.sh ARCH COMMAND [ARGUMENT...]"
arch=$1
shift

# QEMU's name of the architecture, that of wheels, and what its programs' ELF headers say: class
# and byte order, then the machine.
case $arch in
    arm64) cpu=aarch64 wheel=aarch64 class='\x02\x01' machine='\xb7\x00' ;;
    armhf) cpu=arm wheel=armv7l class='\x01\x01' machine='\x28\x00' ;;
    i386) cpu='' wheel=i686 ;;
    riscv64) cpu=riscv64 wheel=riscv64 class='\x02\x01' machine='\xf3\x00' ;;
    s390x) cpu=s390x wheel=s390x class='\x02\x02' machine='\x00\x16' ;;
    *) die "unknown architecture $arch; known are arm64, armhf, i386, riscv64, s390x" ;;
esac
test "$(id -u)" = 0 || die "needs root, to make and enter a Debian for $arch: use sudo"
command -v apt-get >/dev/null || die "needs apt-get: works on Debian and Ubuntu only"

# shellcheck disable=SC2016  # apt-get's own words
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | head -n 1)}
test -n "$mirror" || die "set MIRROR to the address of a Debian mirror"

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
platforms=${PLATFORMS:-.platforms}
mkdir -p "$platforms"
platforms=$(cd "$platforms" && pwd)
root=$platforms/$arch
tree=$PWD/build/platform-$arch
qemu=${cpu:+$platforms/qemu/usr/bin/qemu-$cpu}

# Install package $2 of the host where file or program $1 is missing.
need() {
    command -v "$1" >/dev/null || test -e "$1" && return
    say "installing $2"
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$2"
    "$@" || { apt-get update -qq && "$@"; }
}

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
    unshare --mount sh -euc 'root=$1 tree=$2; shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind "$tree" "$root/src"
        exec chroot "$root" sh -c "cd /src && exec \"\$@\"" sh "$@"' sh "$root" "$tree" "$@"
}

make_root() {
    say "making $root"
    rm -rf "$root"
    debootstrap --arch="$arch" --foreign --variant=minbase --keyring=$keyring \
        $release "$root" "$mirror"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    enter /debootstrap/debootstrap --second-stage
    echo "deb $mirror $release main" >"$root/etc/apt/sources.list"
    enter apt-get update -qq
    enter apt-get install -qq --no-install-recommends $packages
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

need debootstrap debootstrap
need $keyring debian-archive-keyring
exec 9>"$platforms/lock"
flock 9
if test -n "$cpu"; then
    test -x "$qemu" || get_qemu
    register
fi
test -e "$root/.made" || make_root
exec 9>&-
copy_tree
enter "$@"
