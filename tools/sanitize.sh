#!/bin/sh
# usage: tools/sanitize.sh address|thread|valgrind [PYTEST-ARGUMENT...]
#
# Run tests under a checker of memory or threads, on a copy of the working tree in
# build/sanitize-KIND that is compiled for it. Fails if the checker reports anything; the reports are
# build/sanitize-KIND/report.*.
#
#   address   gcc's address and undefined-behaviour sanitizers over the suite
#   thread    gcc's thread sanitizer over the tests of threads
#   valgrind  valgrind's memcheck over the low-level tests
#
# PYTHON is the interpreter, which itself is not compiled for this: CPython's allocator is replaced
# by malloc, so that the checkers see every object, and what is CPython's, NumPy's or a checker's own
# is left out by the lists in tools/suppressions, which say why. Linux with gcc only.

set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kind=${1:-}
test $# = 0 || shift
tree=$PWD/build/sanitize-$kind
lists=$PWD/tools/suppressions

runtime() {
    file=$(gcc -print-file-name="$1")
    test -f "$file" || {
        echo "sanitize: gcc's $1 is not installed" >&2
        exit 1
    }
    echo "$file"
}

run=
flags="-g -O1 -fno-omit-frame-pointer"
case $kind in
    address)
        sanitizers=-fsanitize=address,undefined
        preload="$(runtime libasan.so) $(runtime libubsan.so)"
        test $# != 0 || set -- tests
        ;;
    thread)
        sanitizers=-fsanitize=thread
        preload=$(runtime libtsan.so)
        # Its shadow memory wants addresses that are not random.
        run="setarch -R"
        test $# != 0 || set -- tests/test_threads.py tests/test_function_threads.py
        ;;
    valgrind)
        sanitizers=
        preload=
        run="valgrind --quiet --trace-children=no --suppressions=$lists/valgrind.supp
            --error-limit=no --num-callers=30 --log-file=$tree/report.%p"
        test $# != 0 || set -- tests/test_call.py tests/test_core.py tests/test_closure.py \
            tests/test_marshal.py tests/test_memory.py tests/test_pack.py
        ;;
    *)
        sed -n 's/^# usage:/usage:/p' "$0" >&2
        exit 1
        ;;
esac

mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard |
    xargs -0 cp --parents --preserve=timestamps --update --target-directory="$tree"
cd "$tree"
rm -f report.*
CFLAGS="$flags $sanitizers" LDFLAGS=$sanitizers "$python" setup.py -q build_ext --inplace

# The suite asks for more memory than there is; and CPython leaks what it keeps to the end, see
# tests/test_leaks.py and its like for what ffi leaks.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:log_path=$tree/report:handle_segv=0"
export UBSAN_OPTIONS="print_stacktrace=1:log_path=$tree/report:suppressions=$lists/undefined.supp"
export TSAN_OPTIONS="log_path=$tree/report:suppressions=$lists/thread.supp:history_size=7"
export PYTHONMALLOC=malloc PYTHONPATH="$tree"
result=0
# shellcheck disable=SC2086  # lists of words
$run env LD_PRELOAD="$preload" "$python" -m pytest -q -p no:cacheprovider "$@" || result=$?
find . -maxdepth 1 -name 'report.*' -size 0 -delete
for report in report.*; do
    test ! -e "$report" || {
        cat "$report"
        result=1
    }
done
exit $result
