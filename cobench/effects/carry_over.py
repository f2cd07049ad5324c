"""For how long an exposure matters: declared, never guessed, and what the declaration lets be compared."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.effects.checks import Check, p_in_words
from cobench.effects.estimates import minimum_detectable
from cobench.errors import ParameterError

ANY = "any"
ALPHA = 0.05
CARRIED = ["at", "estimate", "std_error", "df", "p_value", "found_with_80_percent"]


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


def carry_over_check(
    lasting: int, at: float, estimate: float, std_error: float, df: float, p_value: float, level: str
) -> Check:
    """Whether an exposure still matters ``at`` terms after its own, one more than declared; NaN: not testable."""
    said = declared_in_words(lasting)
    if np.isnan(estimate):
        text = {
            "zh": f"声明：{said['zh']}；学期太少，无法检验。",
            "en": f"Declared: {said['en']}; there are too few terms to test it.",
        }
        return Check("carry_over", "not_applicable", pd.DataFrame(columns=CARRIED), text, level)
    smallest = minimum_detectable(std_error, df)
    failed = p_value < ALPHA
    text = {
        "zh": f"声明：{said['zh']}。{'检验与此矛盾' if failed else '检验没有发现矛盾'}：{at:g} 个学期之后的差别为 {estimate:.3g}"
        f"（{p_in_words(p_value)}）；不小于 {smallest:.3g} 的影响有 80% 的可能被发现。",
        "en": f"Declared: {said['en']}. {'A test contradicts this' if failed else 'No test contradicts this'}: {at:g} "
        f"terms later the difference is {estimate:.3g} ({p_in_words(p_value)}); one of {smallest:.3g} or more would have "
        "been found with 80 % probability.",
    }
    table = pd.DataFrame([(at, estimate, std_error, df, p_value, smallest)], columns=CARRIED)
    return Check("carry_over", "failed" if failed else "passed", table, text, level)
