"""The sources of ``study.toml``: which files, or which query, hold which table, and how to read them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

TableName = Literal[
    "schools",
    "students",
    "memberships",
    "contacts",
    "events",
    "attendance",
    "responses",
    "outcomes",
    "records",
    "checkins",
    "teaching",
    "communities",
    "postings",
    "tasks",
    "panel",
]

Platform = Literal[
    "wenjuanxing", "tencent", "jinshuju", "qualtrics", "kobo", "redcap", "spss", "stata", "table"
]
Encoding = Literal["utf-8", "gbk", "gb18030", "utf-16"]


@dataclass(frozen=True)
class Sql:
    """A query whose rows stand for a file; ``url`` is SQLAlchemy's, without a password.

    The password comes from the environment variable ``password_env``. The query may use ``:term``, ``:start``
    and ``:end`` of the term that is read.
    """

    url: str
    query: str
    password_env: str = "COBENCH_SQL_PASSWORD"

    @property
    def digest(self) -> str:
        """Short hash of address and query: what they return is a file of that name."""
        return hashlib.sha256(f"{self.url}\0{self.query}".encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Source:
    """One kind of raw file: where it lies, how its columns and labels map to a canonical table.

    ``files`` is a pattern, or ``sql`` a query. ``platform``, ``mode`` (options by text or by number) and
    ``encoding`` are recognised from the file where absent; ``answered_on`` dates questionnaires that carry no
    time of their own. ``expected`` says who owes it: every school (of ``stages``, where given), the district once,
    or nobody; ``terms`` in which terms it is owed, all where absent; ``several`` that one school may send several files, which all count. ``kind`` is what all rows of
    table ``records`` are, where no column says so; its ``measures`` are columns that hold one record each, named
    ``kind``, ``kind.item``, ``kind.month_9`` or ``kind.item.month_9`` (without ``kind.`` where it is given).
    """

    table: TableName
    files: str = ""
    sql: Sql | None = None
    platform: Platform | None = None
    mode: Literal["text", "number"] | None = None
    encoding: Encoding | None = None
    answered_on: date | None = None
    school: Literal["folder", "column", "sheet", "file"] | None = None
    expected: Literal["school", "district", "none"] | None = None
    stages: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    several: bool = False
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    levels: dict[str, dict[str, str | bool]] = field(default_factory=dict)
    instrument: str | None = None
    event_kind: str | None = None
    kind: str | None = None
    nil_values: tuple[str, ...] = ("无",)
    measures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    level_measures: tuple[str, ...] = ()
    level_values: dict[str, float] = field(default_factory=dict)
    measured_on: Literal["exam", "term_end"] = "exam"
    source: str | None = None
    key: tuple[str, ...] = ()
    derive: dict[str, str] = field(default_factory=dict)
    filter: str | None = None
    measured: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.expected is None:
            by_school = self.school in ("folder", "file")
            owed = "none" if self.sql is not None else "school" if by_school else "district"
            object.__setattr__(self, "expected", owed)

    @property
    def title(self) -> str:
        """What its files are called: the fixed part of the file name, 家访记录 of ``.../*/家访记录*.xlsx``."""
        stem = self.files.rsplit("/", 1)[-1].split(".")[0]
        parts = [part for part in re.split(r"[*?]+|\[.*?\]|\{\w+\}", stem) if part.strip("_- ")]
        return max(parts, key=len).strip("_- ") if parts else self.table

    def pattern(self, term_id: str) -> str:
        """Pattern of its files in a term, relative to the study; of a query, where its rows are kept."""
        if self.sql is not None:
            return f"data/raw/{term_id}/sql/{self.table}-{self.sql.digest}.parquet"
        return self.files.replace("{term}", term_id).replace("{school}", "*")
