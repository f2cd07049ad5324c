from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.errors import UnreadableFileError
from cobench.ingest.encoding import decode

TEXT = "日期,学生姓名,班级\r\n2026-03-15,赵一,三(2)班\r\n2026-03-16,钱二宝,三(2)班\r\n"


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 BOM"),
        ("gb18030", "GB18030"),
        ("gbk", "GB18030"),
        ("utf-16", "UTF-16"),
    ],
)
def test_each_encoding_of_wps_comes_back_unchanged(codec, named):
    assert decode(TEXT.encode(codec), "a.csv") == (TEXT, named)


def test_rare_characters_of_gb18030_survive():
    text = TEXT.replace("赵一", "赵䶮𬭎")
    assert decode(text.encode("gb18030"), "a.csv")[0] == text


@pytest.mark.parametrize("codec", ["big5", "shift_jis"])
def test_other_east_asian_encodings_are_refused_not_misread(codec):
    text = "日期,學生姓名,班級\n" if codec == "big5" else "日付,生徒のなまえ,学級\n"
    with pytest.raises(UnreadableFileError) as caught:
        decode(text.encode(codec) * 5, "家访记录.csv")
    assert "家访记录.csv, line 1, byte 1" in caught.value.en


def test_utf8_cut_inside_a_character_is_refused_at_its_byte():
    data = TEXT.encode()[:-3]
    assert data[-1] >= 0x80
    with pytest.raises(UnreadableFileError, match=r"a\.csv, line 3, byte"):
        decode(data, "a.csv")


def test_one_broken_byte_in_gb18030_is_refused_with_line():
    data = TEXT.encode("gb18030").replace("钱".encode("gb18030"), b"\xff\xff")
    with pytest.raises(UnreadableFileError, match=r"a\.csv, line 3, byte") as caught:
        decode(data, "a.csv")
    assert "另存为" in caught.value.zh


def test_text_already_damaged_by_another_program_is_refused():
    with pytest.raises(UnreadableFileError, match="line 2"):
        decode("姓名\n赵\ufffd\n".encode(), "a.csv")


def test_bytes_that_fit_two_encodings_are_refused_as_ambiguous():
    # Both characters are valid UTF-8 of a Greek or Latin letter too.
    with pytest.raises(UnreadableFileError, match="ambiguous"):
        decode("省模".encode("gbk"), "a.csv")


@given(st.binary(max_size=400))
def test_any_bytes_are_decoded_without_replacement_or_refused(data):
    try:
        text, _ = decode(data, "a.csv")
    except UnreadableFileError:
        return
    assert "\ufffd" not in text


@given(st.text(max_size=200).filter(lambda text: "\ufffd" not in text and "\0" not in text))
def test_utf8_with_a_mark_is_never_misread(text):
    assert decode(text.encode("utf-8-sig"), "a.csv")[0] == text
