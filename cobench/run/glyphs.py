"""Chinese characters of one page as an embedded font, for machines that have no Chinese font at all.

The page prefers the reader's own Chinese face; this one is the last resort, so that a bare server, a
headless browser or a reviewer's laptop shows characters and not boxes.
"""

from __future__ import annotations

import base64
import io
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fontTools.misc.psCharStrings import T2CharString

FAMILY = "Cobench Han"
NOTDEF = ".notdef"
# Quotation marks, dashes and ellipses are full-width in Chinese and must come from the same face.
_CHINESE = re.compile("[\u2014\u2018-\u201d\u2026\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")


def chinese_characters(text: str) -> str:
    """The distinct Chinese characters and punctuation marks in ``text``, sorted."""
    return "".join(sorted(set(_CHINESE.findall(text))))


@lru_cache(maxsize=64)
def font_face(characters: str) -> str:
    """A CSS ``@font-face`` rule with just these characters of Noto Sans SC; empty for no characters.

    The subset is WOFF without hints (a font of 200 characters is about 30 KB). Licence: SIL OFL 1.1, which allows
    embedding of subsets.
    """
    if not characters:
        return ""
    data = base64.b64encode(_subset(characters)).decode("ascii")
    return f'@font-face{{font-family:"{FAMILY}";src:url(data:font/woff;base64,{data}) format("woff")}}'


def _subset(characters: str) -> bytes:
    """WOFF of the characters that the face has.

    Put together from outlines that are read once a process: a subsetter would read the whole face for every page.
    """
    from fontTools.fontBuilder import FontBuilder

    face = _face()
    known = {ord(each): face.names[ord(each)] for each in characters if ord(each) in face.names}
    glyphs = {name: face.glyph(name) for name in [NOTDEF, *sorted(set(known.values()))]}
    head, hhea, os2 = (face.font[table] for table in ("head", "hhea", "OS/2"))
    box = {name: getattr(head, name) for name in ("xMin", "yMin", "xMax", "yMax")}
    builder = FontBuilder(head.unitsPerEm, isTTF=False)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(known)
    outlines = {name: each.outline for name, each in glyphs.items()}
    builder.setupCFF(FAMILY.replace(" ", ""), {"FontBBox": list(box.values())}, outlines, {})
    builder.setupHorizontalMetrics({name: each.metrics for name, each in glyphs.items()})
    builder.setupHorizontalHeader(ascent=hhea.ascent, descent=hhea.descent, lineGap=hhea.lineGap)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    vertical = ("sTypoAscender", "sTypoDescender", "sTypoLineGap", "usWinAscent", "usWinDescent")
    builder.setupOS2(**{name: getattr(os2, name) for name in vertical})
    builder.setupPost(keepGlyphNames=False)
    builder.updateHead(created=0, modified=0, **box)
    builder.font.recalcTimestamp = builder.font.recalcBBoxes = False
    builder.font.flavor = "woff"
    out = io.BytesIO()
    builder.save(out)
    return out.getvalue()


class _Glyph(NamedTuple):
    outline: T2CharString
    metrics: tuple[int, int]


class _Face:
    """Noto Sans SC with the outlines that pages have asked for so far, without hints."""

    def __init__(self) -> None:
        import pylopdf_fonts_zh_cn
        from fontTools.ttLib import TTFont

        self.font = TTFont(pylopdf_fonts_zh_cn.sans_path(), lazy=True)
        self.names: dict[int, str] = self.font.getBestCmap()
        self._outlines = self.font.getGlyphSet()
        self._read: dict[str, _Glyph] = {}

    def glyph(self, name: str) -> _Glyph:
        from fontTools.pens.t2CharStringPen import T2CharStringPen

        if name not in self._read:
            width, bearing = self.font["hmtx"][name]
            pen = T2CharStringPen(width, self._outlines)
            self._outlines[name].draw(pen)
            outline = pen.getCharString()
            outline.compile()
            self._read[name] = _Glyph(outline, (width, bearing))
        return self._read[name]


@cache
def _face() -> _Face:
    return _Face()
