#!/bin/sh
# usage: tools/sanitize.sh address|thread|valgrind [PYTEST-ARGUMENT...]
#
# Run tests under a checker of memory or threads, on a copy of the working tree in
# build/sanitize-KIND that is compiled for it. Fails if a test does or the checker reports anything;
# its reports are build/sanitize-KIND/report*.
#
#   address   gcc's address and undefined-behaviour sanitizers over the suite
#   thread    gcc's thread sanitizer over the tests of threads, closures and callbacks
#   valgrind  valgrind's memcheck over the low-level tests
#
# PYTHON is the interpreter, with what `make test` installs. It is not compiled for this itself, but
# its allocator is replaced by malloc, so that the checkers see every object. What they say of
# CPython and glibc is left out by the lists in tools/suppressions. Linux with gcc only.

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

case $kind in
    address)
        sanitizers=-fsanitize=address,undefined
        address=$(runtime libasan.so)
        run="env LD_PRELOAD=$address:$(runtime libubsan.so)"
        # The tests of leaks measure memory, which the sanitizer keeps for a while.
        test $# != 0 || set -- tests --ignore-glob='*_leaks.py'
        ;;
    thread)
        sanitizers=-fsanitize=thread
        # Its shadow memory wants addresses that are not random.
        run="setarch -R env LD_PRELOAD=$(runtime libtsan.so)"
        test $# != 0 || set -- tests/test_threads.py tests/test_function_threads.py \
            tests/test_callback.py tests/test_closure.py tests/test_closure_life.py \
            tests/test_errno.py tests/test_gc.py
        ;;
    valgrind)
        command -v valgrind >/dev/null || {
            echo "sanitize: valgrind is not installed" >&2
            exit 1
        }
        sanitizers=
        run="valgrind --quiet --error-limit=no --fair-sched=yes --num-callers=30
            --suppressions=$lists/valgrind.supp --log-file=$tree/report.%p"
        test $# != 0 || set -- tests/test_call.py tests/test_core.py tests/test_closure.py \
            tests/test_errno.py tests/test_marshal.py tests/test_memory.py tests/test_pack.py
        ;;
    *)
        sed -n 's/^# usage:/usage:/p' "$0" >&2
        exit 1
        ;;
esac

# Tests that are gone do not run.
rm -rf "$tree/tests"
mkdir -p "$tree"
# shellcheck disable=SC2016  # expanded by the inner shell
git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for file; do
    test ! -f "$file" || cp --parents --preserve=timestamps --update --target-directory="$0" "$file"
done' "$tree"
cd "$tree"
rm -f report*
CFLAGS="-g -O1 -fno-omit-frame-pointer $sanitizers" LDFLAGS=$sanitizers \
    "$python" setup.py -q build_ext --inplace

# Tests ask for more memory than there is, and recurse without end, in larger frames here. CPython
# keeps much to its end that looks like leaks: tests/test_leaks.py and its like count objects.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:log_path=$tree/report"
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="log_path=$tree/report:suppressions=$lists/thread.supp:history_size=7"
export PYTHONMALLOC=malloc PYTHONPATH="$tree"
# shellcheck disable=SC3045  # there, where gcc's sanitizers are
ulimit -s "$(ulimit -H -s | sed 's/unlimited/1000000/')"

# Without capture: the undefined-behaviour sanitizer writes to the standard error only.
result=0
# shellcheck disable=SC2086  # lists of words
$run "$python" -m pytest -q -p no:cacheprovider -p no:faulthandler --capture=no "$@" \
    2>report.stderr || result=$?
test $result = 0 || tail -n 20 report.stderr >&2
if grep -hE 'runtime error:|ERROR: AddressSanitizer|WARNING: ThreadSanitizer|^==[0-9]+== [A-Z]' report*; then
    echo "sanitize: the whole reports are $tree/report*" >&2
    result=1
fi
exit $result
