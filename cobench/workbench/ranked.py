"""Part of the page about one treatment: for whom its effect is larger, as a forest ranks students; exploratory."""

from __future__ import annotations

import pandas as pd

from cobench.release import release_aggregate, release_estimates
from cobench.show import Displayed, Labels, paragraph, table
from cobench.study import Effect
from cobench.workbench.desk import Desk, together
from cobench.workbench.effect import covariate_labels, effects_of

FOUND = 0.05


def by_prediction(desk: Desk, treatment: str) -> Displayed:
    """Groups of students from the lowest to the highest predicted effect, and how the outer two differ."""
    effects = [effect for effect in effects_of(desk, treatment) if effect.heterogeneity]
    if not effects or not desk.has("for_whom"):
        return paragraph(desk.say("page.no_for_whom"))
    intro = paragraph(desk.say("page.for_whom_intro"))
    return intro + together(part for effect in effects for part in _of(desk, effect))


def _of(desk: Desk, effect: Effect) -> list[Displayed]:
    outcome = desk.labels.short("outcome", effect.outcome, desk.language)
    rows, tests, profile = (
        frame[frame["effect"] == effect.id].reset_index(drop=True)
        for frame in map(desk.derived, ("for_whom", "for_whom_tests", "for_whom_profile"))
    )
    labels = _labels(desk, effect)
    refused = rows[rows["status"] != "ok"]
    parts = [
        paragraph(
            desk.say(
                "page.for_whom_refused",
                outcome=outcome,
                contrast=desk.labels.contrast(effect.treatment, row["contrast"], desk.language),
                reason=desk.reason(row["reason"]),
            )
        )
        for row in refused.to_dict("records")
    ]
    if len(refused) == len(rows):
        return parts
    known = rows[rows["status"] == "ok"].reset_index(drop=True)
    groups = table(
        release_estimates(known, min_cell=desk.min_cell, planned=desk.planned).pick(
            ["contrast", "subgroup", "estimate", "conf_low", "conf_high"]
        ),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.for_whom", outcome=outcome),
        formats=dict.fromkeys(("estimate", "conf_low", "conf_high"), ".2f"),
        note=desk.say("page.for_whom_note", n=effect.heterogeneity.divisions),
    )
    told = tests.assign(
        found=["found" if each < FOUND else "not_found" for each in tests["p_value"]],
        for_whom_test=tests["test"],
    )
    answers = table(
        release_aggregate(told[["contrast", "for_whom_test", "p_value", "found"]], about="design"),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.for_whom_tests", outcome=outcome),
        note=desk.say("page.for_whom_tests_note"),
    )
    outer = table(
        release_aggregate(_profile(profile, known, desk.min_cell), about="design"),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.for_whom_profile", outcome=outcome),
        formats=dict.fromkeys(("mean_lowest", "mean_highest"), ".2f"),
        note=desk.say("page.for_whom_profile_note"),
    )
    return [*parts, groups, answers, outer]


def _profile(profile: pd.DataFrame, rows: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """Means of the outer groups without those of flags that few, or all but few, have."""
    sizes = rows.groupby("contrast")["n_obs"].min().astype("float64")
    n = profile["contrast"].map(sizes)
    means = profile[["mean_lowest", "mean_highest"]]
    # Anything between 0 and 1 may be a flag; a number hidden without need does no harm.
    few = (
        means.ge(0)
        & means.le(1)
        & (means.mul(n, axis=0).lt(min_cell) | (1 - means).mul(n, axis=0).lt(min_cell))
    )
    hidden = few.any(axis=1) | (n < min_cell)
    return profile.assign(**{name: means[name].mask(hidden) for name in means})[
        ["contrast", "covariate", "mean_lowest", "mean_highest"]
    ]


def _labels(desk: Desk, effect: Effect) -> Labels:
    last = effect.heterogeneity.groups
    words = {"zh": "第 {place} 组", "en": "group {place}"}
    names = {
        f"predicted={place}": {
            code: desk.labels.text("predicted", {1: "lowest", last: "highest"}[place], code)
            if place in (1, last)
            else words[code].format(place=place)
            for code in words
        }
        for place in range(1, last + 1)
    }
    return covariate_labels(desk, effect.treatment, short=True).add("subgroup", names)
