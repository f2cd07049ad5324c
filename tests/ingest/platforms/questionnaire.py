"""What the tests of all platforms share: one invented questionnaire, and reading it as a source would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cobench.files import file_hash
from cobench.ingest import batches, questionnaires
from cobench.ingest.codebook import Codebook, load_codebook
from cobench.ingest.readers import EMPTY, TEXT, Sheet
from cobench.study import Source

# A matrix (two rows), several ticks, a ranking, one choice with a fill-in, an open question.
HEAD = """
instrument = "home"
version = "2"
respondent = "parent"
missing = {"不知道" = "dont_know", "拒答" = "refused"}
[options.agree]
"不符合" = 1
"一般，说不清" = 2
"符合" = 3
[directions]
agree = "ascending"
[options.way]
"电话" = 1
"微信" = 2
"其他" = 3
[options.help]
"作业辅导" = 1
"心理支持" = 2
"家访" = 3
"""
IDENTIFY = 'identify = {school = "1", class = "2", name = "3"}\n'
ITEMS = [
    ("m1", "4、家校沟通—老师愿意听我说", "choice", "agree"),
    ("m2", "4、家校沟通—我能联系到老师", "choice", "agree"),
    ("way", "5、用过哪些联系方式", "multiple", "way"),
    ("need", "6、最需要的帮助", "ranking", "help"),
    ("best", "7、最喜欢的方式", "choice", "way"),
    ("open", "8、您还有什么话想说", "text", None),
]


def codebook_text(
    items=ITEMS, identify: str = IDENTIFY, more: str = "", free_text: tuple[str, ...] = ()
) -> str:
    """A code book; ``more`` stands after its option lists."""
    lines = [identify, HEAD, more]
    for item, header, kind, options in items:
        lines += [
            "[[items]]",
            f'id = "{item}"',
            f'header = "{header}"',
            f'kind = "{kind}"',
            f'label = "{item}"',
        ]
        lines += [f'options = "{options}"'] if options else []
        lines += ['free_text = "redacted"'] if item in free_text else []
    return "\n".join(lines)


def codebook(folder: Path, text: str | None = None) -> Codebook:
    path = folder / "home.toml"
    path.write_text(text or codebook_text(), encoding="utf-8")
    return load_codebook(path)


def sheet(rows: list[list], name: str = "Sheet1", how: str = "xlsx") -> Sheet:
    """A sheet of text cells, ragged rows filled up."""
    width = max(len(row) for row in rows)
    text = np.array([[*map(str, row), *[""] * (width - len(row))] for row in rows], dtype=object)
    text = text.reshape(len(rows), width)
    return Sheet(name, text, np.where(text == "", EMPTY, TEXT).astype(np.uint8), how=how)


def read(path: Path, book: Codebook, **source) -> tuple[batches.FileCells, batches.Batch]:
    """A file as ingest reads it; every row of it accounted for."""
    kind = Source(table="responses", files="*", instrument="home", **source)
    found = batches.read_file(batches.RawFile(path, f"data/raw/t/{path.name}", kind, file_hash(path)), book)
    batch = batches.put_together(kind, [found], {}, 0, book)
    assert found.rows_in == len(batch.cells) + len(found.non_data)
    return found, batch


def answers(batch: batches.Batch) -> pd.DataFrame:
    """What would be stored: one row a questionnaire, one column of (value, reason) an item; all options known."""
    errors = questionnaires.unknown_options(batch.cells, batch.codebook)
    assert errors == [], errors[0].en
    found = {}
    for each in batch.codebook.stored:
        frame = questionnaires.answers(batch.cells[each.id], each, batch.codebook)
        pairs = zip(frame["value"], frame["missing_reason"], frame["raw"], strict=True)
        found[each.id] = [reason or (raw if each.kind == "text" else value) for value, reason, raw in pairs]
    return pd.DataFrame(found, dtype="object")


# Four questionnaires: all answered; blanks; skipped by logic; don't know. As every platform must give them.
EXPECTED = pd.DataFrame(
    {
        "m1": [3.0, "blank", 1.0, "dont_know"],
        "m2": [2.0, 1.0, "blank", 3.0],
        "way_1": [1.0, "blank", 0.0, 1.0],
        "way_2": [0.0, "blank", 1.0, 1.0],
        "way_3": [1.0, "blank", 0.0, 0.0],
        "need_1": [2.0, "blank", "not_ranked", 1.0],
        "need_2": [1.0, "blank", "not_ranked", 2.0],
        "need_3": [3.0, "blank", 1.0, 3.0],
        "best": [3.0, "blank", 1.0, 2.0],
    },
    dtype="object",
)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare with a message that shows the first difference."""
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected[list(found.columns)], check_dtype=False
    )
