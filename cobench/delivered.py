"""What is stored of each delivery, as the one manifest of ``data/processed`` names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cobench.files import write_text
from cobench.study import Study

FORMAT = 2


@dataclass(frozen=True)
class Part:
    """What one part of a delivery (the files of one table) has become.

    Attributes
    ----------
    key : str
        Hash of all that it was made from.
    tables : dict
        Table to term to ``{"file", "rows"}``.
    cells : tuple of str
        Cell files kept for it (:mod:`cobench.ingest.cells`).
    asked : bool
        Whether it looked at what earlier deliveries hold.
    """

    key: str
    tables: dict[str, dict[str, dict]]
    cells: tuple[str, ...] = ()
    asked: bool = False


@dataclass(frozen=True)
class Delivery:
    """All of one delivery.

    Attributes
    ----------
    key : str
        Hash of all that it was made from, earlier deliveries apart.
    parts : dict
        By name.
    private : dict
        Staged names of its private files by their place below ``private/``.
    earlier, key_id : str
        Hash of what earlier deliveries held, where a part looked at it; the pseudonym key it was made with.
    """

    key: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)
    earlier: str = ""
    key_id: str = ""


def processed_dir(study: Study) -> Path:
    """``data/processed`` of the study."""
    return study.root / "data" / "processed"


def read_deliveries(study: Study) -> dict[str, Delivery]:
    """What has been committed, by delivery."""
    path = _manifest_path(study)
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if content.get("format") != FORMAT:
        return {}
    return {
        name: Delivery(
            each["key"],
            {part: Part(**(of | {"cells": tuple(of["cells"])})) for part, of in each["parts"].items()},
            each["private"],
            each["earlier"],
            each.get("key_id", ""),
        )
        for name, each in content["deliveries"].items()
    }


def write_deliveries(study: Study, held: Mapping[str, Delivery]) -> None:
    """Replace the manifest, where it says anything else."""
    content = {
        "format": FORMAT,
        "deliveries": {
            name: {
                "key": each.key,
                "private": each.private,
                "earlier": each.earlier,
                "key_id": each.key_id,
                "parts": {part: vars(of) | {"cells": list(of.cells)} for part, of in each.parts.items()},
            }
            for name, each in held.items()
        },
    }
    path = _manifest_path(study)
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _manifest_path(study: Study) -> Path:
    return processed_dir(study) / "manifest.json"
