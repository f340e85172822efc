#!/bin/sh
# Measures rill against the hand-written limit and, where Python has torch,
# PyTorch: rounds of all of them in turn, medians over the rounds, ratios.
#
#     bench/run.sh FOLDER [--json] [THREADS [WORKLOAD ...]]
#
# FOLDER holds the built limit and rill_bench. ROUNDS=5, BENCH_SECONDS=0.3.
dir=$1
shift
format=table
[ "$1" = --json ] && format=json && shift
threads=${1:-1}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- W1 W2 W3 W4 C1 C2 C3 S1 G1 L1
here=$(dirname "$0")
export BENCH_SECONDS="${BENCH_SECONDS:-0.3}"
python=$(for p in python3 /usr/bin/python3; do
    "$p" -c 'import torch' 2>/dev/null && echo "$p" && break
done)
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
round=0
while [ "$round" -lt "${ROUNDS:-5}" ]; do
    for w in "$@"; do
        "$dir/limit" "$threads" "$w"
        "$dir/rill_bench" "$threads" "$w"
        [ -z "$python" ] ||
            "$python" "$here/torch_bench.py" "$threads" eager "$w"
    done >>"$lines"
    round=$((round + 1))
done
"$dir/rill_bench" "$threads" dispatch >>"$lines"
# of limit.c's variants the best is the limit; "limit" is the separate-buffer
# one, which is what an autograd has to do on C rows
awk -v format="$format" -v threads="$threads" '
function median(list,    v, n, i, j, x) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++) {
        x = v[i] + 0
        for (j = i - 1; j > 0 && v[j] + 0 > x; j--) v[j + 1] = v[j]
        v[j + 1] = x
    }
    return n ? v[int((n + 1) / 2)] : 0
}
/^#/ { if (!seen[$0]++ && /rill|allocations|recorded|RSS/) notes = notes $0 "\n"; next }
/inplace/ { next }
{
    if (!($1 in order)) { order[$1] = ++n; name[n] = $1 }
    kind = $2 ~ /^limit/ ? "limit" : $2 ~ /^torch/ ? "torch" : "rill"
    all[$1, $2] = all[$1, $2] " " $4
    variants[$1, kind, $2] = 1
    if (kind == "torch") torch = $2
}
END {
    for (key in variants) {
        split(key, k, SUBSEP)
        m = median(all[k[1], k[3]])
        if (!((k[1], k[2]) in best) || m < best[k[1], k[2]])
            best[k[1], k[2]] = m
    }
    if (format == "json") printf "{\"threads\": %d, \"unit\": \"ns\", \"rows\": [\n", threads
    else {
        printf "| | threads | limit, us | rill, us | rill / limit | %s, us | torch / rill |\n", torch ? torch : "torch"
        print "| --- | --- | --- | --- | --- | --- | --- |"
    }
    for (i = 1; i <= n; i++) {
        w = name[i]; l = best[w, "limit"]; r = best[w, "rill"]; t = best[w, "torch"]
        if (format == "json")
            printf "  {\"name\": \"%s\", \"limit\": %d, \"rill\": %d, \"torch\": %s}%s\n", w, l, r, t ? t : "null", i < n ? "," : ""
        else
            printf "| %s | %d | %.1f | %.1f | %s | %s | %s |\n", w, threads, l / 1e3, r / 1e3, \
                l && r ? sprintf("%.2f", r / l) : "", t ? sprintf("%.1f", t / 1e3) : "", t && r ? sprintf("%.1f", t / r) : ""
    }
    if (format == "json") print "]}"
    else printf "\n%s", notes
}' "$lines"
