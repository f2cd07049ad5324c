import base64
import io

import pylopdf_fonts_zh_cn
from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

from cobench.run.glyphs import chinese_characters, font_face


def test_only_chinese_characters_and_marks_are_taken():
    assert chinese_characters("家访 home 家“quoted”，100 %") == "“”家访，"


def test_the_embedded_font_holds_exactly_the_characters_of_the_page():
    rule = font_face("家访，")
    data = rule.split("base64,")[1].split(")")[0]
    font = TTFont(io.BytesIO(base64.b64decode(data)))
    assert {chr(code) for code in font.getBestCmap()} == set("家访，")
    assert len(data) < 10_000


def test_each_character_has_the_outline_and_the_width_of_the_face():
    own = TTFont(io.BytesIO(base64.b64decode(font_face("家访，龘").split("base64,")[1].split(")")[0])))
    face = TTFont(pylopdf_fonts_zh_cn.sans_path())

    def drawn(font, character):
        pen, name = AreaPen(), font.getBestCmap()[ord(character)]
        font.getGlyphSet()[name].draw(pen)
        return pen.value, font["hmtx"][name]

    for character in "家访，龘":
        area, metrics = drawn(own, character)
        assert abs(area) > 1000 and (area, metrics) == drawn(face, character)


def test_a_page_without_chinese_carries_no_font():
    assert font_face(chinese_characters("plain text")) == ""


def test_the_same_characters_give_the_same_font():
    first = font_face("成效")
    font_face.cache_clear()
    assert font_face("成效") == first
