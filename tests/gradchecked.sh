#!/bin/sh
# gradchecked.sh FILE: is every differentiable op of ops.h gradient-checked?
# FILE has the names that CHECK_OP noted while the tests ran, one a line.
header=src/ops/ops.h
differentiable=$(awk '
    /^\/\* ---- /       { on = $3 == "differentiable:" }
    on && /^rill_tensor \*rill_/ { sub(/^rill_tensor \*/, "")
                                   sub(/\(.*/, ""); print }' "$header")
if [ -z "$differentiable" ]; then
    echo "gradchecked: $header lists no differentiable op"
    exit 1
fi
missing=$(printf '%s\n' "$differentiable" | grep -vxFf "$1")
unknown=$(sort -u "$1" | grep -vxF "$differentiable")
for op in $missing; do
    echo "gradchecked: no test gradient-checks $op"
done
for op in $unknown; do
    echo "gradchecked: $op was checked, but $header has no such op"
done
[ -z "$missing$unknown" ] || exit 1
printf 'gradient checks: all %d differentiable ops\n' \
    "$(printf '%s\n' "$differentiable" | wc -l)"
