#!/bin/sh
# usage: tools/pythons.sh [PYTEST-ARGUMENT...]
#
# Run the test suite on each installed Python that ffi supports, found in PATH or among pyenv's
# versions. Each has an environment of its own, .venv-3.12 for one, made by `make test`; what that
# prints goes to build/pythons. Prints a line for each: version, results, seconds.

set -eu
cd "$(dirname "$0")/.."
mkdir -p build/pythons
failed=0

# Print the command for a version. pyenv's shims are in PATH even where their version is not active.
find_python() {
    for name in "python$1" "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python; do
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

for version in 3.10 3.11 3.12 3.13 3.14; do
    if ! python=$(find_python $version); then
        printf '%-8s not installed\n' $version
        continue
    fi
    log=build/pythons/$version.log
    result=0
    make test PYTHON="$python" VENV=.venv-$version ARGS="$*" >$log 2>&1 || result=$?
    full=$(.venv-$version/bin/python -c 'import platform; print(platform.python_version())')
    # pytest's last line, such as "3123 passed, 4 skipped in 56.78s (0:00:56)"
    summary=$(sed -nE 's/^=* ?([0-9]+ [a-z]+.* in [0-9.]+s).*/\1/p' $log | tail -n 1)
    if test $result != 0; then
        failed=1
        summary="${summary:-not run}; see $log"
    fi
    printf '%-8s %s\n' "$full" "$summary"
done
exit $failed
