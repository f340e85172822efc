#!/bin/sh
# run.sh FOLDER TEST...: runs the test programs of a folder, adds up Check's
# summary lines, and looks at last whether every op was gradient-checked. A
# program that prints no summary has died, and fails the run. $RILL_RUN, if
# set, is put before each program: "valgrind -q", say.
dir=$1
shift
RILL_BUILD=$(dirname "$dir")
RILL_GRADCHECKED=$(mktemp) || exit 1
export RILL_BUILD RILL_GRADCHECKED
trap 'rm -f "$RILL_GRADCHECKED"' EXIT
trap 'exit 1' INT TERM

ran=$# all=$(find tests -name 'test_*.c' | wc -l)
status=0 checks=0 failures=0 errors=0
for test in "$@"; do
    # shellcheck disable=SC2086 # RILL_RUN is a command with its options
    out=$($RILL_RUN "$dir/$test" 2>&1) || status=1
    line=$(printf '%s\n' "$out" | grep -E '^[0-9]+%: Checks: ' | tail -n 1)
    if [ -z "$line" ]; then
        printf '%s: no summary\n%s\n' "$test" "$out"
        status=1 checks=$((checks + 1)) errors=$((errors + 1))
        continue
    fi
    printf '%-24s %s\n' "$test" "$line"
    printf '%s\n' "$out" | grep -vE '^Running suite|^[0-9]+%: Checks: '
    numbers=$(printf '%s\n' "$line" | sed 's/^[0-9]*%: //; s/[^0-9 ]//g')
    read -r c f e <<NUMBERS
$numbers
NUMBERS
    checks=$((checks + c)) failures=$((failures + f)) errors=$((errors + e))
done

# A run of some tests only says nothing about all ops.
if [ "$ran" -eq "$all" ]; then
    checks=$((checks + 1))
    sh tests/gradchecked.sh "$RILL_GRADCHECKED" ||
        status=1 failures=$((failures + 1))
else
    echo "gradient checks: not looked at, $ran of $all tests ran"
fi

[ "$checks" -gt 0 ] || status=1
good=0
[ "$checks" -gt 0 ] && good=$((100 * (checks - failures - errors) / checks))
echo "$good%: Checks: $checks, Failures: $failures, Errors: $errors"
exit $status
