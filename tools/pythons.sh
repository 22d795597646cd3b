#!/bin/sh
# usage: tools/pythons.sh [PYTEST-ARGUMENT...]
#
# Run the test suite on each installed Python that ffi supports, found in PATH or among pyenv's
# versions. Each has an environment of its own, .venv-3.12 for one, made by `make test`; what that
# prints goes to build/pythons. Prints a line for each: version, results, seconds. Versions with a t
# have no GIL: `make nogil` gives two results, the second that of tests beside themselves.

set -eu
cd "$(dirname "$0")/.."
mkdir -p build/pythons
failed=0

# Print the command for a version. pyenv's shims are in PATH even where their version is not active.
find_python() {
    for name in "python$1" "$(pyenv root 2>/dev/null)/versions/${1%t}".*/bin/python; do
        if "$name" -c "if True:
            import ensurepip, sysconfig, venv
            assert '$1'.endswith('t') == bool(sysconfig.get_config_var('Py_GIL_DISABLED'))
        " 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

for version in 3.10 3.11 3.12 3.13 3.13t 3.14 3.14t; do
    if ! python=$(find_python $version); then
        printf '%-8s not installed\n' $version
        continue
    fi
    log=build/pythons/$version.log
    result=0
    target="test"
    test "$version" = "${version%t}" || target=nogil
    make $target PYTHON="$python" VENV=.venv-$version ARGS="$*" >$log 2>&1 || result=$?
    full=$(.venv-$version/bin/python -c 'import platform; print(platform.python_version())' \
        2>/dev/null) || full=${version%t}
    test $target = test || full=${full}t
    # pytest's last line, such as "3123 passed, 4 skipped in 56.78s (0:00:56)"
    summary=$(sed -nE 's/^=* ?([0-9]+ [a-z]+.* in [0-9.]+s).*/\1/p' $log | paste -s -d ';')
    if test $result != 0; then
        failed=1
        summary="${summary:-not run}; see $log"
    fi
    printf '%-8s %s\n' "$full" "$summary"
done
exit $failed
