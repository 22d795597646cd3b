#!/bin/sh
# usage: tools/platforms.sh [ARCH...]
#
# Build and run the test suite on each architecture of tools/platform.sh, or on those that are
# named. Needs root. Prints a line for each: architecture, Python, libffi, how calls are made,
# results, seconds; what else is printed goes to build/platforms.
#
# The files run in parts, so that a crash ends one part only, and one part after the other. Where
# QEMU emulates, tests of leaks are left out, which are long and of no machine, fewer random
# signatures are drawn (FFI_DIFF_SIGNATURES, 200 by default) and fewer odd objects (FFI_FUZZ_ROUNDS,
# 500 by default): that takes some two hours.

set -eu
cd "$(dirname "$0")/.."
test "$(id -u)" = 0 || {
    echo "platforms: needs root, to make and enter a Debian for each architecture: use sudo" >&2
    exit 1
}
test $# != 0 || set -- i386 arm64 armhf riscv64 s390x
mkdir -p build/platforms
failed=0

# What runs there.
# shellcheck disable=SC2016  # expanded there
suite='
CFLAGS=-g0 python3 setup.py -q build_ext --inplace --build-temp build/temp
echo "found: $(python3 --version | cut -d " " -f 2) $(pkg-config --modversion libffi)" \
    "$(python3 -c "import ffi; print(ffi.CIF(\"void\").path)")"
for file in tests/test_*.py docs README.md; do
    case $1,$file in emulated,*_leaks.py) ;; *) echo $file ;; esac
done | xargs -n 12 sh -c "python3 -m pytest \"\$@\" || printf \"\\npytest: %d\\n\" \$?" sh'

for arch; do
    log=build/platforms/$arch.log
    kind=emulated
    test "$arch" != i386 || kind=native
    start=$(date +%s)
    result=0
    (
        if test $kind = emulated; then
            export FFI_DIFF_SIGNATURES="${FFI_DIFF_SIGNATURES:-200}"
            export FFI_FUZZ_ROUNDS="${FFI_FUZZ_ROUNDS:-500}"
        fi
        exec sh tools/platform.sh "$arch" sh -euc "$suite" sh $kind
    ) >"$log" 2>&1 || result=$?
    # Of a part's last line, such as "=== 2 failed, 312 passed, 4 skipped in 56.78s (0:00:56) ===",
    # the sums; a part of which all is skipped has no result but 5 either.
    sums=$(sed -nE 's/^=+ ([0-9]+ [a-z]+.*) in [0-9.]+s.*/\1/p' "$log" | tr , '\n' |
        awk '{ sums[$2] += $1 }
            END {
                count = split("passed failed error errors skipped xfailed", names)
                for (i = 1; i <= count; i++)
                    if (names[i] in sums) {
                        printf "%s%d %s", separator, sums[names[i]], names[i]
                        separator = ", "
                    }
            }')
    if test $result != 0 || grep -qE '^pytest: [^5]' "$log"; then
        failed=1
        sums="${sums:-not run}; see $log"
    fi
    found=$(sed -n 's/^found: //p' "$log")
    printf '%-8s %-20s %s, %d s\n' "$arch" "$found" "$sums" $(($(date +%s) - start))
done
exit $failed
