"""The answer about one treatment as a paragraph: what was compared, what was found, how sure, what it can't say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cobench.show.carried import carried_rows, cite, citing, linked, unmarked
from cobench.show.displayed import Displayed
from cobench.show.labels import Labels
from cobench.show.sentences import (
    detected,
    effect_numbers,
    evidence_badge,
    interval_text,
    reason_text,
    unit_word,
    with_unit,
)
from cobench.show.wording import decimals, number, p_text, say, sentence_case

EVIDENCE = ("randomised", "quasi_experimental", "adjusted_association", "descriptive")
SD = ("标准差", "SD")
FEW_NULLS = 2


def holds(row: Mapping) -> bool:
    """Whether an estimate can be told from zero, after correction for multiple testing where there is one."""
    return detected(row) and not _number(row, "p_adjusted") >= 0.05


@dataclass(frozen=True)
class Context:
    """What a paragraph has to know besides its rows.

    Attributes
    ----------
    within : tuple of str
        Columns within which students were compared.
    family : int
        How many tests ``p_adjusted`` corrects for.
    interest : ``{outcome: value}``
        Smallest declared difference of interest.
    others : ``{(contrast, outcome): (agree, total)}``
        How many of the other declared adjustments find the same difference.
    assumption : str, optional
        What a quasi-experimental claim rests on, as a clause in the language of the paragraph.
    """

    within: tuple[str, ...] = ()
    family: int = 0
    interest: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    assumption: str | None = None


def answer(
    rows: Sequence[Mapping], labels: Labels, language: str, context: Context | None = None
) -> Displayed:
    """:func:`answer_text` with the badge of every kind of evidence that occurs in it."""
    with citing():
        text = answer_text(rows, labels, language, context)
    kinds = [kind for kind in (*EVIDENCE, "not_estimable") if any(_kind(row) == kind for row in rows)]
    badges = " ".join(evidence_badge(kind, language) for kind in kinds)
    told = " ".join(f"[{say(f'evidence.{kind}', language)}]" for kind in kinds)
    html = f'<p class="finding">{linked(text)} {badges}</p>'
    return Displayed(html, f"{unmarked(text)} {told}".strip(), tuple(carried_rows(rows, labels, language)))


def answer_text(
    rows: Sequence[Mapping], labels: Labels, language: str, context: Context | None = None
) -> str:
    """One paragraph about the declared effects of one treatment, in words that their evidence allows.

    Parameters
    ----------
    rows : sequence of mapping or Series
        Released rows of one treatment by primary methods on everybody, all of one role.
    """
    tell = _Teller(labels, language, context or Context())
    asked = [row for row in rows if _kind(row) in EVIDENCE]
    known = [row for row in asked if math.isfinite(_number(row, "estimate"))]
    hidden = [row for row in asked if not math.isfinite(_number(row, "estimate"))]
    blocks: dict[tuple[str, str], list[Mapping]] = {}
    for row in sorted(known, key=lambda row: EVIDENCE.index(_kind(row))):
        blocks.setdefault((labels.population(row.get("population"), language), _kind(row)), []).append(row)
    sentences = [
        each for (group, kind), own in blocks.items() for each in tell.block(own, group, kind) if each
    ]
    sentences += tell.unanswered([row for row in rows if _kind(row) == "not_estimable"], hidden)
    if any(unit_word(row, labels, language) in SD for row in known):
        sentences.append(say("answer.sd", language))
    return (" " if language == "en" else "").join(sentence_case(each) for each in sentences)


@dataclass(frozen=True)
class _Teller:
    """Sentences about rows of one treatment."""

    labels: Labels
    language: str
    context: Context

    @property
    def assumption(self) -> str:
        return self.context.assumption or say("effect.assumption_default", self.language)

    def say(self, key: str, **slots: object) -> str:
        return say(f"answer.{key}", self.language, **slots)

    def block(self, rows: list[Mapping], group: str, kind: str) -> list[str]:
        """What was compared, found, not found and can't be said, of rows with one kind of evidence."""
        found = [row for row in rows if holds(row)]
        lost = [row for row in rows if detected(row) and not holds(row)]
        null = [row for row in rows if not detected(row)]
        treatment = self.labels.text("treatment", rows[0].get("treatment", ""), self.language)
        return [
            self._compared(rows[0], group, kind),
            (" " if self.language == "en" else "").join(
                filter(None, [self._counts(rows, found), self._found(found, kind)])
            ),
            self._lost(lost),
            self._null(null, kind),
            self.say(f"caution_{kind}", **self._caution(kind, treatment)),
        ]

    def unanswered(self, rows: list[Mapping], hidden: list[Mapping]) -> list[str]:
        """What can't be answered, by reason, and what is not shown."""
        by_reason: dict[str, list[Mapping]] = {}
        for row in rows:
            by_reason.setdefault(reason_text(row.get("reason"), self.language), []).append(row)
        told = [
            self.say("not_estimable", names=self._names(own), reason=why) for why, own in by_reason.items()
        ]
        return [*told, *([self.say("hidden", names=self._names(hidden))] if hidden else [])]

    def _compared(self, row: Mapping, group: str, kind: str) -> str:
        treatment = str(row.get("treatment", ""))
        who = say("effect.who", self.language, group=group) if group else ""
        names = [self.labels.text("column", name, self.language) for name in self.context.within]
        where = self.say("within", names=self._joined(names)) if names else ""
        return self.say(
            f"compared_{kind}", who=who, where=where,
            treatment=self.labels.text("treatment", treatment, self.language),
            reference=self.labels.reference(treatment, row.get("contrast"), self.language),
        )  # fmt: skip

    def _counts(self, rows: list[Mapping], found: list[Mapping]) -> str:
        if len(rows) == 1:
            return ""
        role = "confirmatory" if rows[0].get("role") == "confirmatory" else "exploratory"
        corrected = any(math.isfinite(_number(row, "p_adjusted")) for row in rows)
        after = (
            self.say("corrected", family=self.context.family) if corrected and self.context.family > 1 else ""
        )
        slots = {"total": len(rows), "after": after, "kind": self.say(f"kind_{role}")}
        return self.say("counts", found=len(found), **slots) if found else self.say("counts_none", **slots)

    def _found(self, rows: list[Mapping], kind: str) -> str:
        if not rows:
            return ""
        clauses = [
            self.say(
                f"found_{kind}",
                agree=self._agree(row),
                **self._about(row),
                **self._sizes(row, kind in EVIDENCE[:2]),
            )
            for row in rows
        ]
        return self.say("found", clauses=("；" if self.language == "zh" else "; ").join(clauses))

    def _agree(self, row: Mapping) -> str:
        asked = (str(row.get("contrast")), str(row.get("outcome")))
        agree, total = self.context.others.get(asked, (0, 0))
        return self.say("agree", agree=agree, total=total) if total else ""

    def _lost(self, rows: list[Mapping]) -> str:
        if not rows:
            return ""
        named = [
            self.say(
                "lost_row",
                **self._about(row),
                **self._estimate(row),
                p=cite(row, "p_adjusted", p_text(_number(row, "p_adjusted"))),
            )
            for row in rows
        ]
        return self.say("lost", rows=self._joined(named))

    def _null(self, rows: list[Mapping], kind: str) -> str:
        if not rows:
            return ""
        largest: dict[str, tuple[float, str]] = {}
        for row in rows:
            outcome = str(row.get("outcome", ""))
            size, text = self._smallest_seen(row)
            if outcome not in largest or size > largest[outcome][0]:
                largest[outcome] = (size, text)
        seen = self.say("or").join(text for _, text in largest.values())
        names = self._names(rows, numbers=len(rows) <= FEW_NULLS)
        extra = {"assumption": self.assumption} if kind == "quasi_experimental" else {}
        return self.say(f"null_{kind}", names=names, seen=seen, **extra)

    def _smallest_seen(self, row: Mapping) -> tuple[float, str]:
        from cobench.effects.estimates import minimum_detectable  # a heavy room

        size = minimum_detectable(_number(row, "std_error"), _number(row, "df"))
        shown = cite(row, "detectable", with_unit(size, row, self.labels, self.language))
        told = {"size": shown, "outcome": self._outcome(row)}
        interest = self.context.interest.get(str(row.get("outcome", "")))
        if interest is None:
            return size, self.say("seen", **told)
        digits = decimals(_number(row, "std_error"))
        return size, self.say("seen_interest", **told, interest=number(interest, digits))

    def _names(self, rows: Sequence[Mapping], *, numbers: bool = False) -> str:
        """Contrasts by outcome, with their estimates on request."""
        by_outcome: dict[str, list[str]] = {}
        for row in rows:
            name = self._about(row)["contrast"]
            if numbers:
                name = self.say("numbers", contrast=name, **self._estimate(row))
            by_outcome.setdefault(self._outcome(row), []).append(name)
        return self._joined(
            [
                self.say("names", outcome=outcome, contrasts=self._joined(own, inner=True))
                for outcome, own in by_outcome.items()
            ]
        )

    def _joined(self, parts: Sequence[str], *, inner: bool = False) -> str:
        if self.language == "zh":
            return ("、" if inner or all("（" not in part for part in parts) else "；").join(parts)
        return ", ".join(parts) if inner or len(parts) > 2 else " and ".join(parts)

    def _about(self, row: Mapping) -> dict[str, str]:
        contrast = self.labels.contrast(str(row.get("treatment", "")), row.get("contrast"), self.language)
        return {"contrast": contrast, "outcome": self._outcome(row)}

    def _outcome(self, row: Mapping) -> str:
        return self.labels.short("outcome", row.get("outcome", ""), self.language)

    def _sizes(self, row: Mapping, causal: bool) -> dict[str, str]:
        told = effect_numbers(row, self.labels, self.language)
        return {"size": told["size"], "interval": told["interval"]} | (
            {"raised": told["raised"]} if causal else {"higher": told["higher"]}
        )

    def _estimate(self, row: Mapping) -> dict[str, str]:
        estimate = with_unit(_number(row, "estimate"), row, self.labels, self.language)
        return {"estimate": cite(row, "estimate", estimate), "interval": interval_text(row, self.language)}

    def _caution(self, kind: str, treatment: str) -> dict[str, str]:
        return {"assumption": self.assumption} if kind == "quasi_experimental" else {"treatment": treatment}


def _kind(row: Mapping) -> str:
    if row.get("status") == "not_estimable":
        return "not_estimable"
    return str(row.get("evidence") or "descriptive")


def _number(row: Mapping, key: str) -> float:
    value = row.get(key)
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError):
        return math.nan
