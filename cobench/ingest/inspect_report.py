"""An inspection in plain words, Chinese or English."""

from __future__ import annotations

from collections.abc import Sequence

from cobench.declared import Text
from cobench.ingest.headers import column_letter
from cobench.ingest.inspection import Inspection, Question, Reading
from cobench.ingest.platforms import LABELS
from cobench.ingest.text import clean_text

_KINDS = {
    "choice": Text("单选", "one choice"),
    "multiple": Text("多选", "several choices"),
    "ranking": Text("排序", "ranking"),
    "text": Text("自由填写（内容不显示）", "free text (not shown)"),
    "person": Text("个人信息（内容不显示）", "about a person (not shown)"),
    "number": Text("数字", "number"),
    "time": Text("日期或时间（内容不显示）", "date or time (not shown)"),
    "empty": Text("全部为空", "empty"),
}
_MODES = {"text": Text("按选项文本", "by option text"), "number": Text("按选项序号", "by option number")}


def describe(found: Inspection, drafts: Sequence[str | None] = ()) -> Text:
    """What the file is, how it would be read, its questions and the options seen.

    ``drafts`` are sources of ``study.toml`` that its sheets may be, one a sheet, None where nothing can be guessed.
    """
    zh, en = [found.label], [found.label]
    for number, reading in enumerate(found.readings, 1):
        if len(found.readings) > 1:
            zh.append(f"第 {number} 张工作表")
            en.append(f"sheet {number}")
        draft = drafts[number - 1] if drafts else None
        said = _questionnaire(reading) if reading.layout else _table(reading, draft)
        zh.append(said.zh)
        en.append(said.en)
    if found.n_left_out:
        zh.append(f"另有 {found.n_left_out} 张隐藏或空白的工作表，不读取")
        en.append(f"{found.n_left_out} more sheets are hidden or empty and are not read")
    if not found.readings:
        zh.append("没有可读取的内容")
        en.append("nothing to read")
    return Text("\n".join(zh), "\n".join(en))


def _questionnaire(reading: Reading) -> Text:
    layout, sheet = reading.layout, reading.sheet
    first, last = layout.first + sheet.first_row, layout.last + sheet.first_row
    rows = f"{first}" if first == last else f"{first}-{last}"
    own = sheet.text.shape[1] - len(layout.fields)
    platform, mode = LABELS[layout.platform], _MODES[layout.mode]
    zh = [
        f"  平台：{platform}，{mode.zh}",
        f"  读取方式：{sheet.how}；表头第 {rows} 行；数据 {reading.n_data} 行；其他行 {reading.n_other}",
        f"  列：{sheet.text.shape[1]}，其中平台自带 {own} 列（只读取提交时间，其余一律不保存）",
        f"  题目：{len(reading.questions)}",
    ]
    en = [
        f"  platform: {platform}, {mode.en}",
        f"  read as: {sheet.how}; header row {rows}; {reading.n_data} data rows; {reading.n_other} other rows",
        f"  columns: {sheet.text.shape[1]}, {own} of them the platform's own (only the time is read, the rest never stored)",
        f"  questions: {len(reading.questions)}",
    ]
    for question in reading.questions:
        said = _question(question)
        zh.append(said.zh)
        en.append(said.en)
    return Text("\n".join(zh), "\n".join(en))


def _question(question: Question) -> Text:
    letters = [column_letter(column) for column in question.columns]
    place = letters[0] if len(letters) == 1 else f"{letters[0]}-{letters[-1]}"
    kind = _KINDS[question.kind]
    asked = f"{question.header} {question.label}".strip()
    zh, en = f"    {place}  {asked}  [{kind.zh}]", f"    {place}  {asked}  [{kind.en}]"
    if question.n_blank or question.n_skipped:
        zh += f"  空 {question.n_blank}，跳过 {question.n_skipped}"
        en += f"  {question.n_blank} blank, {question.n_skipped} skipped"
    for option, n, code in question.options:
        numbered = f"{code} = {option}" if code else option
        zh += f"\n        {numbered}  {n}"
        en += f"\n        {numbered}  {n}"
    for label in question.missing:
        zh += f"\n        {label}  （文件声明为缺失）"
        en += f"\n        {label}  (declared missing by the file)"
    return Text(zh, en)


def _table(reading: Reading, draft: str | None) -> Text:
    sheet = reading.sheet
    if draft is not None:
        block = "\n" + "\n".join(f"    {line}" for line in draft.splitlines())
        size = (sheet.n_rows, sheet.text.shape[1])
        return Text(
            f"  表格，{sheet.how}；{size[0]} 行，{size[1]} 列\n  可作为 study.toml 的一个来源；以下各行都是猜测，请逐行核对（files 须补上学期与学校文件夹）：{block}",
            f"  a table, read as {sheet.how}; {size[0]} rows, {size[1]} columns\n  it may be a source of study.toml; every "
            f"line below is a guess, check each (files still lacks the schools' folders, if any):{block}",
        )
    labels = [
        clean_text(each.label) or clean_text(name)
        for name, each in zip(sheet.text[0], sheet.variables, strict=False)
    ]
    return Text(
        f"  表格，不是已知问卷平台的导出文件\n  读取方式：{sheet.how}；{sheet.n_rows} 行，{sheet.text.shape[1]} 列"
        "\n  若为名册、成绩或记录：在 study.toml 的 columns 中写明各列；若为问卷：写 platform"
        + (f"\n  变量：{'、'.join(labels)}" if labels else ""),
        f"  a table, not the export of a known questionnaire platform\n  read as: {sheet.how}; {sheet.n_rows} rows, "
        f"{sheet.text.shape[1]} columns\n  for a roster, marks or records name its columns in study.toml; for a "
        "questionnaire write platform" + (f"\n  variables: {', '.join(labels)}" if labels else ""),
    )
