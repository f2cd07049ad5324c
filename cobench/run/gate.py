"""What stands between finished reports and readers: identifiers, machine paths, and small counts over all of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cobench.errors import ReleaseError
from cobench.release import ledger
from cobench.release.files import text_of
from cobench.release.ledger import Find
from cobench.release.structure import Key, Registered
from cobench.run.execute import Outcome
from cobench.run.page_data import unpacked
from cobench.run.words import phrase
from cobench.study import Study

Scan = Callable[[str, Path], Sequence[object]]
DOWNLOADS = "downloads"
_EMBEDDED = re.compile(r"(data:(?:image|font)/[\w.+-]+;base64,)[A-Za-z0-9+/=\s]+")


@dataclass(frozen=True)
class Passed:
    """What the audit of a term let through: outcomes, the tables that readers will see, whether downloads may go."""

    outcomes: list[Outcome]
    tables: list[Registered]
    downloads: bool


def visible(html: str) -> str:
    """A page without its embedded images and fonts, and with its data as text."""
    return _EMBEDDED.sub(r"\1", unpacked(html))


def remembered(scan: Scan) -> Scan:
    """``scan``, which looks through the same text under the same path once."""
    found: dict[tuple[bytes, Path], list] = {}

    def look(text: str, path: Path) -> list:
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), path
        if key not in found:
            found[key] = list(scan(text, path))
        return found[key]

    return look


def check_page(outcome: Outcome, scan: Scan, study: Study) -> Outcome:
    """Withhold a finished page in which the release check, or a look for machine paths, finds anything."""
    if outcome.state != "ok":
        return outcome
    html = visible(outcome.page.read_text(encoding="utf-8"))
    findings = list(scan(html, Path(outcome.report.path)))
    if findings:
        reason = phrase("reason.scan", count=len(findings))
        detail = "\n".join(str(finding) for finding in findings)
        return replace(outcome, state="withheld", reason=reason, detail=detail)
    if str(study.root) in html:
        return replace(
            outcome, state="withheld", reason=phrase("reason.machine_path"), detail=str(study.root)
        )
    return outcome


def check_text(text: str, name: str, scan: Scan, study: Study) -> None:
    """Refuse to publish anything if the index, ``run.json`` or a data file holds what must not be public.

    Raises
    ------
    ReleaseError
        Naming the file, never what was found.
    """
    text = visible(text)
    findings = list(scan(text, Path(name)))
    if findings or str(study.root) in text:
        raise ReleaseError(
            en=f"{name} holds {max(len(findings), 1)} item(s) that must not be public; check school names, labels "
            "and report titles. Nothing was published",
            zh=f"{name} 含有 {max(len(findings), 1)} 处不应公开的内容；请检查学校名称、标签和报告标题。未发布任何页面",
        )


def check_file(path: Path, name: str, scan: Scan, study: Study) -> None:
    """:func:`check_text` for a data file that is to be published as ``name``."""
    check_text(text_of(path), name, scan, study)


def audit_term(
    outcomes: Sequence[Outcome],
    downloads: Sequence[Registered],
    min_cell: int,
    published: Mapping[Key, Sequence[int]],
    beside: Mapping[str, Path] | None = None,
) -> Passed:
    """Withhold reports that give a small count away, together with the others or with earlier editions.

    ``beside`` are the ledgers of published pages that this run leaves as they are; readers have them too.
    """
    there = {name: ledger.read_tables(path) for name, path in (beside or {}).items()}
    released = {
        outcome.report.path: ledger.read_tables(outcome.ledger)
        for outcome in outcomes
        if outcome.state == "ok" and outcome.ledger is not None
    }
    finds = {
        find.report: find
        for find in ledger.audit({**there, DOWNLOADS: downloads, **released}, min_cell, published)
    }
    judged = [_withheld(outcome, finds.get(outcome.report.path)) for outcome in outcomes]
    kept = [table for name, tables in released.items() if name not in finds for table in tables]
    safe = DOWNLOADS not in finds
    return Passed(judged, [*kept, *(downloads if safe else ())], safe)


def _withheld(outcome: Outcome, find: Find | None) -> Outcome:
    if find is None:
        return outcome
    kind = "changes" if find.changes else "exposed"
    keys = find.changes or find.exposed
    detail = "\n".join(repr(key) for key in keys)
    reason = phrase(f"reason.{kind}", count=len(keys))
    return replace(outcome, state="withheld", reason=reason, detail=f"{kind}\n{detail}")
