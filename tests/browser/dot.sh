#!/bin/sh
# dot.sh TEST_GRAPH: lets Graphviz draw every graph that this test program
# (build/tests/test_graph) makes. dot must accept each without a word, draw as
# many nodes and edges as the text has, and let no name become markup.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
RILL_DOT=$folder "$1" >/dev/null || { echo "$1 failed"; exit 1; }

graphs=0
for text in "$folder"/*.dot; do
    svg=${text%.dot}.svg said=$(dot -Tsvg -o "${text%.dot}.svg" "$text" 2>&1)
    [ -z "$said" ] || { echo "$text: dot says: $said"; exit 1; }
    for kind in node edge; do
        pattern='^[nc][0-9_]* \['
        [ $kind = node ] || pattern='^[nc][0-9_]* -> '
        want=$(grep -c "$pattern" "$text") || true
        have=$(grep -c "class=\"$kind\"" "$svg") || true
        [ "$want" = "$have" ] ||
            { echo "$text: $have of $want ${kind}s drawn"; exit 1; }
    done
    if grep -q '<b>\|evil</title>' "$svg"; then
        echo "$text: a name became markup"
        exit 1
    fi
    graphs=$((graphs + 1))
done
[ "$graphs" -ge 8 ] || { echo "only $graphs graphs were made"; exit 1; }
echo "dot draws $graphs graphs"
