"""What SPSS syntax says of variables: VARIABLE LABELS, VALUE LABELS and MISSING VALUES, nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMMAND = re.compile(r"^\s*(variable labels?|value labels?|missing values?)\b", re.IGNORECASE)
_TOKEN = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|([^\s'\"/,()]+)|([/()])")


@dataclass
class Declared:
    """Label of a variable, labels of its codes, and the codes declared missing."""

    label: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


def read_syntax(text: str) -> dict[str, Declared]:
    """What the syntax declares, by variable in lower case; other commands are passed over.

    Examples
    --------
    >>> read_syntax("VALUE LABELS q1 1 'no' 2 'yes'.")["q1"].labels
    {'1': 'no', '2': 'yes'}
    """
    found: dict[str, Declared] = {}
    for command, body in _commands(text):
        tokens = [_token(match) for match in _TOKEN.finditer(body)]
        if command.startswith("variable"):
            _variable_labels(tokens, found)
        elif command.startswith("value"):
            _value_labels(tokens, found)
        else:
            _missing_values(tokens, found)
    return found


def _commands(text: str) -> list[tuple[str, str]]:
    """Commands that matter with their bodies; a command ends with a full stop at a line's end, or a blank line."""
    commands: list[tuple[str, list[str]]] = []
    is_open = False
    for line in text.splitlines():
        match = _COMMAND.match(line)
        if match:
            commands.append((match.group(1).lower(), []))
            line, is_open = line[match.end() :], True
        elif not line.strip():
            is_open = False
        if is_open:
            commands[-1][1].append(line.rstrip())
            is_open = not line.rstrip().endswith(".")
    return [(command, "\n".join(lines).rstrip().removesuffix(".")) for command, lines in commands]


def _token(match: re.Match) -> tuple[str, bool]:
    """A token's text and whether it was quoted."""
    single, double, bare, mark = match.groups()
    if single is not None:
        return single.replace("''", "'"), True
    if double is not None:
        return double.replace('""', '"'), True
    return (bare or mark), False


def _variable_labels(tokens: list[tuple[str, bool]], found: dict[str, Declared]) -> None:
    name = ""
    for text, quoted in tokens:
        if quoted and name:
            _of(found, name).label, name = text, ""
        elif not quoted and text != "/":
            name = text


def _value_labels(tokens: list[tuple[str, bool]], found: dict[str, Declared]) -> None:
    names: list[str] = []
    code: str | None = None
    started = False
    for text, quoted in tokens:
        if not quoted and text == "/":
            names, code, started = [], None, False
        elif quoted and code is not None:
            for name in names:
                _of(found, name).labels[code] = text
            code, started = None, True
        elif quoted or started or (names and _is_number(text)):
            code = text
        else:
            names.append(text)


def _missing_values(tokens: list[tuple[str, bool]], found: dict[str, Declared]) -> None:
    names: list[str] = []
    inside = False
    for text, quoted in tokens:
        if not quoted and text == "(":
            inside = True
        elif not quoted and text == ")":
            names, inside = [], False
        elif inside:
            for name in names:
                _of(found, name).missing.add(text)
        elif text != "/":
            names.append(text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text) is not None


def _of(found: dict[str, Declared], name: str) -> Declared:
    return found.setdefault(name.lower(), Declared())
