"""Lines and branches of src/ that the tests ran, from gcov's counts.

coverage.py BUILD LINES BRANCHES: prints a row a file, writes what was not run
to BUILD/missing.txt, and fails below so many per cent of lines or branches.
Counted by function: a kernel's line counts once for each type and instruction
set, but those of instruction sets that never ran (this processor has none)
are left out. What a header defines counts once, whoever includes it."""
import collections
import glob
import json
import subprocess
import sys

ISAS = ("base", "avx2", "avx512")


def read(build):
    """{(file, function, line): [count, [branch counts]]}"""
    seen = {}
    data = glob.glob(build + "/src/**/*.gcda", recursive=True)
    out = subprocess.run(["gcov", "--json-format", "--stdout", "-b"] + data,
                         check=True, capture_output=True, text=True).stdout
    for report in out.splitlines():
        for file in json.loads(report)["files"]:
            if not file["file"].startswith("src/"):
                continue
            for line in file["lines"]:
                key = file["file"], line["function_name"], line["line_number"]
                taken = [b["count"] for b in line["branches"]]
                old = seen.setdefault(key, [0, [0] * len(taken)])
                old[0] += line["count"]
                old[1] = [a + b for a, b in zip(old[1], taken)]
    ran = {isa_of(f) for (_, f, _), (n, _) in seen.items() if n}
    return {k: v for k, v in seen.items() if isa_of(k[1]) in ran}


def isa_of(function):
    last = function.rpartition("_")[2]
    return last if last in ISAS else None


def main(build, least_lines, least_branches):
    total = collections.Counter()
    files = collections.defaultdict(collections.Counter)
    with open(build + "/missing.txt", "w") as missing:
        for (file, function, line), (n, taken) in sorted(read(build).items()):
            row = collections.Counter(lines=1, ran=n > 0, branches=len(taken),
                                      taken=sum(b > 0 for b in taken))
            files[file] += row
            total += row
            if n == 0:
                print(f"{file}:{line}: {function}: not run", file=missing)
            elif 0 in taken:
                print(f"{file}:{line}: {function}: {row['taken']} of "
                      f"{row['branches']} branches", file=missing)
    print(f"{'':34} {'lines':>6}       %  {'branches':>8}       %")
    for file, c in sorted(files.items()) + [("in all", total)]:
        lines = 100 * c["ran"] / c["lines"]
        branches = 100 * c["taken"] / c["branches"] if c["branches"] else 100
        print(f"{file:34} {c['lines']:6} {lines:7.2f}  {c['branches']:8} "
              f"{branches:7.2f}")
    return lines < least_lines or branches < least_branches


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
