"""How much Rust there is below some folders, and how it reads: size.py product|tests FOLDER…, one line of seven numbers.

Tokens; in 1,000 lines of code the values whose name says little, puns with `Option` and `bool`, and closures; of 100 functions those
not called by a verb; letters in a line; in 1,000 words of comments those like "that" and "which". Layout, comments, imports and what
is inside quotes do not count. A test is an item under `#[cfg(test)]`, a file called `tests.rs`, or one in a folder `tests`.
"""

import pathlib
import re
import subprocess
import sys

COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|b?r(#*)"(?:.|\n)*?"\1|b?"(?:\\.|[^"\\])*"', re.S)
CHARACTER = re.compile(r"'(?:\\.[^']*|[^'\\])'")
TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|::|->|=>|\S")
TRAILING_COMMA = re.compile(r",(?=\s*[)\]}])")
IMPORT = re.compile(r"^[ \t]*(?:pub )?use [^;]*;", re.M)
VISIBILITY = re.compile(r"\bpub\((?:crate|super|in [^)]*)\)")
TEST_ITEM = re.compile(r"^[ \t]*#\[cfg\((?:test|all\(test[^]]*)\)\]\n?", re.M)

VAGUE_VALUE = re.compile(
    r"(?<![\w.:])(?:of|it|by|at|is|one|each|all|own|other|others|such|them|their|theirs|to|on|left|more|known|told|then|few|again"
    r"|wanted|asked|found|made|item|thing|things|entry|data|stuff)(?![\w(!:])|\blet (?:mut )?[a-z]\b|\bfor [a-z] in\b"
)
FUNCTION = re.compile(r"\b(async )?fn (\w+)\s*(?:<[^(]*>)?\(([^{;]*?)\)\s*(->\s*[^{;]+?)?\s*(?:where\b|\{|;)", re.S)
SELF_ALONE = re.compile(r"(?:&self|self|&'a self|mut self)")
PARTICIPLE = re.compile(
    r"\w+ed|\w+ing|known|told|found|made|sent|given|taken|shown|seen|left|kept|held|written|gone|lost|begun|done|said|meant|born"
    r"|drawn|spent|paid|thought"
)
# They end like participles and are none.
NO_PARTICIPLES = set(
    "need feed seed embed shed speed exceed proceed succeed ping bring string ring sing sting thing spring king sling wing during"
    " spending listing reading setting heading billing building red bed sibling ceiling pending".split()
)
# What a function's name must not begin with; in tests the quantities may.
NO_VERBS = set(
    "of in at by for on without beside under before after since until among beyond unless within whose who why what how when where"
    " which whether nobody nothing everything everybody each all one another other such only more once again then first last newest"
    " later sooner anyway".split()
)
QUANTITIES = set("each all one nothing nobody another".split())
PUN = re.compile(
    r"\.filter\(\|_\||\.then\(|\.then_some\(|\.map_or(?:_else)?\(|^\s*_ if |^\s*let (?:mut )?\w+(?:: [^=;\n]+)?;\s*$", re.M
)
TUPLE = re.compile(r"let \((?:mut )?\w+, ")
CLOSURE = re.compile(r"(?<![|\w)])\|(?! )[\w, &():'<>\[\]]*\|(?!\|)")
WORD = re.compile(r"[A-Za-z']+")
RELATIVE = re.compile(r"\b(?:that|what|which|who|whose|whom|nobody|somebody|anybody|whoever)\b", re.I)


def main():
    half, *folders = sys.argv[1:]
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *(f"{folder}/*.rs" for folder in folders)]
    # A file that is deleted and not committed is still listed.
    paths = [path for path in map(pathlib.Path, subprocess.check_output(listed, text=True).splitlines()) if path.exists()]
    parts = [split(path, path.read_text(), half == "tests") for path in paths]
    code = "\n".join(line.strip() for part, _ in parts for line in part.split("\n") if line.strip())
    comments = "".join(part for _, part in parts)
    lines = code.count("\n") + 1
    functions = vague = 0
    for found in FUNCTION.finditer(code):
        is_getter = SELF_ALONE.fullmatch(found[3].strip().rstrip(",")) and not found[1] and "Result" not in (found[4] or "")
        if not is_getter:
            functions += 1
            vague += is_no_verb(found[2].split("_")[0], half == "tests")
    puns = len(PUN.findall(code)) + (len(TUPLE.findall(code)) if half == "product" else 0)
    columns = [
        1000 * len(VAGUE_VALUE.findall(code)) / lines,
        100 * vague / max(functions, 1),
        1000 * puns / lines,
        1000 * len(CLOSURE.findall(code)) / lines,
        (len(code) - lines + 1) / lines,
        1000 * len(RELATIVE.findall(comments)) / max(len(WORD.findall(comments)), 1),
    ]
    print(len(TOKEN.findall(TRAILING_COMMA.sub("", code))), *(f"{column:.1f}" for column in columns))


def split(path, text, is_tests):
    """One half of a file, as plain code and as its comments."""
    code = COMMENT_OR_TEXT.sub(blank, text)
    code = CHARACTER.sub(lambda found: "'c'" + " " * (len(found.group()) - 3), code)
    ranges = test_ranges(path, code)
    in_half = lambda place: is_tests == any(begin <= place < end for begin, end in ranges)
    edges = sorted({0, len(code), *(edge for range in ranges for edge in range)})
    kept = "".join(code[begin:end] for begin, end in zip(edges, edges[1:]) if in_half(begin))
    comments = [found for found in COMMENT_OR_TEXT.finditer(text) if found.group().startswith("/") and in_half(found.start())]
    return IMPORT.sub("", VISIBILITY.sub("pub", kept)), "".join(found.group() + "\n" for found in comments)


def blank(found):
    """As long as what was found, which is a comment or a text, and with nothing in it."""
    inside = re.sub(r"[^\n]", " ", found.group())
    return inside if found.group().startswith("/") else '""' + inside[2:]


def test_ranges(path, code):
    if path.name == "tests.rs" or "tests" in path.parts:
        return [(0, len(code))]
    ranges = []
    for found in TEST_ITEM.finditer(code):
        if not ranges or found.start() >= ranges[-1][1]:
            ranges.append((found.start(), end_of_item(code, found.end())))
    return ranges


def end_of_item(code, start):
    """After its closing brace, or after a semicolon outside of all brackets."""
    depth = 0
    for place in range(start, len(code)):
        depth += (code[place] in "{([") - (code[place] in "})]")
        if depth == 0 and code[place] in "};":
            return place + 1
    return len(code)


def is_no_verb(word, in_tests):
    is_quantity = in_tests and word in QUANTITIES
    is_participle = PARTICIPLE.fullmatch(word) and word not in NO_PARTICIPLES
    return bool(is_participle or word in NO_VERBS and not is_quantity)


main()
