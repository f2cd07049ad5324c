"""Sentences about effects, chosen by what the evidence allows: no causal verb below quasi-experimental."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cobench.release.escape import escape_html
from cobench.show.carried import cite
from cobench.show.labels import Labels
from cobench.show.wording import decimals, has, number, p_text, say, sentence_case

COUNTED = ("天", "次", "节", "小时", "分钟", "本", "days", "times", "visits", "hours", "minutes")


def detected(row: Mapping) -> bool:
    """Whether the interval of an estimate leaves out zero."""
    return _number(row, "conf_low") > 0 or _number(row, "conf_high") < 0


def effect_sentence(
    row: Mapping,
    labels: Labels,
    language: str,
    *,
    assumption: str | None = None,
    sensitivity: str | None = None,
    remedy: str | None = None,
) -> str:
    """What one row of released estimates says, in words that its ``evidence`` allows.

    Parameters
    ----------
    row : mapping or Series
        A row of the frame of estimates; ``reason`` may be a key of ``wording.toml`` [reason] or a text.
    assumption : str, optional
        What a quasi-experimental claim rests on, as a clause in ``language``.
    sensitivity : str, optional
        Name of the benchmark covariate ("last term's score") that an unmeasured cause would have to match.
    remedy : str, optional
        What would make the question answerable next term, as a clause in ``language``.
    """
    names = _names(row, labels, language)
    evidence = str(row.get("evidence") or "descriptive")
    if row.get("status") == "not_estimable" or evidence == "not_estimable":
        text = say(
            "effect.not_estimable", language, reason=reason_text(row.get("reason"), language), **_three(names)
        )
        text += say("effect.next_term", language, remedy=remedy) if remedy else ""
        return sentence_case(text)
    if not math.isfinite(_number(row, "estimate")):
        return sentence_case(say("effect.hidden", language, **_three(names)))
    found = detected(row)
    filled = {
        **names,
        **effect_numbers(row, labels, language),
        "assumption": assumption or say("effect.assumption_default", language),
        "sensitivity": _sensitivity(sensitivity, language),
        "treatment": labels.text("treatment", row.get("treatment", ""), language),
    }
    key = f"effect.{evidence}_{'detected' if found else 'null'}"
    text = _fill(key, language, filled)
    p = _number(row, "p_adjusted")
    if found and math.isfinite(p) and p >= 0.05:
        text += say("effect.multiplicity", language, p=cite(row, "p_adjusted", p_text(p)))
    return sentence_case(text)


def interval_text(row: Mapping, language: str) -> str:
    """``95% CI 0.05 to 0.19`` of one row."""
    low, high = interval_limits(row)
    text = say("effect.interval", language, level=f"{100 * _level(row):.0f}", low=low, high=high)
    return cite(row, "interval", text)


def interval_limits(row: Mapping) -> tuple[str, str]:
    """Both limits, with a decimal more where rounding would put one on zero and hide its sign."""
    low, high = _number(row, "conf_low"), _number(row, "conf_high")
    digits = decimals(_number(row, "std_error"))
    hidden = any(0 < abs(limit) < 0.5 * 10**-digits for limit in (low, high))
    digits += 1 if hidden else 0
    return number(low, digits), number(high, digits)


def evidence_badge(evidence: str, language: str, why: str | None = None) -> str:
    """HTML badge for a kind of evidence; hovering, tapping or a screen reader says why."""
    label = escape_html(say(f"evidence.{evidence}", language))
    reason = escape_html(why or say(f"evidence_why.{evidence}", language))
    return (
        f'<span class="badge" data-evidence="{escape_html(evidence)}" tabindex="0" role="note" '
        f'title="{reason}" aria-label="{label}: {reason}">{label}</span>'
    )


def with_unit(value: float, row: Mapping, labels: Labels, language: str, *, signed: bool = False) -> str:
    """A value of the outcome with its unit, as in a sentence."""
    text = number(value, decimals(_number(row, "std_error")), signed=signed)
    unit = unit_word(row, labels, language)
    if unit == "标准差":
        unit = "个标准差"
    return f"{text} {unit}" if unit else text


def unit_word(row: Mapping, labels: Labels, language: str) -> str:
    """The unit of a row's outcome without what stands in brackets; empty if none is declared."""
    outcome = row.get("outcome", "")
    if not labels.has("unit", outcome):
        return ""
    unit = labels.text("unit", outcome, language)
    return unit.split("（")[0].split("(")[0].strip()


def reason_text(reason: object, language: str) -> str:
    """Why something can't be answered: a key of ``wording.toml`` [reason], a reason of ``effects``, or a text."""
    from cobench.effects.reasons import reason_in

    text = "" if reason is None or reason != reason else str(reason).strip().rstrip(".。")
    if has(f"reason.{text}"):
        return say(f"reason.{text}", language)
    return reason_in(text, language) or say("evidence_why.not_estimable", language).rstrip(".。")


def _fill(key: str, language: str, filled: dict[str, str]) -> str:
    from cobench.show.wording import slots, wording

    wanted = slots(wording()[key][language]) if has(key) else set()
    return say(key, language, **{name: filled[name] for name in wanted})


def _names(row: Mapping, labels: Labels, language: str) -> dict[str, str]:
    treatment = str(row.get("treatment", ""))
    group = labels.subgroup(row.get("subgroup"), language)
    group = group or labels.population(row.get("population"), language)
    return {
        "who": say("effect.who", language, group=group) if group else "",
        "contrast": labels.contrast(treatment, row.get("contrast"), language),
        "reference": labels.reference(treatment, row.get("contrast"), language),
        "outcome": labels.text("outcome", row.get("outcome", ""), language),
    }


def _three(names: dict[str, str]) -> dict[str, str]:
    return {key: names[key] for key in ("who", "contrast", "outcome")}


def effect_numbers(row: Mapping, labels: Labels, language: str) -> dict[str, str]:
    """Numbers and verbs of one row as they stand in a sentence."""
    from cobench.effects.estimates import minimum_detectable  # a heavy room, and few pages speak of effects

    estimate, std_error = _number(row, "estimate"), _number(row, "std_error")
    up = estimate > 0
    counted = unit_word(row, labels, language) in COUNTED
    raised = ("increased", "reduced") if counted else ("raised", "lowered")
    higher = ("more", "fewer") if counted else ("higher", "lower")
    size = _number(row, "effect_size")
    percent = cite(row, "percent", f"{100 * abs(size):.0f}")
    mde = minimum_detectable(std_error, _number(row, "df"))
    return {
        "size": cite(row, "size", with_unit(abs(estimate), row, labels, language)),
        "estimate": cite(row, "estimate", with_unit(estimate, row, labels, language)),
        "interval": interval_text(row, language),
        "mde": cite(row, "detectable", with_unit(mde, row, labels, language)),
        "raised": say(f"verb.{raised[0 if up else 1]}", language),
        "higher": say(f"verb.{higher[0 if up else 1]}", language),
        "gap": say("effect.gap", language, percent=percent) if math.isfinite(size) else "",
    }


def _sensitivity(benchmark: str | None, language: str) -> str:
    if benchmark:
        return say("effect.sensitivity_benchmark", language, benchmark=benchmark)
    return say("effect.sensitivity_default", language)


def _level(row: Mapping) -> float:
    level = _number(row, "conf_level")
    return level if math.isfinite(level) else 0.95


def _number(row: Mapping, key: str) -> float:
    value = row.get(key)
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError):
        return math.nan
