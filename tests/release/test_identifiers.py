"""The identifier scan finds what is planted, in any form, and nothing on clean pages."""

import base64
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.release import scan_html, scan_text
from cobench.release.identifiers import is_identity_number

FULL_WIDTH = {ord(str(i)): chr(0xFF10 + i) for i in range(10)} | {ord("X"): "Ｘ", ord("G"): "Ｇ"}
NAMES = {"赵小满", "欧阳夏", "钱一", "阿依·古丽", "高明"}


def identity_number(body="11010120140307123"):
    """A made-up number with its check digit."""
    total = sum(
        int(a) * b for a, b in zip(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), strict=True)
    )
    return body + "10X98765432"[total % 11]


def kinds(text, **options):
    return [finding.kind for finding in scan_text(text, **options)]


def forms(number):
    yield number
    yield number.translate(FULL_WIDTH)
    yield " ".join(number)
    yield "\u3000".join(number)
    yield "-".join([number[:6], number[6:14], number[14:]])
    yield f"\u200b{number[:6]}\u200b{number[6:]}"


@pytest.mark.parametrize("form", forms(identity_number()))
def test_identity_numbers_are_found_in_every_form(form):
    assert kinds(f"其他：{form}。") == ["identity_number"]


@given(
    st.integers(110000, 659999),
    st.dates(),
    st.integers(0, 999),
)
def test_every_valid_number_is_found(place, birth, order):
    year = 1950 + birth.year % 75
    number = identity_number(f"{place}{year}{birth:%m%d}{order:03d}")
    assert is_identity_number(number)
    assert kinds(f"a {number} b") == ["identity_number"]


def test_a_number_with_a_wrong_check_digit_is_none():
    number = identity_number()
    wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
    assert kinds(f" {wrong} ") == []


def test_a_number_rounded_by_a_spreadsheet_still_identifies():
    assert kinds("110101201403071000") == ["identity_number"]


@pytest.mark.parametrize("letter", "GJLg")
def test_student_numbers_are_found(letter):
    number = letter + identity_number()
    assert "student_number" in kinds(number)
    assert "student_number" in kinds(number.upper().translate(FULL_WIDTH))


@pytest.mark.parametrize(
    "phone",
    [
        "13812345678",
        "１３８１２３４５６７８",
        "138 1234 5678",
        "138-1234-5678",
        "+8613812345678",
        "1 3 8 1 2 3 4 5 6 7 8",
        "0,13812345678,1",
    ],
)
def test_mobile_phones_are_found(phone):
    assert kinds(f"电话{phone}，") == ["mobile_phone"]


def test_pseudonyms_are_found():
    assert kinds("row s_0123456789abcdef0123 of") == ["pseudonym"]


@pytest.mark.parametrize(
    "text",
    ["今天和赵小满谈话", "赵 小 满", "钱　一", "欧阳 夏", "阿依·古丽", "阿依古丽说", "<td>赵小满</td>"],
)
def test_names_are_found_with_blanks_and_dots(text):
    assert kinds(text, names=NAMES) == ["name"]


def test_a_name_inside_a_fixed_phrase_is_no_finding_but_alone_it_is_one():
    exclude = {"提高明显", "高明小学"}
    assert kinds("成绩提高明显，高明小学", names=NAMES, exclude=exclude) == []
    assert kinds("高明说", names=NAMES, exclude=exclude) == ["name"]


def test_blanks_between_words_do_not_make_a_name():
    assert kinds("提高 明显", names=NAMES) == []


def test_findings_say_where_but_never_what():
    (finding,) = scan_text("第一行\n第二行赵小满", names=NAMES)
    assert (finding.line, finding.kind) == (2, "name")
    assert "赵小满" not in repr(finding)


@pytest.mark.parametrize(
    "page",
    [
        "<p>赵<b>小</b>满</p>",
        '<img alt="赵小满">',
        "<!-- 赵小满 -->",
        "<p>&#36213;&#23567;&#28385;</p>",
        '<script>x = "\\u8d75\\u5c0f\\u6ee1"</script>',
        "<td>赵</td>\n<p title='赵小满'>",
    ],
)
def test_names_are_found_wherever_a_page_can_hold_them(page):
    assert [finding.kind for finding in scan_html(page, names=NAMES)] == ["name"]


def test_neighbouring_cells_do_not_make_a_name_or_a_number():
    number = identity_number()
    assert scan_html(f"<td>赵</td><td>小满</td><td>{number[:9]}</td><td>{number[9:]}</td>", names=NAMES) == []


def png(**texts):
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_itxt(key, value)
    noise = Image.frombytes("L", (40, 40), random.Random(1).randbytes(1600))
    stream = io.BytesIO()
    noise.save(stream, "PNG", pnginfo=info)
    return base64.b64encode(stream.getvalue()).decode()


def test_pixels_are_skipped_but_the_metadata_of_an_image_is_read():
    clean, marked = png(), png(Comment="赵小满")
    assert scan_html(f'<img src="data:image/png;base64,{clean}">', names=NAMES) == []
    (finding,) = scan_html(f'<img src="data:image/png;base64,{marked}">', names=NAMES)
    assert (finding.kind, finding.where) == ("name", "embedded")


def test_a_packed_download_is_unpacked():
    table = "school,n\n" + "S01,20\n" * 40 + identity_number()
    packed = base64.b64encode(table.encode()).decode()
    (finding,) = scan_html(f'<a href="data:text/csv;base64,{packed}">csv</a>')
    assert (finding.kind, finding.where) == ("identity_number", "embedded")


def test_a_clean_page_of_numbers_and_hashes_has_no_findings():
    generator = random.Random(7)
    rows = "".join(
        f"<tr><td>{generator.random()}</td><td>{generator.gauss(0, 1):.17f}</td>"
        f"<td>{generator.randbytes(32).hex()}</td><td>{generator.randrange(10**6):,}</td></tr>\n"
        for _ in range(3000)
    )
    text = "家访覆盖率提高，差值为 0.12 个标准差（95% 置信区间 0.05 至 0.19）。" * 200
    assert scan_html(f"<table>{rows}</table><p>{text}</p>", names={"赵小满", "钱一"}) == []


def test_seven_thousand_names_over_half_a_megabyte_are_found_where_planted():
    generator = random.Random(3)
    characters = [chr(generator.randrange(0x4E00, 0x9FA5)) for _ in range(400)]
    names = {"".join(generator.choices(characters, k=generator.choice([2, 3, 3, 4]))) for _ in range(7000)}
    planted = sorted(names, key=len)[-1]
    page = "<p>没有任何个人信息的一段普通文字，数字 12.5%。</p>\n" * 16000 + f"<p>{planted}</p>"
    assert len(page) > 500_000
    assert [(finding.kind, finding.line) for finding in scan_html(page, names=names)] == [("name", 16001)]
