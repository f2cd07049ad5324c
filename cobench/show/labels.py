"""Names of things in both languages: what the study calls them, else the fixed wording, else the id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cobench.show.wording import LANGUAGES, has, say


@dataclass(frozen=True)
class Labels:
    """Labels by kind (usually a column name) and id: ``{"outcome": {"math": {"zh": ..., "en": ...}}}``."""

    entries: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def text(self, kind: str, key: object, language: str) -> str:
        """The label of ``key``; falls back to ``wording.toml`` and then to the id itself."""
        name = str(key)
        found = self.entries.get(kind, {}).get(name)
        if found is not None:
            return found[language]
        return say(f"{kind}.{name}", language) if has(f"{kind}.{name}") else name

    def short(self, kind: str, key: object, language: str) -> str:
        """The label of ``key`` without what stands in brackets; for sentences and heads beside a full label."""
        name = self.text(kind, key, language)
        return re.sub(r"\s*（[^（）]*）|\s*\([^()]*\)", "", name).strip() or name

    def shortened(self, kind: str) -> Labels:
        """These labels with those of one kind short."""
        short = {
            key: {language: self.short(kind, key, language) for language in LANGUAGES}
            for key in self.entries.get(kind, {})
        }
        return self.add(kind, short)

    def has(self, kind: str, key: object) -> bool:
        """Whether the study (not the fixed wording) has a label for ``key``."""
        return str(key) in self.entries.get(kind, {})

    def add(self, kind: str, more: Mapping[str, Mapping[str, str]]) -> Labels:
        """These labels and ``more`` of one kind."""
        return Labels({**self.entries, kind: {**self.entries.get(kind, {}), **more}})

    def contrast(self, treatment: str, contrast: object, language: str) -> str:
        """Label of the treated side of a contrast such as ``targeted`` or ``targeted - none``."""
        level = _sides(contrast)[0]
        for key in (f"{treatment}:{level}", level):
            if self.has("contrast", key):
                return self.text("contrast", key, language)
        return self.text("treatment", treatment, language) if level in ("", "1", "any") else level

    def reference(self, treatment: str, contrast: object, language: str) -> str:
        """Label of the untreated side of a contrast."""
        side = _sides(contrast)[1]
        if side and self.has("contrast", f"{treatment}:{side}"):
            return self.text("contrast", f"{treatment}:{side}", language)
        if self.has("reference", treatment):
            return self.text("reference", treatment, language)
        return say("effect.and_others", language)

    def subgroup(self, subgroup: object, language: str) -> str:
        """Label of a subgroup such as ``sex=f`` or ``category:left_behind``; empty for everybody."""
        name = "" if subgroup is None or subgroup != subgroup else str(subgroup)
        if name in ("", "all"):
            return ""
        if self.has("subgroup", name):
            return self.text("subgroup", name, language)
        cohort = re.fullmatch(r"(?:first|start)=([^;]*)(?:;before=([01]+))?", name)
        if cohort:
            return self._cohort(cohort[1], cohort[2] or "", language)
        column, _, value = name.partition("=")
        kind, _, key = column.rpartition(":")
        if kind == "category" and value in ("", "1", "True", "true"):
            return self.text("category", key, language)
        if kind == "category":
            other = {"zh": "非{}", "en": "not {}"}[language]
            return other.format(self.text("category", key, language))
        return self.text(column, value, language) if value else name

    def _cohort(self, term: str, before: str, language: str) -> str:
        """Students whose exposure began in a term, and what they had in the terms before (``01``: none, then some)."""
        named = self.text("term", term, language)
        if not before:
            return say("subgroup.first", language, term=named)
        had = [say("subgroup.had" if each == "1" else "subgroup.had_not", language) for each in before]
        return say("subgroup.start", language, term=named, before=say("page.choice_join", language).join(had))

    def population(self, population: object, language: str) -> str:
        """Label of a population such as ``all`` (empty) or ``all:on_support, matched``: who is left."""
        name = "" if population is None or population != population else str(population)
        base, _, parts = name.partition(":")
        known = [self.text("population", base, language)] if base not in ("", "all") else []
        left = [_left(part, language) for part in re.split(r", (?![\d.]+\])", parts) if part]
        return " · ".join([*known, *left])


def _items(study: Any) -> dict[str, dict[str, str]]:
    """Items of registers by the word that schools write for them; in English by their id in words."""
    written = {
        str(code): word
        for source in reversed(study.sources)
        for word, code in source.levels.get("item", {}).items()
    }
    return {
        code: {"zh": word, "en": code.replace("_", " ")}
        for code, word in written.items()
        if not has(f"item.{code}")
    }


def _left(part: str, language: str) -> str:
    """Who is left after trimming: ``on_support``, ``matched``, ``propensity in [0.1, 0.9]``."""
    trimmed = re.fullmatch(r"propensity in \[([\d.]+), ([\d.]+)\]", part)
    if trimmed:
        return say("population.propensity", language, low=trimmed[1], high=trimmed[2])
    return say(f"population.{part}", language) if has(f"population.{part}") else part


def _sides(contrast: object) -> tuple[str, str]:
    text = "" if contrast is None or contrast != contrast else str(contrast)
    parts = re.split(r"\s+(?:-|vs\.?|against)\s+", text, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def study_labels(study: Any, **more: Mapping[str, Mapping[str, str]]) -> Labels:
    """Labels that ``study.toml`` declares, and ``more`` by kind: ``{"S01": {"zh": ..., "en": ...}}``."""
    contrasts, references = {}, {}
    for name, treatment in study.treatments.items():
        references[name] = treatment.reference_label
        contrasts[f"{name}:{treatment.reference}"] = treatment.reference_label
        contrasts |= {f"{name}:{level.id}": level.label for level in treatment.levels}
    columns = {name: column.label for name, column in study.columns.items()}
    items = _items(study)
    entries = {
        "treatment": {name: each.label for name, each in study.treatments.items()},
        "contrast": contrasts,
        "reference": references,
        "outcome": {name: each.label for name, each in study.outcomes.items()},
        "unit": {name: each.unit for name, each in study.outcomes.items()},
        "higher_is": {n: {"zh": o.higher_is, "en": o.higher_is} for n, o in study.outcomes.items()},
        "scale": {name: each.label for name, each in study.scales.items()},
        "category": {each.id: each.label for each in study.categories},
        "term": {each.id: each.label for each in study.terms},
        "item": items,
        "entry": items,  # an item that a jury judged
        "covariate": columns,
        **{name: column.values for name, column in study.columns.items() if column.values},
    }
    labels = Labels({kind: {k: v for k, v in each.items() if v} for kind, each in entries.items()})
    for kind, texts in more.items():
        labels = labels.add(kind, texts)
    return labels
