"""Hold a page against the data it carries: every cited number, every cell of its tables, every passage."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobench.declared import Text
from cobench.errors import RunError
from cobench.run.manifest import file_hash, read_manifest
from cobench.run.page_data import estimates_of, passages, read_block, tables_of
from cobench.run.words import phrase

if TYPE_CHECKING:
    from bs4 import Tag

_NUMBER = re.compile(r"[-+\u2212]?\d[\d,]*(?:\.\d+)?")
_SHORT = 60


@dataclass(frozen=True)
class Verdict:
    """What a check of one page found: ``wrong`` (empty if all is well), ``checked``, and what it can't check."""

    page: str
    wrong: tuple[Text, ...]
    checked: tuple[Text, ...]
    unchecked: tuple[Text, ...]

    @property
    def fine(self) -> bool:
        return not self.wrong


def verify_page(path: Path) -> Verdict:
    """Check a finished page without the study's data.

    Raises
    ------
    RunError
        When the file isn't a page of cobench with a data block.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    data = read_block(soup)
    main = soup.find("main")
    if data is None or main is None:
        raise RunError(
            en=f"{path.name} carries no data block that could be read: it isn't a report page of this version of "
            "cobench, or it was altered",
            zh=f"{path.name} 中没有可读取的数据块：它不是本版本 cobench 的报告页，或已被改动",
        )
    estimates = {row["estimate_id"]: row for row in estimates_of(data)}
    tables = {table["id"]: table for table in tables_of(data)}
    wrong: list[Text] = []
    done: Counter[str] = Counter()
    for found in (
        _cited(main, estimates, done),
        _cited_rows(main, estimates, done),
        _tables(main, tables, done),
        _coherent(estimates.values(), done),
        _sealed(main, data["seals"], done),
        _published(path, done),
    ):
        wrong += found
    checked = tuple(phrase(f"verify.did_{name}", n=n) for name, n in done.items() if n)
    unchecked = [phrase("verify.no_raw"), phrase("verify.no_pictures", n=len(main.find_all("img")))]
    if uncited := _uncited(main):
        unchecked.append(phrase("verify.no_citation", n=uncited))
    if not done["published"]:
        there = path.with_name("run.json").is_file()
        unchecked.append(phrase("verify.no_entry" if there else "verify.no_manifest"))
    return Verdict(path.name, tuple(dict.fromkeys(wrong)), checked, tuple(unchecked))


def _cited(main: Tag, estimates: Mapping[str, Mapping], done: Counter) -> Iterator[Text]:
    """Numbers of the prose against the row that they lead to."""
    for link in main.find_all("a", class_="cited"):
        shown = link.get_text()
        row = estimates.get(str(link.get("href", "")).removeprefix("#estimate-"))
        if row is None:
            yield phrase("verify.no_row", shown=_cut(shown))
            continue
        done["cited"] += 1
        expected = _expected(row, str(link.get("data-field")))
        printed = _NUMBER.findall(shown)[: len(expected)]
        agree = len(printed) == len(expected) and all(map(_rounds_to, expected, printed))
        if not agree and not (shown.startswith("<") and _below(expected[0], shown)):
            told = ", ".join(f"{value:.6g}" for value in expected)
            yield phrase("verify.prose", shown=_cut(shown), what=row["what"], carried=told)


def _expected(row: Mapping, field: str) -> list[float]:
    from cobench.effects.estimates import minimum_detectable

    def value(name: str) -> float:
        found = row.get(name)
        return float(found) if isinstance(found, int | float) else math.nan

    if field == "interval":
        return [100 * value("conf_level"), value("conf_low"), value("conf_high")]
    if field == "size":
        return [abs(value("estimate"))]
    if field == "percent":
        return [100 * abs(value("effect_size"))]
    if field == "detectable":
        return [minimum_detectable(value("std_error"), value("df"))]
    return [value(field)]


def _uncited(main: Tag) -> int:
    """How many numbers of the prose lead to no row, so that nothing but seals and ``run.json`` holds them."""
    texts = (
        text
        for tag in main.find_all(["p", "li"])
        if not tag.find_parent(["table", "section"]) and not tag.find(["p", "li"])
        for text in tag.find_all(string=True)
        if not text.find_parent("a", class_="cited")
    )
    return sum(len(_NUMBER.findall(text)) for text in texts)


def _cited_rows(main: Tag, estimates: Mapping[str, Mapping], done: Counter) -> Iterator[Text]:
    """The reviewers' table against the data block."""
    names = ("estimate", "std_error", None, "p_value", "p_adjusted", "n_obs", "n_treated", "n_clusters")
    for line in main.select("table.cited-rows tbody tr"):
        row = estimates.get(str(line.get("id", "")).removeprefix("estimate-"), {})
        for name, cell in zip(names, line.find_all("td"), strict=False):
            limits = [("conf_low", 0), ("conf_high", 1)] if name is None else [(name, 0)]
            parts = cell.get_text().split("…") if name is None else [cell.get_text()]
            for column, at in limits:
                value = row.get(column)
                if isinstance(value, int | float) and not _agrees(value, parts[at].strip()):
                    yield phrase("verify.table", shown=_cut(parts[at]), head=column, carried=f"{value:.6g}")
                done["cells"] += 1


def _tables(main: Tag, tables: Mapping[str, Mapping], done: Counter) -> Iterator[Text]:
    """Numeric cells of every table against the carried values."""
    for table in main.find_all("table", attrs={"data-carried": True}):
        carried = tables.get(str(table["data-carried"]))
        if carried is None:
            yield phrase("verify.no_table", shown=_cut(table.get_text(" ", strip=True)))
            continue
        lines = [line.find_all(["th", "td"]) for line in table.select("tbody tr")]
        if len(lines) != max(len(carried["rows"]), 1):
            yield phrase(
                "verify.rows", caption=carried["caption"], n=len(lines), carried=len(carried["rows"])
            )
        for cells, values in zip(lines, carried["rows"], strict=False):
            for cell, value, head, kind in zip(
                cells, values, carried["heads"], carried["printed"], strict=False
            ):
                shown = cell.get_text(strip=True)
                if kind == "exact":
                    done["cells"] += 1
                    if shown != value:
                        yield phrase("verify.table", shown=_cut(shown), head=head, carried=value)
                    continue
                if kind == "text" or isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                done["cells"] += 1
                if not _agrees(100 * value if kind == "percent" else value, shown):
                    yield phrase("verify.table", shown=_cut(shown), head=head, carried=f"{value:.6g}")


def _coherent(rows, done: Counter) -> Iterator[Text]:
    """Does each row agree with itself: interval around the estimate, p-value of estimate and error."""
    from scipy import stats

    for row in rows:
        numbers = {
            name: float(row[name])
            for name in ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high", "conf_level")
            if isinstance(row.get(name), int | float)
        }
        if row.get("status") != "ok" or not {"estimate", "conf_low", "conf_high"} <= numbers.keys():
            continue
        done["rows"] += 1
        inside = numbers["conf_low"] <= numbers["estimate"] <= numbers["conf_high"]
        if not inside:
            yield phrase("verify.outside", what=row["what"])
        n, treated = row.get("n_obs"), row.get("n_treated")
        if isinstance(n, int) and isinstance(treated, int) and treated > n:
            yield phrase("verify.more_treated", what=row["what"])
        if {"std_error", "p_value"} <= numbers.keys() and _is_plain(numbers, stats):
            ratio = abs(numbers["estimate"] / numbers["std_error"])
            expected = 2 * stats.t.sf(ratio, numbers.get("df", math.inf))
            if not math.isclose(expected, numbers["p_value"], rel_tol=1e-3, abs_tol=1e-4):
                yield phrase("verify.p_value", what=row["what"])


def _is_plain(numbers: Mapping[str, float], stats) -> bool:
    """Whether the interval is estimate ± t x error: other intervals have p-values of their own."""
    half = stats.t.ppf(0.5 + numbers.get("conf_level", 0.95) / 2, numbers.get("df", math.inf))
    half *= numbers["std_error"]
    return all(
        math.isclose(limit, numbers["estimate"] + sign * half, rel_tol=1e-4, abs_tol=1e-6)
        for limit, sign in ((numbers["conf_low"], -1), (numbers["conf_high"], 1))
    )


def _sealed(main: Tag, seals: list[str], done: Counter) -> Iterator[Text]:
    """Passages against the seals that the page was given when it was made."""
    left, found = Counter(seals), list(passages(main))
    for seal, text in found:
        if left[seal] > 0:
            left[seal] -= 1
            done["passages"] += 1
        else:
            yield phrase("verify.changed", shown=_cut(text))
    if missing := sum(left.values()):
        yield phrase("verify.missing", n=missing)


def _published(path: Path, done: Counter) -> Iterator[Text]:
    """The file against ``run.json`` beside it, where there is one."""
    manifest = read_manifest(path.with_name("run.json"))
    entry: Mapping[str, Any] | None = next(
        (each for each in (manifest or {}).get("reports", []) if each["page"] == path.name), None
    )
    if entry is not None:
        done["published"] = 1
        if entry["page_sha256"] != file_hash(path):
            yield phrase("verify.file")


def _agrees(value: float, shown: str) -> bool:
    if shown.startswith("<"):
        return _below(value, shown)
    printed = _NUMBER.search(shown)
    return printed is not None and _rounds_to(value, printed[0])


def _below(value: float, shown: str) -> bool:
    limit = _NUMBER.search(shown)
    return limit is not None and value < _value(limit[0])


def _rounds_to(value: float, printed: str) -> bool:
    """Whether ``printed`` is ``value`` rounded to the digits that it shows."""
    digits = len(printed.partition(".")[2])
    slack = 0.5 * 10**-digits * (1 + 1e-6) + 1e-8 * abs(value)
    return abs(_value(printed) - value) <= slack


def _value(printed: str) -> float:
    return float(printed.replace(",", "").replace("\u2212", "-"))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def to_json(verdict: Verdict) -> str:
    """A verdict as JSON, in both languages."""
    both = {
        name: [{"zh": text.zh, "en": text.en} for text in getattr(verdict, name)]
        for name in ("wrong", "checked", "unchecked")
    }
    return json.dumps({"page": verdict.page, "fine": verdict.fine, **both}, ensure_ascii=False)
