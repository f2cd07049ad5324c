"""``reports/<term>/index.html``: every report of a term, in both languages on one page, from the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cobench.declared import Text
from cobench.run import page_data
from cobench.run.render import PageContext, compose, short_hash
from cobench.run.words import phrase
from cobench.show.wording import number

_DATA = "/*data*/"
STATES = ("ok", "stale", "failed", "withheld")
_WORST_FIRST = ("failed", "withheld", "stale", "ok")
SCHOOL_COLUMNS = ("visit_coverage", "change", "lecture_attendance", "standards_met")


@dataclass(frozen=True)
class Page:
    """One language of a report."""

    language: str
    file: str
    state: str
    reason: Text | None
    earlier: str | None


@dataclass(frozen=True)
class Group:
    """A report in all its languages."""

    id: str
    title: Text
    about: Text | None
    kind: str
    each: str | None
    member: str | None
    pages: tuple[Page, ...]

    @property
    def state(self) -> str:
        states = {page.state for page in self.pages}
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def reasons(self) -> tuple[Text, ...]:
        """Why pages are missing, each reason once."""
        return tuple(dict.fromkeys(page.reason for page in self.pages if page.reason))

    def page(self, language: str) -> Page:
        """The page in ``language``, else the one there is."""
        return next((page for page in self.pages if page.language == language), self.pages[0])


@dataclass(frozen=True)
class SchoolRow:
    """A school of the table: its name, formatted cells and its reports."""

    id: str
    name: str
    cells: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def state(self) -> str:
        return next((state for state in _WORST_FIRST if any(g.state == state for g in self.groups)), "ok")


def render_index(
    manifest: Mapping[str, Any],
    *,
    context: PageContext,
    language: str,
    schools: pd.DataFrame | None = None,
    downloads: Mapping[str, Text] | None = None,
) -> str:
    """The index of a term.

    Parameters
    ----------
    manifest : content of ``run.json``.
    language : the one shown first; a button on the page changes it.
    schools : released figures, one row a school, with ``school`` and ``name`` and any of
        ``visit_coverage`` and ``lecture_attendance`` (shares from 0 to 1), ``change`` (of the coverage on last
        term, in percentage points; see :func:`with_change`), ``standards_met`` and ``standards_judged`` (counts). A missing value is shown as a dash.
    downloads : label by file name, for data files in the same folder.
    """
    groups = grouped([_judged(entry, manifest) for entry in manifest["reports"]], manifest["finished"])
    by_school = [group for group in groups if group.each == "school"]
    columns = [name for name in SCHOOL_COLUMNS if schools is not None and name in schools]
    title = Text(*(f"{context.study[each]} · {context.term_label[each]}" for each in ("zh", "en")))
    rows = school_rows(by_school, schools, columns)
    html = compose(
        "index.html.j2",
        language,
        script="index.js",
        context=context,
        title=title,
        cards=[group for group in groups if group.each != "school"],
        columns=columns,
        rows=rows,
        states=STATES,
        data=_DATA,
        kinds=_kinds(groups),
        counts=_counts(groups),
        downloads=downloads or {},
        footer=_footer(manifest),
        phrase=phrase,
    )
    printed = [{"school": row.id} | dict(zip(columns, row.cells, strict=True)) for row in rows]
    facts = {"page": "index.html", "term": context.term, "schools": printed}
    main = html[html.index("<main") : html.index("</main>")]
    return html.replace(_DATA, page_data.block(page_data.Carried({}, {}), facts, main), 1)


def with_change(schools: pd.DataFrame | None, last_index: Path) -> pd.DataFrame | None:
    """``schools`` with the ``change`` of their visit coverage on what ``last_index`` printed.

    Both sides are taken as printed, to a tenth of a point, so the column says nothing that a reader of both indexes
    could not work out. Without an index of last term there is no column.
    """
    if schools is None or "visit_coverage" not in schools or not last_index.is_file():
        return schools
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(last_index.read_text(encoding="utf-8"), "html.parser")
    printed = (page_data.read_block(soup) or {}).get("schools", [])
    then = {row["school"]: row["visit_coverage"] for row in printed if row.get("visit_coverage")}
    if not then:
        return schools
    before = pd.to_numeric(schools["school"].map(then))
    return schools.assign(change=(100 * schools["visit_coverage"]).round(1) - before)


def _judged(entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page kept from an earlier run is stale where what it was made from has changed since."""
    made_from = entry.get("inputs")
    if entry["state"] != "ok" or not made_from:
        return entry
    changed = [name for name, value in inputs_of(manifest).items() if made_from.get(name) != value]
    if not changed:
        return entry
    return {**entry, "state": "stale", "reason": vars(phrase(f"stale.{changed[0]}"))}


def states_of(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Pages of a ``run.json`` by state; stale ones are told from those that are up to date."""
    states = [_judged(entry, manifest)["state"] for entry in manifest["reports"]]
    return {state: states.count(state) for state in STATES}


def inputs_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What decides whether a page that is kept from the run of ``manifest`` is stale."""
    return {
        "data": manifest["raw_files_sha256"],
        "settings": manifest["settings"],
        "cobench": manifest["versions"].get("cobench"),
    }


def _counts(groups: Sequence[Group]) -> dict[str, int]:
    states = [page.state for group in groups for page in group.pages]
    return {state: states.count(state) for state in STATES}


def grouped(entries: Sequence[Mapping[str, Any]], finished: str) -> list[Group]:
    """Manifest entries by report, in their order; pages kept from an earlier day carry that date."""
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_id.setdefault(entry["id"], []).append(entry)
    return [_group(same, finished) for same in by_id.values()]


def _group(entries: list[Mapping[str, Any]], finished: str) -> Group:
    first = entries[0]
    pages = tuple(
        Page(
            language=entry["language"],
            file=entry["page"],
            state=entry["state"],
            reason=Text(**entry["reason"]) if entry["reason"] else None,
            earlier=entry["finished"][:10] if entry.get("carried_over") else None,
        )
        for entry in sorted(entries, key=lambda entry: entry["language"], reverse=True)
    )
    return Group(
        id=first["id"],
        title=Text(**first["title"]),
        about=Text(**first["about"]) if first["about"] else None,
        kind=first["notebook"].rsplit("/", 1)[-1].removesuffix(".ipynb"),
        each=first["each"],
        member=first["member"],
        pages=pages,
    )


def school_rows(
    groups: Sequence[Group], schools: pd.DataFrame | None, columns: Sequence[str]
) -> list[SchoolRow]:
    """A row for every school that has a report or figures, by school code."""
    figures = {} if schools is None else {str(row["school"]): row for row in schools.to_dict("records")}
    reported: dict[str, list[Group]] = {}
    for group in groups:
        reported.setdefault(str(group.member), []).append(group)
    return [
        SchoolRow(
            id=school,
            name=str(figures.get(school, {}).get("name", school)),
            cells=tuple(_cell(figures.get(school, {}), column) for column in columns),
            groups=tuple(reported.get(school, ())),
        )
        for school in sorted({*figures, *reported})
    ]


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None or pd.isna(value):
        return ""
    if column == "standards_met":
        judged = row.get("standards_judged")
        return (
            f"{int(value)} / {int(judged)}" if judged is not None and not pd.isna(judged) else f"{int(value)}"
        )
    if column == "change":
        return number(float(value), 1, signed=True)
    return f"{100 * float(value):.1f}"


def _kinds(groups: Sequence[Group]) -> dict[str, Text]:
    """A label for every notebook: its title where it makes one report, else its file name."""
    kinds: dict[str, Text] = {}
    for group in groups:
        label = group.title if group.each is None else Text(group.kind, group.kind)
        kinds.setdefault(group.kind, label)
    return kinds


def _footer(manifest: Mapping[str, Any]) -> dict[str, Any]:
    versions = manifest["versions"]
    shown = [
        name
        for name in ("cobench", "Python", "pandas", "numpy", "statsmodels", "pyfixest")
        if name in versions
    ]
    hashes = {"footer.raw_files": manifest["raw_files_sha256"]}
    if "study.toml" in manifest["settings"]:
        hashes["footer.study_file"] = manifest["settings"]["study.toml"]
    return {
        "versions": " · ".join(f"{name} {versions[name]}" for name in shown),
        "hashes": [(phrase(key), short_hash(digest)) for key, digest in hashes.items()],
        "how": phrase("footer.how", term=manifest["term"]),
    }
