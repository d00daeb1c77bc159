"""Reading the fenced code blocks of the documentation."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

SHELL = ("sh", "bash", "console")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. language: what stands after the fence, '' for none. line: of the fence, from 1."""

    page: Path
    language: str
    line: int
    body: str


@dataclass(frozen=True)
class Command:
    """One command of a shell block, without its comment. line: where it begins in the page, from 1."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits them."""
        return shlex.split(self.text)


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text()
    return [
        Block(page, found["language"], text.count("\n", 0, found.start()) + 1, found["body"])
        for found in _FENCE.finditer(text)
    ]


def commands(page: Path) -> list[Command]:
    """The commands of a page's shell blocks: lines joined at backslashes, parts of `a && b` by themselves."""
    found = []
    for block in blocks(page):
        if block.language in SHELL:
            waiting, began = "", 0
            for number, line in enumerate(block.body.splitlines(), block.line + 1):
                began = began if waiting else number
                waiting += line.strip().removesuffix("\\")
                if not line.rstrip().endswith("\\"):
                    found += [Command(page, began, text) for text in _simple(waiting)]
                    waiting = ""
    return found


def _simple(line: str) -> list[str]:
    """The commands of a line without comments; a '#' counts as a comment outside of quotes only."""
    words = shlex.shlex(line, posix=False, punctuation_chars="&|;")
    words.commenters, words.whitespace_split, words.quotes = "#", True, "'\""
    parts: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("&|;"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [" ".join(part) for part in parts if part]


def files_of(page: Path) -> dict[str, str]:
    """The files that a page asks to be written: blocks whose first line is `# name.ext`."""
    found = {}
    for block in blocks(page):
        name = re.match(r"# ([\w.]+\.(?:py|yaml))\b", block.body)
        if name and block.language in ("python", "yaml"):
            found[name[1]] = block.body
    return found
