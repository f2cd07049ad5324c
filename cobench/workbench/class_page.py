"""Class pages: whom to visit next, with names. Written below ``private/`` only, for the class teacher, never published."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pandas as pd

from cobench import store
from cobench.declared import Text
from cobench.errors import ReleaseError
from cobench.files import write_text
from cobench.ingest.identities import read_identities
from cobench.monitor.next_families import next_families
from cobench.release import escape_html
from cobench.show import say, study_labels
from cobench.show.labels import Labels
from cobench.study import Study, Term

_STYLE = (
    "body{font-family:'Noto Sans SC','PingFang SC','Microsoft YaHei',sans-serif;max-width:62em;margin:2em auto;"
    "padding:0 1em;line-height:1.6;color:#1f2933;background:#fff}"
    "table{border-collapse:collapse;width:100%;font-size:.95em}"
    "th,td{text-align:left;padding:.35em .8em .35em 0;border-bottom:1px solid #d9dee3;vertical-align:top}"
    "th{border-bottom:1.5px solid #5f6b76}.private{border:2px solid #a33;padding:.6em 1em}"
    "@media print{body{margin:0}}"
)
_HEADS = ("order", "name", "why", "categories", "last_at_home", "last_contact", "agreed")


def write_class_pages(
    study: Study,
    term: Term,
    language: str,
    *,
    of: str = "",
    as_of: date | None = None,
) -> list[Path]:
    """Write ``private/classes/<term>/<class>.html`` for each class (``of`` a school, or one); pages of names and dates.

    Raises
    ------
    ReleaseError
        When there is no such class, naming the way out.
    """
    terms = [each.id for each in study.school_year_terms(term.id)]
    frames = {
        "enrolments": store.read_table(study, "enrolments", [term.id]),
        "memberships": store.read_table(study, "memberships", [term.id]),
        "contacts": store.read_table(study, "contacts", terms),
    }
    rows = next_families(study, term, frames, as_of)
    owner = frames["enrolments"].drop_duplicates("class_id").set_index("class_id")["school"]
    wanted = [each for each in sorted(rows["class_id"].dropna().unique()) if of in ("", each, owner[each])]
    if not wanted:
        asked = of or term.id
        raise ReleaseError(
            en=f"no class {asked} in term {term.id}; a class is written like S01-2022-2, a school like S01",
            zh=f"学期 {term.id} 没有班级 {asked}；班级写作 S01-2022-2，学校写作 S01",
        )
    names = read_identities(study, [term.id], ["student", "name"]).drop_duplicates("student")
    named = rows.merge(names, on="student", how="left", validate="1:1")
    folder = store.private_dir(study, "classes", term.id)
    paths = []
    for each in wanted:
        path = folder / f"{each}.html"
        text = class_html(named[named["class_id"] == each], study, term, each, language, as_of or term.end)
        write_text(path, text)
        path.chmod(0o600)
        paths.append(path)
    return paths


def told_class_pages(study: Study, term_id: str, language: str, of: str = "") -> str:
    """Write class pages and say where."""
    paths = write_class_pages(study, study.term(term_id), language, of=of)
    where = os.path.relpath(paths[0].parent)
    said = Text(
        f"班级页 {len(paths)} 份（含姓名，不得外传）：{where}",
        f"{len(paths)} class pages (they hold names, keep them private): {where}",
    )
    return said[language]


def class_html(
    rows: pd.DataFrame, study: Study, term: Term, class_id: str, language: str, as_of: date
) -> str:
    """The page of one class; ``rows`` are those of :func:`next_families` with ``name``."""
    labels = study_labels(study)
    title = say(
        "class_page.title", language, class_id=class_id, term=term.name(language), day=as_of.isoformat()
    )
    overdue, agreed = int(rows["n_overdue"].sum()), int(rows["n_agreed"].sum())
    lede = say("class_page.lede", language, n=len(rows), agreed=agreed, overdue=overdue)
    heads = "".join(
        f'<th scope="col">{escape_html(say(f"class_page.{head}", language))}</th>' for head in _HEADS
    )
    body = "".join(_line(i, row, labels, language) for i, row in enumerate(rows.itertuples(), start=1))
    private = escape_html(say("class_page.private", language))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{escape_html(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape_html(title)}</h1>"
        f'<p class="private">{private}</p><p>{escape_html(lede)}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{escape_html(say('class_page.no_claim', language))}</p></body></html>"
    )


def _line(number: int, row, labels: Labels, language: str) -> str:
    categories = "、".join(labels.text("category", each, language) for each in str(row.categories).split())
    last = "–"
    if pd.notna(row.last_contact):
        last = f"{row.last_contact.date().isoformat()} {labels.text('mode', row.last_mode, language)}"
    agreed = "–"
    if row.n_agreed:
        late = say("class_page.overdue_by", language, n=row.n_overdue) if row.n_overdue else ""
        agreed = f"{row.follow_up_due.date().isoformat()} {late}".strip()
    at_home = row.last_at_home.date().isoformat() if pd.notna(row.last_at_home) else "–"
    name = row.name if isinstance(row.name, str) else "?"
    cells = [
        str(number),
        name,
        say(f"class_page.{row.reason}", language),
        categories or "–",
        at_home,
        last,
        agreed,
    ]
    return "<tr>" + "".join(f"<td>{escape_html(cell)}</td>" for cell in cells) + "</tr>"
