"""Why a report is made anew, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cobench.declared import Text
from cobench.run.words import has, phrase

# Reasons from the one that explains most; several are named together.
_ORDER = (
    "notebook", "parameters", "code", "environment", "stage", "own", "table", "release", "file", "folder",
)  # fmt: skip
_KINDS = {"stage": "data", "own": "data", "table": "data", "file": "files", "folder": "files"}
_SHOWN = 4


def why(key: str, **slots: object) -> Text:
    """One reason."""
    return phrase(f"why.{key}", **slots)


def changed(reasons: Mapping[str, Sequence[str]]) -> Text:
    """All kinds of things that changed, with the names of what did."""
    joined: dict[str, list[str]] = {}
    for kind in sorted(reasons, key=_ORDER.index):
        joined.setdefault(_KINDS.get(kind, kind), []).extend(reasons[kind])
    told = [
        why(kind, what=Text(_listed(names, "zh"), _listed(names, "en"))) for kind, names in joined.items()
    ]
    return Text("；".join(each.zh for each in told), "; ".join(each.en for each in told))


def _listed(names: Sequence[str], language: str) -> str:
    unique = list(dict.fromkeys(names))
    shown = [_label(name, language) for name in unique[:_SHOWN]]
    if len(unique) > _SHOWN:
        shown.append(phrase("why.more", n=len(unique) - _SHOWN)[language])
    return ("、" if language == "zh" else ", ").join(shown)


def _label(name: str, language: str) -> str:
    key = f"frame.{name}"
    return phrase(key)[language] if has(key) else name
