"""The pages of the documentation: their links, headings, paths and code."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("todo_core", "todo_adapters", "todo_api", "migrations", "tests", "docs")
_PATH = re.compile(
    rf"(?:{'|'.join(_FOLDERS)})(?:/[\w.-]+)*/?|[\w./-]+\.(?:ini|md|py|toml|yaml|yml)"
)
_CAMEL_CASE = re.compile(r"(?:[A-Z][a-z]+){2,}(?:\.\w+)?")
_DOTTED = re.compile(r"[A-Za-z]\w*(?:\.\w+)+")
_WORD = re.compile(r"\w+")
_GENERATED = {"node_modules", "__pycache__"}


def pages() -> list[Path]:
    """Return all pages."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks in this language."""
    return [code for name, code in _FENCED.findall(text) if name == language]


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Return the relative links whose file or heading does not exist."""
    for target in _LINK.findall(_FENCED.sub("", text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(file.read_text() if name else text):
            yield f"{target}: there is no such heading"


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_paths(page: Path, text: str) -> Iterator[str]:
    """Return the code spans that look like a file of this repository but name none.

    A path may begin at the root, at the page, or, if it is the end of a longer one, anywhere:
    `http/problems.py`.
    """
    for code in _CODE.findall(_FENCED.sub("", text)):
        path = code.partition("::")[0]
        if _PATH.fullmatch(path) and not any(
            (
                (ROOT / path).exists(),
                (page.parent / path).exists(),
                any(f"/{file}".endswith(f"/{path}") for file in _files()),
            )
        ):
            yield path


def missing_in_diagrams(text: str) -> Iterator[str]:
    """Return the folders and modules in diagrams that exist nowhere in the repository."""
    for diagram in blocks(text, ""):
        for name in re.findall(r"(?<!\S)\w+(?:/|\.py)(?!\S)", diagram):
            if not any(f"/{name}" in f"/{file}" for file in _files()):
                yield name


def unknown_names(text: str) -> Iterator[str]:
    """Return the code spans that look like a name of the code or of an event but name none.

    These are names in camel case and names with dots. Every part of them must occur in the code.
    """
    for code in _CODE.findall(_FENCED.sub("", text)):
        is_name = _CAMEL_CASE.fullmatch(code) or _DOTTED.fullmatch(code)
        if not is_name or _PATH.fullmatch(code) or (ROOT / code).exists():
            continue
        if not _words().issuperset(code.split(".")):
            yield code


@cache
def _words() -> frozenset[str]:
    modules = [
        ROOT / file
        for file in _files()
        if file.endswith((".py", ".js")) and not file.startswith("tests/docs/")
    ]
    return frozenset(
        word for module in modules for word in (module.stem, *_WORD.findall(module.read_text()))
    )


@cache
def _files() -> frozenset[str]:
    found = (
        file.relative_to(ROOT).as_posix()
        for folder in _FOLDERS
        for file in (ROOT / folder).rglob("*")
        if not _GENERATED.intersection(file.parts)
    )
    return frozenset(found)
