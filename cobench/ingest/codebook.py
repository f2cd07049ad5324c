"""Code books: which question is which item, which options it has, what counts as missing. They are contracts."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cobench.declared import Text, build
from cobench.errors import StudyFileError
from cobench.ingest.text import clean_text, header_key
from cobench.study import Study

MissingReason = Literal["blank", "skipped", "dont_know", "refused", "not_applicable"]
UNCONFIRMED = "?"
_MARK = re.compile(r"#\s*confirm\b", re.IGNORECASE)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


@dataclass(frozen=True)
class Item:
    """One question or matrix row; ``header`` is its column header in the export.

    ``multiple`` (several may be ticked) is stored as one 0/1 item an option, ``ranking`` as one rank an
    option; ``text`` is never stored, nor is what is filled in beside an option, unless ``free_text`` says
    ``redacted``. ``reverse`` must agree with the scales of ``study.toml``. ``nothing_ticked`` says what a
    question without any tick means: by itself it can't be told from one left out.
    """

    id: str
    header: str
    label: Text
    options: str | None = None
    kind: Literal["choice", "multiple", "ranking", "text"] = "choice"
    reverse: bool | None = None
    free_text: Literal["never", "redacted"] = "never"
    nothing_ticked: Literal["blank", "zero"] = "blank"


@dataclass(frozen=True)
class Identify:
    """Questions that say whose questionnaire it is and when it was sent: number of the question, or header."""

    school: str | None = None
    class_: str | None = field(default=None, metadata={"key": "class"})
    name: str | None = None
    student_number: str | None = None
    submitted: str | None = None


@dataclass(frozen=True)
class _CodebookFile:
    instrument: str
    version: str
    respondent: Literal["parent", "student", "teacher"]
    items: tuple[Item, ...]
    terms: tuple[str, ...] = ()
    options: dict[str, dict[str, float]] = field(default_factory=dict)
    directions: dict[str, Literal["ascending", "descending", "unordered"]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, MissingReason] = field(default_factory=dict)
    identify: Identify = Identify()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stored:
    """What is stored of an item: itself, one of its options, or its free text.

    ``kind`` is ``choice``, ``ticked`` (0/1), ``rank`` or ``text``.
    """

    id: str
    item: Item
    kind: str
    option: str | None = None


@dataclass(frozen=True)
class Codebook:
    """A questionnaire: items in the order of its columns, and the value of every option text, in order.

    ``codes`` gives the option of each code that a file may hold instead of its text; ``ignore`` are headers
    that are known and never read.
    """

    instrument: str
    version: str
    respondent: str
    items: tuple[Item, ...]
    options: dict[str, dict[str, float]]
    missing: dict[str, str]
    identify: Identify
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    @property
    def coded(self) -> tuple[Item, ...]:
        """Items with options."""
        return tuple(item for item in self.items if item.kind != "text")

    @property
    def stored(self) -> tuple[Stored, ...]:
        """What the table ``responses`` holds of each questionnaire, in order."""
        return tuple(each for item in self.items for each in self.stored_of(item))

    def stored_of(self, item: Item) -> tuple[Stored, ...]:
        """What is stored of ``item``."""
        text = (Stored(item.id if item.kind == "text" else f"{item.id}_text", item, "text"),)
        kept = text if item.free_text == "redacted" else ()
        if item.kind == "text":
            return kept
        if item.kind == "choice":
            return (Stored(item.id, item, "choice"), *kept)
        kind = "ticked" if item.kind == "multiple" else "rank"
        options = self.values(item).items()
        return (*(Stored(f"{item.id}_{value:g}", item, kind, text) for text, value in options), *kept)

    def values(self, item: Item) -> dict[str, float]:
        """Value of each option text of ``item``."""
        return self.options[item.options or ""]

    def wordings(self, item: Item) -> dict[str, str]:
        """Option text of the code book by its cleaned form, in which exports are compared."""
        return {clean_text(text): text for text in self.values(item)}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of everything stored that has a value."""
        found = {}
        for each in self.stored:
            values = self.values(each.item).values() if each.kind != "text" else ()
            if each.kind == "choice":
                found[each.id] = (min(values), max(values))
            elif each.kind != "text":
                found[each.id] = (0.0, 1.0) if each.kind == "ticked" else (1.0, float(len(values)))
        return found


def load_codebook(path: Path, term: str | None = None) -> Codebook:
    """Read and check a code book.

    Parameters
    ----------
    term : str, optional
        The term in which it is to be used; a code book that declares ``terms`` must name it.

    Raises
    ------
    StudyFileError
        When it is absent, no TOML, an unconfirmed draft, holds unknown keys, a dangling option list, an item
        or header twice, or values against the declared direction.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
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
    _check_confirmed(path.name, text)
    declared = build(_CodebookFile, data, "")
    _check_items(path.name, declared)
    _check_options(path.name, declared)
    if term is not None and declared.terms and term not in declared.terms:
        raise StudyFileError(
            en=f"code book {path.name} holds for {', '.join(declared.terms)}, not for term {term}; "
            "add the term, or name the right version in instruments.*.versions",
            zh=f"编码表 {path.name} 适用于 {', '.join(declared.terms)}，不适用于学期 {term}；"
            "请加入该学期，或在 instruments.*.versions 中指定正确的版本",
        )
    return Codebook(
        declared.instrument,
        declared.version,
        declared.respondent,
        declared.items,
        {
            name: {text: float(value) for text, value in values.items()}
            for name, values in declared.options.items()
        },
        {clean_text(text): reason for text, reason in declared.missing.items()},
        declared.identify,
        declared.codes,
        declared.ignore,
    )


def term_codebooks(study: Study, term: str) -> dict[str, Codebook]:
    """The code book of every instrument that holds in ``term``.

    Raises
    ------
    StudyFileError
        Also when ``reverse`` of an item contradicts a scale of ``study.toml``.
    """
    books = {
        each.id: load_codebook(study.root / each.codebook_of(term), term)
        for each in study.instruments.values()
    }
    for scale in study.scales.values():
        for item in books[scale.instrument].items:
            wrong = item.reverse is not None and item.reverse != (item.id in scale.reverse)
            if item.id in scale.items and wrong:
                raise StudyFileError(
                    en=f"item {item.id} of {scale.instrument}: the code book says reverse = {str(item.reverse).lower()}, "
                    f"scales.{scale.id}.reverse says the opposite; correct one of them",
                    zh=f"{scale.instrument} 的题目 {item.id}：编码表写 reverse = {str(item.reverse).lower()}，"
                    f"与 scales.{scale.id}.reverse 相反；请改正其一",
                )
    return books


def instrument_ranges(study: Study) -> dict[str, dict[str, tuple[float, float]]]:
    """Lowest and highest value of every stored item, by instrument, over all its versions.

    Raises
    ------
    StudyFileError
        When two versions give one item different values: what is asked otherwise needs an id of its own.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for each in study.instruments.values():
        own = found.setdefault(each.id, {})
        for name in each.codebooks:
            for item, limits in load_codebook(study.root / name).ranges().items():
                if own.setdefault(item, limits) != limits:
                    raise StudyFileError(
                        en=f"code book {name}, item {item}: its values run from {limits[0]:g} to {limits[1]:g}, in another "
                        f"version of {each.id} from {own[item][0]:g} to {own[item][1]:g}; give the changed item a new id",
                        zh=f"编码表 {name} 题目 {item}：取值 {limits[0]:g}—{limits[1]:g}，而 {each.id} 的另一版本为 "
                        f"{own[item][0]:g}—{own[item][1]:g}；请为改动后的题目另起编号",
                    )
    return found


def _check_confirmed(name: str, text: str) -> None:
    """Refuse a draft: no direction of a scale, and no other guess, is used before somebody confirms it."""
    lines = text.splitlines()
    marked = [number for number, line in enumerate(lines, 1) if _MARK.search(_STRINGS.sub("", line))]
    unfilled = [number for number, line in enumerate(lines, 1) if re.search(r'=\s*"\?"', line)]
    if not marked and not unfilled:
        return
    listed = sorted({*marked, *unfilled})
    shown = ", ".join(map(str, listed[:10])) + (", …" if len(listed) > 10 else "")
    raise StudyFileError(
        en=f'code book {name} is a draft: {len(unfilled)} values are still "{UNCONFIRMED}" and {len(marked)} lines are '
        f"marked # confirm (lines {shown}); check each against the questionnaire, write the values and "
        "directions, delete the marks",
        zh=f"编码表 {name} 仍是草稿：有 {len(unfilled)} 处取值为“{UNCONFIRMED}”，{len(marked)} 行标有 # confirm"
        f"（第 {shown} 行）；请对照问卷逐项核对，填写取值和方向，并删除标记",
    )


def _check_items(name: str, declared: _CodebookFile) -> None:
    for item in declared.items:
        if item.kind != "text" and not declared.options.get(item.options or ""):
            raise StudyFileError(
                en=f"code book {name}, item {item.id}: options {item.options!r} are not declared; "
                f"declared: {', '.join(declared.options)}",
                zh=f"编码表 {name} 题目 {item.id}：未声明选项 {item.options!r}；已声明：{', '.join(declared.options)}",
            )
        values = list(declared.options.get(item.options or "", {}).values())
        if item.kind in ("multiple", "ranking") and len(set(values)) != len(values):
            raise StudyFileError(
                en=f"code book {name}, item {item.id}: every option of a {item.kind} question needs its own number",
                zh=f"编码表 {name} 题目 {item.id}：多选题或排序题的每个选项须有不同的编号",
            )
    if not any(item.kind != "text" or item.free_text == "redacted" for item in declared.items):
        raise StudyFileError(
            en=f"code book {name}: no item is stored; list at least one with options",
            zh=f"编码表 {name}：没有可存储的题目；请至少列出一道有选项的题目",
        )
    _check_unique(name, "id", [item.id for item in declared.items])
    _check_unique(name, "header", [header_key(item.header) for item in declared.items])


def _check_unique(name: str, what: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise StudyFileError(
            en=f"code book {name}: {what} {twice[0]!r} stands more than once",
            zh=f"编码表 {name}：{what} {twice[0]!r} 重复出现",
        )


def _check_options(name: str, declared: _CodebookFile) -> None:
    for options, values in declared.options.items():
        if len({clean_text(text) for text in values}) != len(values):
            raise StudyFileError(
                en=f"code book {name}: options.{options} lists one text twice",
                zh=f"编码表 {name}：options.{options} 中有重复的选项文字",
            )
        direction = declared.directions.get(options)
        numbers = list(values.values())
        rising = all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
        falling = all(a > b for a, b in zip(numbers, numbers[1:], strict=False))
        if (direction == "ascending" and not rising) or (direction == "descending" and not falling):
            raise StudyFileError(
                en=f"code book {name}: options.{options} is declared {direction}, but its values in order are "
                f"{', '.join(f'{number:g}' for number in numbers)}; correct the values or the direction",
                zh=f"编码表 {name}：options.{options} 声明为 {direction}，但依次取值为 "
                f"{'、'.join(f'{number:g}' for number in numbers)}；请改正取值或方向",
            )
    for kind, listed in (("directions", declared.directions), ("codes", declared.codes)):
        for options in listed:
            if options not in declared.options:
                raise _unknown_options(name, f"{kind}.{options}", options)
    for options, codes in declared.codes.items():
        texts = {clean_text(text) for text in declared.options[options]} | {
            clean_text(text) for text in declared.missing
        }
        for code, text in codes.items():
            if clean_text(text) not in texts:
                raise _unknown_options(name, f"codes.{options}.{code}", text)


def _unknown_options(name: str, path: str, value: str) -> StudyFileError:
    return StudyFileError(
        en=f"code book {name}: {path} names {value!r}, which no options declare",
        zh=f"编码表 {name}：{path} 指向未声明的选项 {value!r}",
    )
