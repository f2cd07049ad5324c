"""Is each report about its own school and term? What it read, what it released and what it shows must say so.

A loop over schools goes wrong in ways that leave every page well-formed: a school written into a cell, a variable left
over, figures of the report before. Three things are looked at once all reports of a term are there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cobench.release import ledger
from cobench.run.execute import Outcome
from cobench.run.words import phrase
from cobench.show.displayed import CARRIED_MIME
from cobench.show.figure import TABLE_MIME

_IMAGES = ("image/svg+xml", "image/png", "image/jpeg")

# Numbers that tell one school from another; 0, 3 of 5, a year or a date may well be the same in two.
_TELLING = re.compile(r"\d[\d,]*\.\d+|[1-9][\d,]*\d")
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?:-\d\d){0,2}(?!\d)")
_TAG = re.compile(r"<style>.*?</style>|<[^<>]*>", re.DOTALL)
# So many different ones that aren't on every school's page can't be the same in two schools by chance.
MANY = 4


@dataclass(frozen=True)
class Part:
    """One output of a page: its telling numbers (of a figure those of its table and description), and the image.

    An image is ``bare`` where no table stands behind it. ``schools`` are those that the rows of its tables name, empty where
    some table names none.
    """

    numbers: Counter[str]
    image: str = ""
    bare: bool = False
    schools: frozenset[str] = frozenset()


def check_reports(
    outcomes: Sequence[Outcome],
    *,
    term: str,
    also: Iterable[str] = (),
    populations: Mapping[str, object] | None = None,
) -> list[Outcome]:
    """Fail reports that are about another school or term than theirs, or the same as another school's.

    Parameters
    ----------
    term : the term of the run; ``also`` names terms that its reports may compare with.
    populations : something by school that tells whether two schools could have the same figures at all; by default
        no two could.

    Returns
    -------
    list of Outcome
        In the same order; wrong ones are ``failed``, with a reason, and can't be published.
    """
    found = {outcome.report.path: _strayed(outcome, term, frozenset(also)) for outcome in outcomes}
    for alike in _groups([each for each in outcomes if not found[each.report.path]]):
        found |= _repeated(alike, populations or {})
    return [_failed(each, *found[each.report.path]) if found[each.report.path] else each for each in outcomes]


def _strayed(outcome: Outcome, term: str, also: frozenset[str]) -> tuple[str, str] | None:
    """What a report read or released of a school or term that isn't its own."""
    if outcome.state != "ok":
        return None
    own = outcome.report.member if outcome.report.each == "school" else None
    for kind, *parts in outcome.reads or ():
        if kind in ("stage", "own") and parts[0] not in {term, *also}:
            return "other_term", f"read {parts[1]} of term {parts[0]}"
        if kind == "own" and own is not None and parts[2] != own:
            return "other_school", f"read {parts[1]} of school {parts[2]}"
    terms = {parts[0] for kind, *parts in outcome.reads or () if kind in ("stage", "own")}
    if terms and term not in terms:
        return "other_term", f"read terms {', '.join(sorted(terms))} and not its own"
    if own is not None and outcome.ledger is not None:
        for table in ledger.read_tables(outcome.ledger):
            schools = {value for count in table.counts for name, value in count.key[2] if name == "school"}
            if len(schools) == 1 and own not in schools:
                return "other_school", f"released a table of school {schools.pop()}"
    return None


def _groups(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Finished reports of one notebook and language over schools."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.state == "ok" and outcome.report.each == "school" and outcome.notebook is not None:
            groups.setdefault((outcome.report.kind, outcome.report.language), []).append(outcome)
    return [group for group in groups.values() if len(group) > 1]


def _repeated(group: Sequence[Outcome], populations: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Reports that show what another school's shows, where schools differ."""
    shown = {outcome.report.path: _parts(outcome.notebook) for outcome in group}
    school = {outcome.report.path: outcome.report.member for outcome in group}
    every = _on_every_page(list(shown.values()))
    if _all_the_same(list(shown.values())) and not _same(populations, set(school.values())):
        return dict.fromkeys(shown, ("same_page", "every school's page shows the same"))
    wrong: dict[str, tuple[str, str]] = {}
    for place, alike in [*_by_place(shown, every), *_by_image(shown)]:
        for paths in alike.values():
            others = {school[path] for path in paths}
            if len(others) > 1 and not _same(populations, others):
                told = ("same_figures", f"output {place}: schools {', '.join(sorted(others))}")
                # Rows that name their own school are about it: of many small schools some have the same few numbers.
                strange = [path for path in paths if shown[path][place - 1].schools != {school[path]}]
                wrong |= dict.fromkeys(strange, told)
    return wrong


def _by_place(
    shown: Mapping[str, Sequence[Part]], every: Counter[str]
) -> Iterable[tuple[int, dict[tuple[str, ...], list[str]]]]:
    """Pages by place of an output and its numbers, those on every page apart, where there are many of them."""
    found: dict[int, dict[tuple[str, ...], list[str]]] = {}
    for path, parts in shown.items():
        for place, part in enumerate(parts, start=1):
            own = part.numbers - every
            if len(own) >= MANY:
                found.setdefault(place, {}).setdefault(tuple(sorted(own.elements())), []).append(path)
    return found.items()


def _by_image(shown: Mapping[str, Sequence[Part]]) -> Iterable[tuple[int, dict[str, list[str]]]]:
    """Pages by place of a bare image and the image, but for those that every page shows."""
    found: dict[int, dict[str, list[str]]] = {}
    for path, parts in shown.items():
        for place, part in enumerate(parts, start=1):
            if part.bare and not all(
                any(part.image == each.image for each in page) for page in shown.values()
            ):
                found.setdefault(place, {}).setdefault(part.image, []).append(path)
    return found.items()


def _on_every_page(pages: Sequence[Sequence[Part]]) -> Counter[str]:
    """Numbers that all pages hold, as often as the one that holds them least."""
    totals = [sum((part.numbers for part in parts), Counter()) for parts in pages]
    common = totals[0]
    for total in totals[1:]:
        common = common & total
    return common


def _all_the_same(pages: Sequence[Sequence[Part]]) -> bool:
    """Whether all pages show the same telling numbers and images, and some."""
    first = pages[0]
    some = any(part.image for part in first) or len(sum((part.numbers for part in first), Counter())) >= MANY
    return some and all(list(parts) == list(first) for parts in pages[1:])


def _same(populations: Mapping[str, object], schools: set[str]) -> bool:
    """Whether schools are alike as far as is known, so that their figures may be."""
    known = [populations.get(school) for school in schools]
    return None not in known and len(set(map(repr, known))) == 1


def _parts(path: Path) -> list[Part]:
    """Outputs of an executed notebook as far as a page shows them."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [_part(output) for cell in cells for output in cell.get("outputs", [])]


def _part(output: Mapping[str, Any]) -> Part:
    data, told = output.get("data", {}), output.get("metadata", {})
    image = next((data[kind] for kind in _IMAGES if kind in data), "")
    texts = [data.get(kind, "") for kind in ("text/html", "text/markdown", TABLE_MIME)]
    texts += [output.get("text", ""), str([told.get("alt"), *(told.get(kind) for kind in _IMAGES)])]
    if not image and not any(texts[:3]):
        texts.append(data.get("text/plain", ""))
    plain = _DATE.sub(" ", _TAG.sub(" ", " ".join(map(_joined, texts))))
    bare = bool(image) and TABLE_MIME not in data
    return Part(Counter(_TELLING.findall(plain)), _joined(image), bare, _named(data.get(CARRIED_MIME, ())))


def _named(carried: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Schools in the rows of tables that an output carries, if every one of them has a column of schools."""
    tables = [each for each in carried if each.get("kind") == "table"]
    if not all("school" in table["columns"] for table in tables):
        return frozenset()
    return frozenset(str(row[table["columns"].index("school")]) for table in tables for row in table["rows"])


def _joined(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _failed(outcome: Outcome, key: str, detail: str) -> Outcome:
    return replace(
        outcome, state="failed", reason=phrase(f"reason.{key}"), ename="WrongReport", detail=detail
    )
