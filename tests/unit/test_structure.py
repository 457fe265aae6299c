"""The structure of `analyzer/`: class names, sizes of folders, files and functions, import cycles, words that were left behind.

Every allow-list may only shrink: an entry that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "analyzer"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FOLDER_MODULES = 15
LARGE_FOLDERS = frozenset({"connections", "report"})
SHARED_CLASS_NAMES = {
    "ExchangeLog": "one role in two protocols: the exchanges of a dialogue",
    "Payloads": "model: the protocol; capture: its implementation",
    "_Parser": "one role in three languages",
}
"""Class names of several modules, with the reason why each is still there."""
MAX_LEFT_WORDS = 20
"""Words of the right-hand column of docs/glossary.md in all modules; it may only be lowered."""
LEFT_WORDS = re.compile(
    r"\b(?:heard|hears?|hearing|listeners?|ears|told|tells?|asked|asks?|spoken|speaks|spoke|said|says|beside|ground|strangers?"
    r"|tangled|untangle|solid|veil|conceal|lifted|crew|team|desk|stretch|pieces?|cells|spots?|adrift|lent|nobody|whoever|knows itself"
    r"|let go|lets go|go(?:es)? at once|parted|jobs? checks?|particulars?|aggregates?|complaints?|remarks?|lockstep|standings?|whole job"
    r"|of the job|a job|the job|holed?|holes?|signs\b|cover(?:s|ed)?\b|recording|conversation|talks?|originator)\b",
    re.IGNORECASE,
)
"""Without `excused`, `turns` and the keys of `rules.renamed_keys`, which are public names of columns and keys."""


@cache
def modules() -> dict[str, tuple[str, ast.Module]]:
    """Return the text and the tree of every module by its path below `analyzer/`."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


def module_name(path: str) -> str:
    """Return the dotted name of the module at `path`."""
    parts = ("analyzer", *Path(path).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> dict[str, set[str]]:
    """Return the modules of `analyzer` that each one imports, those below TYPE_CHECKING and in functions included."""
    names = {module_name(path) for path in modules()}
    found: dict[str, set[str]] = {name: set() for name in names}
    for path, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = {f"{node.module}.{one.name}" for one in node.names}
                targets = inner & names or {node.module}
                targets |= {node.module} if inner - names else set()
            else:
                continue
            found[module_name(path)] |= targets & names - {module_name(path)}
    return found


def test_class_names_are_unique() -> None:
    """One class name stands for one idea."""
    counts = Counter(node.name for _, tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert {name for name, count in counts.items() if count > 1} == set(SHARED_CLASS_NAMES)


def test_folders_are_small() -> None:
    """No folder has more modules than a reader can survey."""
    counts = Counter(Path(path).parent.as_posix() for path in modules() if Path(path).name != "__init__.py")
    assert {folder for folder, count in counts.items() if count > MAX_FOLDER_MODULES} == LARGE_FOLDERS


def test_files_and_functions_are_short() -> None:
    """No file exceeds 400 lines, no function 60."""
    assert not [path for path, (text, _) in modules().items() if len(text.splitlines()) > MAX_FILE_LINES]
    functions = [
        (path, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for path, (_, tree) in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [one for one in functions if one[2] > MAX_FUNCTION_LINES]


def test_no_import_cycles() -> None:
    """Modules can be put in an order in which each imports earlier ones only."""
    left = imports()
    while ready := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in ready}
    assert not left


def test_left_words_become_fewer() -> None:
    """Words that the glossary replaced do not come back."""
    counts = {path: len(LEFT_WORDS.findall(text)) for path, (text, _) in modules().items() if path != "rules/renamed_keys.py"}
    assert sum(counts.values()) <= MAX_LEFT_WORDS, {path: count for path, count in counts.items() if count}
