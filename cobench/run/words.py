"""Fixed phrases of pages and progress lines, from ``words.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from cobench.declared import Text


@cache
def all_words() -> dict[str, dict[str, Text]]:
    """Every phrase by section and name."""
    source = resources.files("cobench.run").joinpath("words.toml").read_text(encoding="utf-8")
    return {
        section: {name: Text(**phrase) for name, phrase in phrases.items()}
        for section, phrases in tomllib.loads(source).items()
    }


def phrase(key: str, **slots: object) -> Text:
    """The phrase ``section.name`` in both languages, its slots filled (left as they are where none is given).

    A slot may be a :class:`~cobench.declared.Text`; each language then gets its own.
    """
    section, name = key.split(".")
    text = all_words()[section][name]
    if not slots:
        return text
    return Text(*(text[language].format(**_in(language, slots)) for language in ("zh", "en")))


def has(key: str) -> bool:
    """Whether there is such a phrase."""
    section, name = key.split(".", 1)
    return name in all_words().get(section, {})


def words(language: str, section: str) -> dict[str, str]:
    """All phrases of one section in one language, slots unfilled."""
    return {name: text[language] for name, text in all_words()[section].items()}


def _in(language: str, slots: dict[str, object]) -> dict[str, object]:
    return {name: slot[language] if isinstance(slot, Text) else slot for name, slot in slots.items()}
