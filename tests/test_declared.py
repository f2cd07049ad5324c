"""Claims about turning TOML into frozen dataclasses: the annotations are the schema, nothing is guessed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import pytest

from cobench.declared import Text, build, convert, not_allowed
from cobench.errors import StudyFileError


@dataclass(frozen=True)
class Inner:
    size: int
    ratio: float = 0.5
    on: bool = False


@dataclass(frozen=True)
class Outer:
    label: Text
    from_: str = field(default="here", metadata={"key": "from"})
    inner: Inner | None = None
    day: date | None = None
    names: tuple[str, ...] = ()
    spans: tuple[tuple[date, date], ...] = ()
    kind: Literal["one", "two"] = "one"
    parts: dict[str, Inner] = field(default_factory=dict)
    value: str | bool = ""
    id: str = field(default="", metadata={"computed": True})


def _build(text: str) -> Outer:
    return build(Outer, tomllib.loads(text), "")


def _refused(text: str) -> StudyFileError:
    with pytest.raises(StudyFileError) as caught:
        _build(text)
    return caught.value


def test_every_declared_type_is_taken_from_toml():
    made = _build(
        """
        label = {zh = "名", en = "name"}
        from = "there"
        day = 2026-03-02
        names = ["a", "b"]
        spans = [[2026-01-01, 2026-01-03]]
        kind = "two"
        value = true
        inner = {size = 3, ratio = 1}
        [parts.left]
        size = 1
        on = true
        """
    )
    assert made == Outer(
        label=Text("名", "name"),
        from_="there",
        inner=Inner(size=3, ratio=1.0),
        day=date(2026, 3, 2),
        names=("a", "b"),
        spans=((date(2026, 1, 1), date(2026, 1, 3)),),
        kind="two",
        parts={"left": Inner(size=1, on=True)},
        value=True,
    )
    assert type(made.inner.ratio) is float


def test_a_single_text_stands_for_both_languages_and_for_a_list_of_one():
    made = _build('label = "x"\nnames = "only"')
    assert made.label == Text("x", "x")
    assert made.names == ("only",)


def test_text_speaks_the_language_asked_for():
    assert (Text("中", "en")["zh"], Text("中", "en")["en"]) == ("中", "en")


@pytest.mark.parametrize(
    ("text", "path", "wanted_en", "wanted_zh"),
    [
        ("inner = {size = true}", "inner.size", "a whole number", "整数"),
        ("inner = {size = 1.0}", "inner.size", "a whole number", "整数"),
        ('inner = {size = 1, ratio = "half"}', "inner.ratio", "a number", "数字"),
        ("inner = {size = 1, ratio = true}", "inner.ratio", "a number", "数字"),
        ("inner = {size = 1, on = 1}", "inner.on", "true or false", "true 或 false"),
        ('day = "2026-03-02"', "day", "a date like 2026-03-02", "日期"),
        ("day = 2026-03-02T10:00:00", "day", "a date like 2026-03-02", "日期"),
        ("day = 20260302", "day", "a date like 2026-03-02", "日期"),
        ("names = [1]", "names[0]", "text", "文本"),
        ('names = ["a", 2]', "names[1]", "text", "文本"),
        ("names = 3", "names", "a list of text", "列表"),
        ("spans = [[2026-01-01]]", "spans[0]", "a list of 2 items", "含 2 项的列表"),
        ("spans = [[2026-01-01, 3]]", "spans[0][1]", "a date like 2026-03-02", "日期"),
        ('spans = ["2026-01-01"]', "spans[0]", "a list of 2 items", "含 2 项的列表"),
        ("inner = 5", "inner", "a table", "表"),
        ("parts = 5", "parts", "a table", "表"),
        ("parts = {left = 5}", "parts.left", "a table", "表"),
        ("value = 3", "value", "text or true or false", "文本"),
        ("from = 3", "from", "text", "文本"),
    ],
)
def test_a_wrong_type_is_refused_and_the_key_path_and_the_right_type_are_named_in_both_languages(
    text, path, wanted_en, wanted_zh
):
    error = _refused('label = "x"\n' + text)
    assert error.en.startswith(f"{path} must be {wanted_en}")
    assert error.zh.startswith(f"{path} 应为")
    assert wanted_zh in error.zh


def test_a_missing_key_is_named_with_what_it_must_be():
    assert _refused("day = 2026-01-01").en == "label is missing; it must be {zh = ..., en = ...}"
    assert _refused('label = "x"\ninner = {}').en == "inner.size is missing; it must be a whole number"
    assert _refused('label = "x"\ninner = {}').zh == "缺少 inner.size；应为整数"


def test_an_unknown_key_is_named_with_the_allowed_ones_and_the_nearest():
    error = _refused('label = "x"\nparts = {left = {size = 1, ratoi = 1.0}}')
    assert "unknown key parts.left.ratoi" in error.en
    assert "allowed here: size, ratio, on" in error.en
    assert "did you mean ratio?" in error.en
    assert "parts.left.ratoi" in error.zh
    assert "是否想写 ratio" in error.zh


def test_nothing_is_suggested_where_nothing_is_near():
    error = _refused('label = "x"\nzzz = 1')
    assert "did you mean" not in error.en
    assert "是否" not in error.zh


def test_the_python_name_of_a_renamed_key_is_not_a_key():
    assert "unknown key from_" in _refused('label = "x"\nfrom_ = "y"').en


def test_a_computed_field_can_not_be_written_in_the_file():
    assert "unknown key id" in _refused('label = "x"\nid = "mine"').en


@pytest.mark.parametrize("value", ["three", 1, True])
def test_a_value_outside_a_list_is_refused_with_the_list(value):
    with pytest.raises(StudyFileError) as caught:
        convert(Literal["one", "two"], value, "a.kind")
    assert "a.kind" in caught.value.en
    assert "one, two" in caught.value.en
    assert "a.kind" in caught.value.zh
    assert "one, two" in caught.value.zh


def test_not_allowed_suggests_the_nearest():
    assert "did you mean school?" in not_allowed("within", "shcool", ["school", "grade"]).en


def test_the_top_of_the_file_must_be_a_table():
    with pytest.raises(StudyFileError, match="the file must be a table"):
        build(Outer, [1], "")
