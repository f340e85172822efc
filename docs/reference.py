#!/usr/bin/env python3
"""Prints a public header as Doxygen wants it: the filter of make docs.

The sources stay free of Doxygen's marks. A header has sections and a line a
thing; a function's docstring stands above its definition, or above the macro
call that writes it (UNARY(exp, ...)); the README has each op's formula and
gradient; an op's file opens with what it chooses where it has a choice. Here
they come together, as plain text: nothing in them is taken for markup.

What is described nowhere gets no description here, so that Doxygen fails."""
import glob
import html
import os
import re
import sys
import textwrap

ROOMS = {"tensor": "Tensors and tapes", "ops": "Ops and their gradients",
         "nn": "Training", "inspect": "Reading gradients"}
COMMENT = r"/\*.*?\*/"
# A function's first line, or a macro that writes one: UNARY(exp, ...) is
# rill_exp, RILL_READER(int, rill_ndim, ...) the function it names, and
# RILL_NN_OBJECT(rill_params, ...) three: rill_params_free and so on.
DEFINITION = (r"(?!static|typedef|#)\w[\w ]*[ *](?P<plain>rill_\w+)\("
              r"|(?:UNARY|BINARY|NUMBERED|REDUCTION|COMPARISON|INIT)"
              r"(?:_FUSED)?"
              r"\((?P<op>\w+),"
              r"|(?:RILL_)?READER\([^,]*, (?P<reader>rill_\w+),"
              r"|RILL_NN_OBJECT\((?P<object>rill_\w+),")
OBJECT_DOES = ("_free", "_error", "_clear_error")
# What stands at the left margin of a header, in turn: sections, comments,
# lines of the preprocessor, and declarations with the comment behind them.
HEADER = (r"/\* ---- (?P<section>.*?) -+ \*/"
          rf"|(?P<comment>{COMMENT})"
          r"|(?P<preprocessor>#(?:[^\n]*\\\n)*[^\n]*)|RILL_API_\w+"
          r"|(?P<declaration>\w(?:\{[^}]*\}|/\*.*?\*/|[^;{}])*;)"
          rf"(?:\s*?\n? +(?P<behind>{COMMENT}))?"
          r"|(?P<other>[^\n]+)")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def words(comment):
    """The text of a comment, without its frame."""
    lines = re.sub(r"^/\*|\*/$", "", comment).split("\n")
    lines[1:] = [re.sub(r"^ +\* ?", "", line) for line in lines[1:]]
    return "\n".join([lines[0].strip()] + lines[1:]).strip()


def headers():
    """The text of the headers without comments."""
    text = "".join(read(f"src/{room}/{room}.h") for room in ROOMS)
    return re.sub(COMMENT, "", text, flags=re.S)


def docstrings():
    """{function: (docstring, file, what the file opens with)}. A comment
    stands for all macro calls that follow it without an empty line."""
    found = {}
    for path in glob.glob("src/*/*.c"):
        text, comment = read(path), None
        opening = words(re.match(COMMENT, text, re.S).group())
        for m in re.finditer(rf"(?ms)^(?:(?P<comment>{COMMENT})$|(?P<end>$)"
                             rf"|{DEFINITION})", text):
            if m["comment"] or m["end"] is not None:
                comment = m["comment"]
                continue
            if comment:
                names = ([m["object"] + does for does in OBJECT_DOES]
                         if m["object"] else
                         [m["plain"] or m["reader"] or "rill_" + m["op"]])
                found.update(dict.fromkeys(names, (words(comment), path,
                                                   opening)))
    return found


def op_table():
    """{function: (formula, gradient)}, from the README."""
    rows = re.findall(r"(?m)^\| `(rill_\w+)` \| (.*) \| (.*) \|$",
                      read("README.md").replace(r"\|", "|"))
    return {name: (formula, gradient) for name, formula, gradient in rows}


HEADERS, DOCSTRINGS, OPS = headers(), docstrings(), op_table()
NAMES = set(re.findall(r"\brill_\w+(?=[(;])", HEADERS))  # can be linked


def plain(text):
    """Text with its markup made harmless and the names in it made links."""
    text = re.sub(r"([\\@#%*~`\[\]])", r"\\\1", html.escape(text, False))
    return re.sub(r"\brill_\w+\b(?!\()", lambda m: "#" * (m.group() in NAMES)
                  + m.group(), " ".join(text.split()))


def code(text):
    return f"<code>{html.escape(' '.join(text.split()), False)}</code>"


def paragraphs(text):
    """Of which the indented ones are formulas, tables or code."""
    return "\n\n".join(
        "@verbatim\n" + textwrap.dedent(part) + "\n@endverbatim"
        if part.startswith("    ") else plain(part)
        for part in re.split(r"\n\n", text))


def block(*parts, mark=""):
    return f"/**{mark} " + "\n\n".join(p for p in parts if p) + " */\n"


def describe_function(name, formula):
    """The docstring; of an op its formula and gradient too, and what its file
    says. What a header says of other functions, docstrings say in full."""
    if name not in DOCSTRINGS:
        return ""
    docstring, path, opening = DOCSTRINGS[name]
    if name not in OPS:
        return block(paragraphs(docstring))
    return block("@brief " + code(formula or OPS[name][0]),
                 paragraphs(docstring),
                 "<b>Gradient</b>: " + code(OPS[name][1]),
                 f"<b>{path}</b>: " + paragraphs(opening))


def describe_fields(body):
    """A comment behind a line describes all that the line declares."""
    comment = rf"(?P<comment>\s*{COMMENT})"
    body = re.sub(rf"(?s)(?P<type>\n +[\w ]+) (?P<names>[\w*]+(?:, [\w*]+)+);"
                  + comment, lambda m: "".join(
                      f"{m['type']} {name};{m['comment']}"
                      for name in m["names"].split(", ")), body)
    return re.sub(COMMENT, lambda m: block(plain(words(m.group())), mark="<"),
                  body, flags=re.S)


def describe_type(text, before, behind):
    """A type with the comments before, behind and within it."""
    name = re.search(r"(\w*)\)*;$", text)[1]
    users = re.findall(rf"(rill_\w+)\([^;]*\bconst {name} \*", HEADERS)
    parts = [paragraphs(c) for c in (behind, before) if c]
    if name.endswith("_opts") and users:
        parts.append("Options of " + plain(", ".join(users)) + ".")
    return (block(*parts) if parts else "") + describe_fields(text)


def group(room, section):
    return room + "_" + re.sub(r"\W+", "_", section)


def contents():
    """The rooms and their sections, as a list of links."""
    lines = []
    for room in ROOMS:
        lines.append(f"- @ref {room}")
        sections = re.findall(r"(?m)^/\* ---- (.*?) -+ \*/$",
                              read(f"src/{room}/{room}.h"))
        lines += [f"  - @ref {group(room, title)}" for title in sections]
    return "\n".join(lines)


def header(path):
    room = os.path.basename(path)[:-2]
    text = read(path)
    opening = re.match(COMMENT, text, re.S).group()
    if room == "rill":
        return block("@mainpage", paragraphs(words(opening)), contents())
    out = [block(f"@defgroup {room} {ROOMS[room]}",
                 paragraphs(words(opening)), "@{")]
    before, section = "", False
    for m in re.finditer(rf"(?ms)^(?:{HEADER})", text[len(opening):]):
        if m["section"]:
            out += [block("@}")] * section
            out.append(block(f"@defgroup {group(room, m['section'])} "
                             f"{m['section']}\n@{{"))
            section = True
        elif m["declaration"]:
            text, behind = m["declaration"], words(m["behind"] or "")
            name = re.match(r"(?!typedef)[^{]*?\b(rill_\w+)\(", text)
            out.append(describe_function(name[1], behind) + text if name
                       else describe_type(text, before, behind))
        elif m["preprocessor"]:
            macro = before and m["preprocessor"].startswith("#define")
            out.append((block(paragraphs(before)) if macro else "")
                       + m["preprocessor"])
        elif m["other"]:
            out.append(m["other"])
        if not (m["preprocessor"] or "").startswith("#define"):
            before = words(m["comment"] or "")
    out += [block("@}")] * (section + 1)
    return "\n".join(out)


print(header(sys.argv[1]))
