import re
import string

import pytest

from cobench.declared import Text
from cobench.run.render import TEMPLATES
from cobench.run.words import all_words, phrase

PHRASES = [
    (f"{section}.{name}", text) for section, names in all_words().items() for name, text in names.items()
]


def slots(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(("key", "text"), PHRASES, ids=[key for key, _ in PHRASES])
def test_both_languages_of_a_phrase_have_text_and_the_same_slots(key, text):
    assert text.zh.strip() and text.en.strip()
    assert slots(text.zh) == slots(text.en)


def test_every_phrase_is_used_somewhere():
    sources = [*TEMPLATES.parent.glob("*.py"), *TEMPLATES.rglob("*.j2")]
    used = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    # Keys put together at run time: by state, by language, by check, by column.
    composed = re.compile(
        r"placeholder\.|index\.in_|index\.(visit|lecture|standards)|doctor\.|stale\.|frame\.|data\.role_|verify\.|diff\.|schedule\.(state|choice|next)_"
    )
    unused = [
        key
        for key, _ in PHRASES
        if not composed.match(key) and not re.search(rf"\b{key.split('.')[1]}\b", used)
    ]
    assert unused == []


def test_a_slot_may_itself_be_in_both_languages():
    said = phrase("reason.page_error", what=Text("缺图", "a figure is missing"))
    assert said.zh.endswith("缺图。") and said.en.endswith("a figure is missing.")
