"""Code books: which question is which item, which options it has, what counts as missing. They are contracts."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cobench.declared import Text, build
from cobench.errors import StudyFileError
from cobench.ingest.text import clean_text, header_key

MissingReason = Literal["blank", "skipped", "dont_know"]


@dataclass(frozen=True)
class Item:
    """One question or matrix row; ``header`` is the column header of the export. Text items are never stored."""

    id: str
    header: str
    label: Text
    options: str | None = None
    kind: Literal["choice", "text"] = "choice"


@dataclass(frozen=True)
class Identify:
    """Numbers of the questions that say whose questionnaire it is."""

    school: str | None = None
    class_: str | None = field(default=None, metadata={"key": "class"})
    name: str | None = None


@dataclass(frozen=True)
class _CodebookFile:
    instrument: str
    version: str
    respondent: Literal["parent", "student", "teacher"]
    items: tuple[Item, ...]
    options: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: dict[str, MissingReason] = field(default_factory=dict)
    identify: Identify = Identify()


@dataclass(frozen=True)
class Codebook:
    """A questionnaire: items in the order of its columns, and the value of every option text."""

    instrument: str
    version: str
    respondent: str
    items: tuple[Item, ...]
    options: dict[str, dict[str, float]]
    missing: dict[str, str]
    identify: Identify

    @property
    def coded(self) -> tuple[Item, ...]:
        """Items with options."""
        return tuple(item for item in self.items if item.kind == "choice")

    def values(self, item: Item) -> dict[str, float]:
        """Value of each option text of ``item``."""
        return self.options[item.options or ""]

    def wordings(self, item: Item) -> dict[str, str]:
        """Option text of the code book by its cleaned form, in which exports are compared."""
        return {clean_text(text): text for text in self.values(item)}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest option value of every coded item."""
        return {
            item.id: (min(self.values(item).values()), max(self.values(item).values())) for item in self.coded
        }


def load_codebook(path: Path) -> Codebook:
    """Read and check a code book.

    Raises
    ------
    StudyFileError
        When it is absent, no TOML, holds unknown keys, a dangling option list, or an item or header twice.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyFileError(
            en=f"code book {path.name} is not there; write it or mend instruments.*.codebook",
            zh=f"编码表 {path.name} 不存在；请编写，或修正 instruments.*.codebook",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(
            en=f"code book {path.name} can't be read: {error}; save it as UTF-8 and mend the line named",
            zh=f"编码表 {path.name} 无法读取：{error}；请以 UTF-8 保存并修正所指的行",
        ) from None
    declared = build(_CodebookFile, data, "")
    _check_items(path.name, declared)
    return Codebook(
        declared.instrument,
        declared.version,
        declared.respondent,
        declared.items,
        {name: _checked(path.name, name, values) for name, values in declared.options.items()},
        {clean_text(text): reason for text, reason in declared.missing.items()},
        declared.identify,
    )


def _check_items(name: str, declared: _CodebookFile) -> None:
    for item in declared.items:
        if item.kind == "choice" and not declared.options.get(item.options or ""):
            raise StudyFileError(
                en=f"code book {name}, item {item.id}: options {item.options!r} are not declared; "
                f"declared: {', '.join(declared.options)}",
                zh=f"编码表 {name} 题目 {item.id}：未声明选项 {item.options!r}；已声明：{', '.join(declared.options)}",
            )
    for what, values in (
        ("id", [item.id for item in declared.items]),
        ("header", [header_key(item.header) for item in declared.items]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise StudyFileError(
                en=f"code book {name}: {what} {twice[0]!r} stands more than once",
                zh=f"编码表 {name}：{what} {twice[0]!r} 重复出现",
            )


def _checked(name: str, options: str, values: dict[str, float]) -> dict[str, float]:
    if len({clean_text(text) for text in values}) != len(values):
        raise StudyFileError(
            en=f"code book {name}: options.{options} lists one text twice",
            zh=f"编码表 {name}：options.{options} 中有重复的选项文字",
        )
    unsaid = [text for text, value in values.items() if math.isnan(value)]
    if unsaid:
        raise StudyFileError(
            en=f"code book {name}: options.{options} has no value yet for {' | '.join(unsaid)}; replace nan, which "
            "is never guessed",
            zh=f"编码表 {name}：options.{options} 中 {' | '.join(unsaid)} 尚未赋值；请将 nan 改为分值，软件不会猜测",
        )
    return {text: float(value) for text, value in values.items()}
