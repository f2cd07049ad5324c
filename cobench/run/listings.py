"""What the command line prints about files: who has sent what, what was put aside, what is to be chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cobench.declared import Text
from cobench.ingest.batches import RawFile
from cobench.ingest.receive import STATES, Received

MANY_SCHOOLS = 60
MANY_KINDS = 8  # more don't fit beside the schools' names
_COLOURS = {"received": "green", "missing": "red", "duplicate": "yellow", "unreadable": "magenta"}
_NOT_OWED = "—"


def print_received(received: Received, console: Console, language: str) -> None:
    """Schools by expected files; of many schools or kinds only where something is owed, and the counts of all."""
    _print_counts(received, console, language)
    status = received.status[received.status["school"] != ""]
    if len(status):
        kinds = list(dict.fromkeys(status["kind"]))
        wide = status.pivot(index=["school", "name"], columns="kind", values="state")[kinds]
        owed = wide.notna() & wide.ne("received")
        shown = wide if len(wide) <= MANY_SCHOOLS else wide[owed.any(axis=1)]
        if len(kinds) > MANY_KINDS:
            shown = wide.loc[owed.any(axis=1), owed.any(axis=0)]
            kinds = list(shown)
        table = Table(title=_say(language, "各校材料", "files by school"), title_justify="left")
        table.add_column(_say(language, "学校", "school"), overflow="fold")
        for kind in kinds:
            table.add_column(escape(kind))
        for (school, name), row in shown.iterrows():
            table.add_row(escape(f"{school} {name}"), *(_state(each, language) for each in row))
        if len(shown):
            console.print(table)
    for row in received.problems.to_dict("records"):
        who = f"{row['school']} {row['name']}".strip() or _say(language, "全区", "district")
        if row["state"] != "missing":
            why = escape(
                f"{row[f'why_{language}']}  {row['file'] if row['state'] == 'duplicate' else ''}".rstrip()
            )
            console.print(
                f"{_state(row['state'], language)} {escape(who)} · {escape(row['kind'])}: {why}",
                soft_wrap=True,
            )
    for row in received.stray.to_dict("records"):
        why = escape(row["why_zh" if language == "zh" else "why_en"])
        console.print(f"[dim]?[/dim] {escape(row['file'])}: {why}", soft_wrap=True)


def _print_counts(received: Received, console: Console, language: str) -> None:
    table = Table(title=_say(language, "各类材料", "files by kind"), title_justify="left")
    table.add_column(_say(language, "材料", "kind"))
    for state in STATES:
        table.add_column(STATES[state][language], justify="right")
    table.add_column(_say(language, "应收", "expected"), justify="right")
    for kind, own in received.status.groupby("kind", sort=False):
        counts = own["state"].value_counts()
        table.add_row(escape(kind), *(str(counts.get(state, 0)) for state in STATES), str(len(own)))
    console.print(table)


def print_quarantine(listed: pd.DataFrame, console: Console, language: str) -> None:
    """Rows put aside by file and rule with the way out; no values."""
    if not len(listed):
        console.print(_say(language, "没有搁置的行。", "Nothing is put aside."))
        return
    table = Table(title=_say(language, "搁置的行与单元格", "rows and cells put aside"), title_justify="left")
    heads = [
        ("文件", "file"),
        ("列", "column"),
        ("规则", "rule"),
        ("数量", "n"),
        ("行", "rows"),
        ("如何更正", "how to mend it"),
    ]
    for zh, en in heads:
        table.add_column(_say(language, zh, en), overflow="fold", justify="right" if en == "n" else "left")
    for row in listed.to_dict("records"):
        file = "/".join(row["file"].split("/")[-2:])
        cells = (file, row["column"], row["rule"], str(row["n"]), row["rows"], row[f"hint_{language}"])
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)


def print_values(frame: pd.DataFrame, console: Console, language: str) -> None:
    """Each row put aside with what it holds, for its owner's eyes."""
    for row in frame.to_dict("records"):
        values = "  ".join(f"{name}={value}" for name, value in json.loads(row["values"]).items() if value)
        where = f"{row['file']} {row['sheet']} {_say(language, '行', 'row')} {row['row']} · {row['rule']}"
        console.print(f"[bold]{escape(where)}[/bold]\n  {escape(values)}", soft_wrap=True)


def print_groups(
    groups: Sequence[Sequence[RawFile]], settled: dict[str, str], console: Console, language: str
) -> None:
    """Files sent again, and which of them counts."""
    if not groups:
        console.print(
            _say(language, "没有重复报送而内容不同的文件。", "No file was sent twice with different content.")
        )
    for group in groups:
        open_ = [raw for raw in group if raw.label not in settled]
        for raw in group:
            if raw.label in settled:
                mark = _say(language, "已被替代", "superseded")
            else:
                mark = (
                    _say(language, "采用", "counts")
                    if len(open_) == 1
                    else _say(language, "待选择", "to be chosen")
                )
            console.print(f"{mark}  {escape(raw.label)}", soft_wrap=True)
        console.print()


def _state(state: object, language: str) -> str:
    if not isinstance(state, str):
        return f"[dim]{_NOT_OWED}[/dim]"
    return f"[{_COLOURS[state]}]{STATES[state][language]}[/]"


def _say(language: str, zh: str, en: str) -> str:
    return Text(zh, en)[language]
