"""The runbook as text: its documents, their headings, and the blocks of commands below each."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "infra"

# The block that comes before any other.
FIRST = "To begin with"


class Block(NamedTuple):
    document: str
    # The section, and the heading right above the block, which may be the same.
    section: str
    heading: str
    line: int
    commands: str


def documents():
    """The text of each document, by its path below infra/."""
    paths = [FOLDER / "RUNBOOK.md", *sorted((FOLDER / "runbook").glob("*.md"))]
    return {str(path.relative_to(FOLDER)): path.read_text() for path in paths}


def blocks(texts):
    """The blocks of commands, in the order of the documents."""
    found = []
    for document, text in texts.items():
        section = heading = ""
        begun = None
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            if begun is not None:
                if line == "```":
                    found.append(Block(document, section, heading, begun, "\n".join(lines[begun : number - 1])))
                    begun = None
            elif line == "```sh":
                begun = number
            elif title := re.fullmatch(r"(##+) (.*)", line):
                section, heading = (title[2] if title[1] == "##" else section), title[2]
    return found


def procedure(texts, *headings):
    """The commands below some headings, after the first block, for one shell."""
    everything = blocks(texts)
    chosen = [[block.commands for block in everything if block.heading == heading] for heading in (FIRST, *headings)]
    missing = [heading for heading, commands in zip((FIRST, *headings), chosen) if not commands]
    if missing:
        raise KeyError(f"the runbook has no commands under {missing}")
    return "\n".join(command for commands in chosen for command in commands)


def said_to_be_tested(texts):
    """The headings whose text says that they are tested."""
    found, heading = set(), ""
    for text in texts.values():
        for line in text.splitlines():
            if title := re.fullmatch(r"##+ (.*)", line):
                heading = title[1]
            elif "*Tested.*" in line:
                found.add(heading)
    return found


def slug(heading):
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
