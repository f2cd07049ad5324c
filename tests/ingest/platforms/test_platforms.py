"""Recognition: one platform or a refusal that says what was seen."""

from __future__ import annotations

import pytest
from questionnaire import sheet

from cobench.errors import UnreadableFileError
from cobench.ingest.platforms import LABELS, PLATFORMS, candidates, find_layout
from cobench.sources import Platform


def test_every_platform_of_the_study_file_has_a_module_and_a_name():
    assert set(PLATFORMS) == set(Platform.__args__) == set(LABELS)


def test_a_sheet_that_fits_two_platforms_is_refused_with_both():
    both = sheet([["序号", "提交答卷时间", "开始答题时间", "结束答题时间", "1、学校"], ["1", "", "", "", ""]])
    assert candidates(both) == ("wenjuanxing", "tencent")
    with pytest.raises(
        UnreadableFileError, match="ambiguous, it fits 问卷星, 腾讯问卷.*one of wenjuanxing, tencent"
    ) as caught:
        find_layout(both, "a.xlsx")
    assert "同时符合" in caught.value.zh
    assert find_layout(both, "a_按文本_.xlsx", platform="tencent").platform == "tencent"


def test_an_unknown_sheet_is_refused_with_what_was_looked_for():
    with pytest.raises(UnreadableFileError, match="Qualtrics: ResponseId.*KoboToolbox: _uuid"):
        find_layout(sheet([["姓名", "语文"], ["赵一", "90"]]), "a.xlsx")


def test_an_empty_sheet_is_no_platform():
    assert candidates(sheet([[""]])) == ()
