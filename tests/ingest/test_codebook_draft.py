"""A draft says what was seen; confirmed, it reads the file it was made from."""

from __future__ import annotations

import re
import tomllib

import pytest
from confirmed import confirm
from questionnaire import read
from test_inspection import PLATFORM_FILES, files

from cobench.errors import StudyFileError
from cobench.ingest import questionnaires
from cobench.ingest.codebook import load_codebook
from cobench.ingest.codebook_draft import draft_codebook
from cobench.ingest.inspection import inspect_file


@pytest.mark.parametrize("which", PLATFORM_FILES)
def test_a_draft_is_toml_and_refused_until_it_is_confirmed(tmp_path, which):
    path = tmp_path / "draft.toml"
    path.write_text(draft_codebook(inspect_file(files(tmp_path)[which])), encoding="utf-8")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["items"]
    with pytest.raises(StudyFileError, match="is a draft: .*marked # confirm") as caught:
        load_codebook(path)
    assert "仍是草稿" in caught.value.zh


@pytest.mark.parametrize("which", PLATFORM_FILES)
def test_a_confirmed_draft_reads_its_file(tmp_path, which):
    file = files(tmp_path)[which]
    path = tmp_path / "draft.toml"
    path.write_text(confirm(draft_codebook(inspect_file(file))), encoding="utf-8")
    book = load_codebook(path)
    found, batch = read(file, book)
    assert questionnaires.unknown_options(batch.cells, book) == []
    assert sorted(item.kind for item in book.coded) == sorted(
        ["choice", "choice", "multiple", "ranking", "choice"]
    )
    assert (batch.recodes.groupby("item")["n"].sum() == len(batch.cells)).all()


@pytest.mark.parametrize("which", ["wenjuanxing text", "spss"])
def test_no_value_and_no_direction_is_ever_guessed(tmp_path, which):
    draft = tomllib.loads(draft_codebook(inspect_file(files(tmp_path)[which])))
    assert {value for options in draft["options"].values() for value in options.values()} == {"?"}
    assert set(draft["directions"].values()) == {"?"} and set(draft["directions"]) == set(draft["options"])


def test_every_guess_is_marked(tmp_path):
    text = draft_codebook(inspect_file(files(tmp_path)["wenjuanxing text"]))
    for line in text.splitlines():
        if re.match(
            r"(id|kind|label|instrument|version|respondent|identify|missing|ignore) = |\[options|\[codes",
            line,
        ):
            assert "# confirm" in line, line


def test_half_confirmed_is_not_confirmed(tmp_path):
    text = confirm(draft_codebook(inspect_file(files(tmp_path)["wenjuanxing text"])))
    path = tmp_path / "draft.toml"
    path.write_text(text.replace('= "unordered"', '= "?"', 1), encoding="utf-8")
    with pytest.raises(StudyFileError, match='1 values are still "\\?" and 0 lines'):
        load_codebook(path)
    # The word inside a wording is no mark.
    path.write_text(text.replace('zh = "', 'zh = "# confirm ', 1), encoding="utf-8")
    assert load_codebook(path).items
