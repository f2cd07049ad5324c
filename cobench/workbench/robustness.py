"""Parts of the page about one treatment that vary what was chosen: specification curve, weightings, subgroups."""

from __future__ import annotations

import pandas as pd

from cobench.designs import Specification, design_of, specifications
from cobench.release import release_aggregate
from cobench.show import Displayed, Figure, Spec, forest_plot, paragraph, say, spec_curve, table
from cobench.show.wording import sentence_case
from cobench.study import Effect
from cobench.workbench import summary
from cobench.workbench.desk import Desk
from cobench.workbench.effect import (
    covariate_labels,
    effects_of,
    main_effect,
    of_main_effect,
    released_balance,
)

UNADJUSTED = "difference"
WEIGHTING_COLUMNS = [
    "contrast", "method", "largest_before", "largest_after", "wwc_counts", "ess", "population",
]  # fmt: skip
VERDICTS = ("satisfied", "needs_adjustment", "fails")


def curve(desk: Desk, treatment: str, outcome: str) -> Figure | Displayed:
    """Specification curve of one declared effect: all declared specifications and no other."""
    found = [effect for effect in effects_of(desk, treatment) if effect.outcome == outcome]
    shown = [each for effect in found for each in _curve(desk, effect)]
    return shown[0] if len(shown) == 1 else paragraph(desk.say("page.no_curve"))


def curves(desk: Desk, treatment: str) -> None:
    """Show the specification curve of every declared effect of the treatment, in the order declared."""
    from IPython.display import display

    display(paragraph(desk.say("page.curve_intro")))
    for effect in effects_of(desk, treatment):
        for figure in _curve(desk, effect):
            display(figure)


def declared_specs(desk: Desk, effect: Effect) -> list[Spec]:
    """The declared specifications of an effect in the order declared, with their choices in words."""
    declared = specifications(desk.study, desk.term.id, effect)
    return [
        Spec(*each.key, choices=_choices(desk, effect, each), primary=each.primary)
        for each in sorted(declared, key=lambda each: each.method != UNADJUSTED)
    ]


def weightings(desk: Desk, treatment: str) -> Displayed:
    """Every weighting of the main effect: balance it reaches, effective numbers, and whom it leaves."""
    balance = of_main_effect(desk, treatment, "balance_by_method")
    if not len(balance):
        return paragraph(desk.say("page.no_weights"))
    effect = main_effect(desk, treatment)
    spec_id = design_of(desk.study, desk.term.id, effect).spec_id
    rows = desk.effects(treatment).where(lambda frame: summary.everybody(frame)).frame
    rows = rows[rows["spec_id"] == spec_id].set_index(["contrast", "method"])
    parts = []
    for contrast, found in balance.groupby("contrast", sort=False):
        before = released_balance(desk, _of_first_method(found), effect).frame["smd_before"].abs().max()
        for method, own in found.groupby("method", sort=False):
            shown = released_balance(desk, own.reset_index(drop=True), effect).frame
            verdicts = shown["wwc_after"].value_counts()
            row = rows.loc[(contrast, method)]
            parts.append(
                {
                    "contrast": contrast,
                    "method": method,
                    "largest_before": before,
                    "largest_after": shown["smd_after"].abs().max(),
                    "wwc_counts": " / ".join(str(verdicts.get(verdict, 0)) for verdict in VERDICTS),
                    "ess": row["ess"],
                    "population": row["population"],
                }
            )
    return table(
        release_aggregate(pd.DataFrame(parts)[WEIGHTING_COLUMNS], about="design"),
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        caption=desk.say(
            "page.weightings", outcome=desk.labels.text("outcome", effect.outcome, desk.language)
        ),
        formats={"largest_before": ".2f", "largest_after": ".2f", "ess": "count"},
        note=desk.say("page.weightings_note"),
    )


def _of_first_method(balance: pd.DataFrame) -> pd.DataFrame:
    return balance[balance["method"] == balance["method"].iloc[0]].reset_index(drop=True)


def subgroups(desk: Desk, treatment: str) -> Figure | Displayed:
    """Declared subgroups of the first effect that has any, by its primary method; exploratory.

    The other outcomes' subgroups are in the page's downloads.
    """
    released = desk.effects(treatment).where(lambda frame: ~summary.everybody(frame))
    if not len(released):
        return paragraph(desk.say("page.no_subgroups"))
    first = released.frame["outcome"].iloc[0]
    shown = released.where(lambda frame: frame["outcome"] == first)
    name = desk.labels.short("outcome", first, desk.language)
    title = desk.say("page.subgroups_title", outcome=name)
    return forest_plot(shown, language=desk.language, labels=desk.labels, title=title)


def interactions(desk: Desk, treatment: str) -> Displayed:
    """Whether the effect differs between the levels of each declared subgroup: one joint test each."""
    frame = desk.derived("checks")
    effects = {effect.id: effect for effect in effects_of(desk, treatment)}
    frame = frame[frame["effect"].isin(list(effects)) & (frame["check"] == "interaction")]
    if not len(frame):
        return paragraph(desk.say("page.no_subgroups"))
    effect = next(effects[each] for each in frame["effect"])
    own = frame[frame["effect"] == effect.id]
    texts = [_split(desk, effect, text) for text in own[f"text_{desk.language}"]]
    shown = pd.DataFrame(
        {
            "subgroup_of": [name for name, _ in texts],
            "contrast": own["contrast"].to_numpy(),
            "text": [sentence_case(text) for _, text in texts],
        }
    ).sort_values("subgroup_of", kind="stable", ignore_index=True)
    outcome = desk.labels.short("outcome", effect.outcome, desk.language)
    return paragraph(desk.say("page.subgroups_rule")) + table(
        release_aggregate(shown, about="design"),
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        caption=desk.say("page.interactions", outcome=outcome),
    )


def _curve(desk: Desk, effect: Effect) -> list[Figure]:
    specs = declared_specs(desk, effect)
    if len(specs) < 2:
        return []
    keys = {(spec.spec_id, spec.method): place for place, spec in enumerate(specs)}
    released = desk.effects(effect.treatment).where(lambda frame: _asked(frame, keys))
    if not len(released):
        return []
    labels = desk.labels.add("specification", {spec.spec_id: _in_words(desk, effect, spec) for spec in specs})
    outcome = labels.short("outcome", effect.outcome, desk.language)
    figure = spec_curve(released, specs, language=desk.language, labels=labels, outcome=outcome)
    return [figure]


def _asked(frame: pd.DataFrame, keys: dict) -> pd.Series:
    pairs = zip(frame["spec_id"], frame["method"], strict=True)
    return pd.Series([pair in keys for pair in pairs], index=frame.index) & summary.everybody(frame)


def _choices(desk: Desk, effect: Effect, spec: Specification, language: str = "") -> dict[str, str]:
    """What a specification chooses, by group of choices, in words."""
    language = language or desk.language
    labels = covariate_labels(desk, effect.treatment, short=True)
    variant, design = spec.variant, spec.design

    def group(name: str) -> str:
        return say(f"page.choice_{name}", language)

    def named(kind: str, names: tuple[str, ...]) -> str:
        return say("page.choice_join", language).join(labels.text(kind, name, language) for name in names)

    plain = spec.method == UNADJUSTED
    none = say("page.choice_none", language)
    adjust = say("page.choice_all", language)
    if variant is not None and variant.adjust is not None:
        adjust = say("page.choice_only", language, names=named("covariate", design.covariates))
    errors = say("page.choice_own_error", language)
    if variant is not None and variant.se_type is not None:
        errors = variant.se_type
    trim = (
        none
        if design.trim is None
        else say("page.choice_trimmed", language, low=design.trim, high=1 - design.trim)
    )
    return {
        group("method"): labels.text("method", spec.method, language),
        group("adjust"): none if plain or not design.covariates else adjust,
        group("within"): none if plain or not design.within else named("column", design.within),
        group("cluster"): labels.text("column", design.cluster, language) if design.cluster else none,
        group("error"): errors,
        group("trim"): trim,
    }


def _in_words(desk: Desk, effect: Effect, spec: Spec) -> dict[str, str]:
    """A specification's choices in both languages, for the table behind the curve."""
    declared = {each.key: each for each in specifications(desk.study, desk.term.id, effect)}
    own = declared[spec.spec_id, spec.method]
    if own.variant is None:
        return {language: say("page.as_declared", language) for language in ("zh", "en")}
    main = declared[next(iter(declared))]
    words = {}
    for language in ("zh", "en"):
        usual = _choices(desk, effect, main, language)
        differs = [f"{name}: {text}" if language == "en" else f"{name}：{text}"
                   for name, text in _choices(desk, effect, own, language).items() if usual[name] != text]  # fmt: skip
        words[language] = ("；" if language == "zh" else "; ").join(differs)
    return words


def _split(desk: Desk, effect: Effect, text: str) -> tuple[str, str]:
    """Label of the column that a joint test is about, and what the test says."""
    columns = design_of(desk.study, desk.term.id, effect).subgroup_columns
    column = next((name for _, name in columns if text.startswith(name)), "")
    label = covariate_labels(desk, effect.treatment).text("covariate", column, desk.language)
    if column.endswith(":never_before"):
        treatment = desk.labels.text("treatment", effect.treatment, desk.language)
        label = desk.say("page.by_history", treatment=treatment)
    return label, text.removeprefix(column).lstrip(":： ")
