"""Chinese characters of one page as an embedded font, for machines that have no Chinese font at all.

The page prefers the reader's own Chinese face; this one is the last resort, so that a bare server, a
headless browser or a reviewer's laptop shows characters and not boxes.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from functools import lru_cache

FAMILY = "Cobench Han"
_LAYOUT_TABLES = ["BASE", "DSIG", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
# Quotation marks, dashes and ellipses are full-width in Chinese and must come from the same face.
_CHINESE = re.compile("[\u2014\u2018-\u201d\u2026\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")


def chinese_characters(text: str) -> str:
    """The distinct Chinese characters and punctuation marks in ``text``, sorted."""
    return "".join(sorted(set(_CHINESE.findall(text))))


@lru_cache(maxsize=64)
def font_face(characters: str) -> str:
    """A CSS ``@font-face`` rule with just these characters of Noto Sans SC; empty for no characters.

    The subset is WOFF (a font of 200 characters is about 30 KB). Licence: SIL OFL 1.1, which allows
    embedding of subsets.
    """
    if not characters:
        return ""
    data = base64.b64encode(_subset(characters)).decode("ascii")
    return f'@font-face{{font-family:"{FAMILY}";src:url(data:font/woff;base64,{data}) format("woff")}}'


def _subset(characters: str) -> bytes:
    import pylopdf_fonts_zh_cn
    from fontTools import subset
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.ERROR)
    options = subset.Options()
    options.hinting = False
    options.desubroutinize = True
    options.layout_features = []
    options.drop_tables += _LAYOUT_TABLES
    font = TTFont(pylopdf_fonts_zh_cn.sans_path(), lazy=True, recalcTimestamp=False, recalcBBoxes=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=characters)
    subsetter.subset(font)
    font.flavor = "woff"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()
