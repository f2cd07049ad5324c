"""Which column of an export is which item of the code book; what has changed is named and stops the run."""

from __future__ import annotations

from dataclasses import dataclass

from cobench.errors import CobenchError, MissingColumnError, UnknownLevelError
from cobench.ingest.codebook import Codebook, Item
from cobench.ingest.headers import column_letter, place
from cobench.ingest.platforms.layout import Field, Layout, question_number, split_header
from cobench.ingest.readers import Sheet
from cobench.ingest.text import clean_text, header_key

IDENTIFYING = ("submitted", "school", "class", "student_name", "student_number")
_MAX_LISTED = 10


@dataclass(frozen=True)
class Places:
    """Columns (zero-based) of a sheet.

    Attributes
    ----------
    whole : dict of item id to column
        Questions that stand in one column.
    options : dict of item id to {option text: column}
        Ticked or ranked questions with a column an option.
    identifying : dict of canonical column to column
    """

    whole: dict[str, int]
    options: dict[str, dict[str, int]]
    identifying: dict[str, int]


def find_places(sheet: Sheet, layout: Layout, codebook: Codebook, label: str) -> Places:
    """Place of every item; the file must hold exactly the questions of the code book, in its order.

    Raises
    ------
    MissingColumnError
        On a question that is absent, worded otherwise or there twice.
    UnknownLevelError
        On a question that the code book doesn't list, or questions in another order.
    """
    finder = _Finder(codebook)
    for field in layout.fields:
        finder.add(field)
    if layout.submitted is not None:
        finder.identifying.setdefault("submitted", [layout.submitted])
    _check(finder, sheet, codebook, label)
    found = Places(
        {item: places[0] for item, places in finder.whole.items()},
        {
            item: {option: places[0] for option, places in options.items()}
            for item, options in finder.options.items()
            if item not in finder.whole
        },
        {name: places[0] for name, places in finder.identifying.items()},
    )
    _check_order(found, sheet, codebook, label)
    return found


def wanted_identifying(codebook: Codebook) -> dict[str, str]:
    """Question number or header of each column that says whose questionnaire it is."""
    given = codebook.identify
    named = {
        "submitted": given.submitted,
        "school": given.school,
        "class": given.class_,
        "student_name": given.name,
        "student_number": given.student_number,
    }
    return {name: header_key(wanted) for name, wanted in named.items() if wanted is not None}


class _Finder:
    """Collects the columns of each item while the fields of a sheet go by."""

    def __init__(self, codebook: Codebook):
        self.codebook = codebook
        self.by_header = {header_key(item.header): item for item in codebook.items}
        self.by_row = {
            (question_number(key), part): item
            for key, item in self.by_header.items()
            for question, part in split_header(key)
            if question_number(question) and "—" in key
        }
        self.wanted = wanted_identifying(codebook)
        self.ignored = {header_key(each) for each in codebook.ignore}
        self.labels = {item.id: _option_keys(codebook, item) for item in codebook.items}
        self.whole: dict[str, list[int]] = {}
        self.options: dict[str, dict[str, list[int]]] = {}
        self.identifying: dict[str, list[int]] = {}
        self.unknown: list[Field] = []

    def add(self, field: Field) -> None:
        item = next((self.by_header[key] for key in field.keys if key in self.by_header), None)
        name = next((n for n, wanted in self.wanted.items() if wanted in field.keys), None)
        if item is not None:
            self.whole.setdefault(item.id, []).append(field.index)
        elif name is not None:
            self.identifying.setdefault(name, []).append(field.index)
        elif not self._add_part(field) and not self._add_numbered(field) and not self._is_known(field):
            self.unknown.append(field)

    def _add_part(self, field: Field) -> bool:
        """A column of one option (3、渠道(电话)), or a matrix row that the platform words otherwise."""
        for question, part in field.parts:
            item = self.by_header.get(question) or self._by_number(question)
            if item is not None and item.kind in ("multiple", "ranking") and part in self.labels[item.id]:
                option = self.labels[item.id][part]
                self.options.setdefault(item.id, {}).setdefault(option, []).append(field.index)
                return True
            row = self.by_row.get((question, part))
            if row is not None:
                self.whole.setdefault(row.id, []).append(field.index)
                return True
        return False

    def _add_numbered(self, field: Field) -> bool:
        names = [name for name, wanted in self.wanted.items() if wanted == field.number]
        if not names or any("—" in key for key in field.keys):
            return False
        self.identifying.setdefault(names[0], []).append(field.index)
        return True

    def _by_number(self, question: str) -> Item | None:
        """The ticked or ranked question of that number (5(唱歌), 第5题(唱歌))."""
        fitting = [
            item
            for key, item in self.by_header.items()
            if item.kind in ("multiple", "ranking") and question_number(key) == question != ""
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _is_known(self, field: Field) -> bool:
        """Ignored on purpose, or the text typed beside an option of a known question."""
        if self.ignored & set(field.keys):
            return True
        ends = ("_TEXT", "-TEXT", "—TEXT", "_other", "(其他)", "—Text", "-Text")
        starts = [key for key in field.keys if key.endswith(ends)]
        return any(key.startswith(known) for key in starts for known in self.by_header)


def _option_keys(codebook: Codebook, item: Item) -> dict[str, str]:
    """Option texts of an item by every way in which a header may name the option."""
    if item.kind not in ("multiple", "ranking"):
        return {}
    keys = {header_key(code): text for code, text in codebook.codes.get(item.options or "", {}).items()}
    for text, value in codebook.values(item).items():
        keys.setdefault(f"{value:g}", text)
    return {**keys, **{header_key(text): text for text in codebook.values(item)}}


def _check(finder: _Finder, sheet: Sheet, codebook: Codebook, label: str) -> None:
    en, zh = place(label, sheet.name)
    missing, reworded = _missing(finder, codebook)
    if reworded:
        item, field = reworded[0]
        letter = column_letter(field.index)
        raise MissingColumnError(
            en=f"{en}, column {letter}: {item.header} is missing, the question of that number is worded otherwise here; "
            f"code book {codebook.instrument} version {codebook.version} expects exactly this wording: write a new "
            "version of the code book, or mend its header",
            zh=f"{zh} 列 {letter}：缺少 {item.header}，该题号的题目措辞不同；编码表 {codebook.instrument} 第 {codebook.version} 版"
            "要求完全一致：请编写新版编码表，或修正其 header",
        )
    if finder.unknown:
        letters = ", ".join(column_letter(field.index) for field in finder.unknown[:_MAX_LISTED])
        raise UnknownLevelError(
            en=f"{en}, column {letters}: a question that the code book {codebook.instrument} doesn't list; the "
            "questionnaire has changed: write a new version of the code book, or list the header under ignore",
            zh=f"{zh} 列 {letters}：编码表 {codebook.instrument} 中没有此题；问卷已改动，请编写新版编码表，或将表头列入 ignore",
        )
    twice = _twice(finder)
    if missing or twice:
        shown = ", ".join((missing or twice)[:_MAX_LISTED])
        which_en, which_zh = ("is missing", "缺少") if missing else ("is there twice", "重复出现")
        raise MissingColumnError(
            en=f"{en}: {shown} {which_en}; export all questions, or mend the headers in code book {codebook.instrument}",
            zh=f"{zh}：{which_zh} {shown}；请导出全部题目，或修正编码表 {codebook.instrument} 的 header",
        )


def _missing(finder: _Finder, codebook: Codebook) -> tuple[list[str], list[tuple[Item, Field]]]:
    """Wordings of what is absent; and absent items in whose place another wording stands."""
    missing, reworded = [], []
    for name, wanted in finder.wanted.items():
        if name not in finder.identifying:
            missing.append(f"question {wanted} ({name})")
    for item in codebook.items:
        if item.id in finder.whole:
            continue
        options = finder.options.get(item.id, {})
        absent = [text for text in codebook.values(item) if text not in options] if options else []
        if absent:
            missing += [f"{clean_text(item.header)} ({text})" for text in absent]
        elif not options and (item.kind != "text" or item.free_text == "redacted"):
            missing.append(clean_text(item.header))
            number = question_number(header_key(item.header))
            other = [field for field in finder.unknown if number and field.number == number]
            reworded += [(item, field) for field in other[:1]]
    return missing, reworded


def _twice(finder: _Finder) -> list[str]:
    headers = {item.id: clean_text(item.header) for item in finder.codebook.items}
    many = [headers[item] for item, places in finder.whole.items() if len(places) > 1]
    many += [f"question {finder.wanted[n]}" for n, p in finder.identifying.items() if len(p) > 1]
    for item, options in finder.options.items():
        many += [f"{headers[item]} ({option})" for option, places in options.items() if len(places) > 1]
    return many


def _check_order(found: Places, sheet: Sheet, codebook: Codebook, label: str) -> None:
    """Items stand in the order of the code book: a moved question is another questionnaire."""
    last, last_item = -1, None
    for item in codebook.items:
        columns = (
            [found.whole[item.id]] if item.id in found.whole else [*found.options.get(item.id, {}).values()]
        )
        if not columns:
            continue
        if min(columns) < last:
            raise _moved(sheet, codebook, label, item, last_item, min(columns))
        last, last_item = max(columns), item


def _moved(
    sheet: Sheet, codebook: Codebook, label: str, item: Item, before: Item | None, column: int
) -> CobenchError:
    en, zh = place(label, sheet.name)
    after = clean_text(before.header) if before else ""
    return UnknownLevelError(
        en=f"{en}, column {column_letter(column)}: the questions stand in another order; code book {codebook.instrument} "
        f"expects {clean_text(item.header)} after {after}: write a new version of the code book",
        zh=f"{zh} 列 {column_letter(column)}：题目顺序不同；编码表 {codebook.instrument} 要求 {clean_text(item.header)} "
        f"排在 {after} 之后：请编写新版编码表",
    )
