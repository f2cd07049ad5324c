"""For how long an exposure matters: declared, never guessed, and what the declaration lets be compared."""

from __future__ import annotations

from cobench.errors import ParameterError

ANY = "any"


def declared_terms(carry_over: object) -> int | None:
    """Terms after its own in which an exposure still matters: 0 for ``none``, None for ``any``.

    Raises
    ------
    ParameterError
        For anything else, or nothing: this can't be guessed.
    """
    if carry_over == "none":
        return 0
    if isinstance(carry_over, str) and carry_over == ANY:
        return None
    whole = isinstance(carry_over, int) and not isinstance(carry_over, bool) and carry_over >= 0
    if whole:
        return carry_over
    raise ParameterError(
        en=f"carry_over = {carry_over!r}: declare for how many terms after its own a visit still matters: none, a "
        "whole number, or any",
        zh=f"carry_over = {carry_over!r}：请声明一次干预在其后多少个学期内仍有影响：none、整数或 any",
    )


def declared_in_words(lasting: int | None) -> dict[str, str]:
    """The declaration as a clause in both languages."""
    if lasting is None:
        return {"zh": "干预的影响可以持续任意久", "en": "an exposure may matter for ever"}
    if lasting == 0:
        return {"zh": "干预只影响当学期", "en": "an exposure matters in its own term only"}
    return {
        "zh": f"干预在其后 {lasting} 个学期内仍有影响，之后不再有影响",
        "en": f"an exposure matters in its own term and {lasting} more, and not afterwards",
    }
