"""Parts of the page about one treatment on what is missing: sample flow, imputed answers, loss after a draw."""

from __future__ import annotations

import pandas as pd

from cobench.panel import covariate_columns
from cobench.release import Released, release_aggregate, release_estimates, release_table
from cobench.show import Displayed, Figure, flow_chart, paragraph, table
from cobench.stage import population_of
from cobench.study import Effect
from cobench.workbench import quality
from cobench.workbench.desk import Desk, together
from cobench.workbench.effect import (
    contrast_label,
    covariate_labels,
    effects_of,
    main_balance,
    main_effect,
    main_outcome,
    of_main_effect,
)

BESIDE = [
    "contrast", "version", "estimate", "conf_low", "conf_high", "share_imputed", "share_outcome",
    "share_missing_information",
]  # fmt: skip
LOST_SHARES = ["overall", "differential"]
MOST_REASONS = 3
FEW, MANY = 100, 500  # a share in steps of 5 (of 1) points is then at least five children wide


def flow(desk: Desk, treatment: str) -> Figure | Displayed:
    """From the roster to the analysis of the main effect, with who was left out and why; the table is behind it."""
    released = released_flow(desk, treatment)
    if released is None:
        return paragraph(desk.say("page.no_flow"))
    shown = main_balance(desk, treatment)
    shown = shown if len(shown) else released.frame
    return flow_chart(
        released,
        shown["contrast"].iloc[0],
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        title=desk.say(
            "page.flow",
            outcome=main_outcome(desk, treatment),
            contrast=contrast_label(desk, treatment, shown),
        ),
        note=desk.say("page.flow_note", n=desk.min_cell),
    )


def released_flow(desk: Desk, treatment: str) -> Released | None:
    """The flow of the main effect by contrast, small steps merged; None where nothing was estimated."""
    frame = of_main_effect(desk, treatment, "flow")
    if not len(frame):
        return None
    parts = [
        without_small_steps(own.assign(text=_told(desk, treatment, own)), "text", desk.min_cell)
        for _, own in frame.groupby("contrast", sort=False)
    ]
    return release_table(
        pd.concat(parts, ignore_index=True), counts="n", values=["dropped"], min_cell=desk.min_cell
    )


def _told(desk: Desk, treatment: str, steps: pd.DataFrame) -> list[str]:
    """The steps of one contrast in words: what is missing by its name, and the commonest reasons.

    A reason is named where it is that of enough of those who leave at the step; numbers are not given.
    """
    effect = main_effect(desk, treatment)
    labels = covariate_labels(desk, treatment, short=True)
    left = population_of(desk.derived("panel"), effect)
    why = desk.derived("missing")
    arms = (steps["contrast"].iloc[0], desk.study.treatments[treatment].reference)
    texts = []
    for row in steps.to_dict("records"):
        text, (kind, _, column) = row[f"text_{desk.language}"], row["step"].partition(":")
        if kind == "analysed" and row["dropped"]:
            text = desk.say("page.flow_other_arms")
        if column:
            text = text.replace(column, labels.text("covariate", column, desk.language))
        column = {"outcome_missing": effect.outcome, "exposure_unknown": treatment}.get(kind, column)
        if kind == "other_level":
            left = left[left[treatment].isin(arms)]
        if column in left:
            gone = left[column].isna()
            own = why[
                (why["column"] == column) & why["student"].isin(left.loc[gone, "student"].astype("str"))
            ]
            common = own["reason"].value_counts()
            names = [
                desk.labels.text("missing", each, desk.language)
                for each in common[common >= desk.min_cell].index[:MOST_REASONS]
            ]
            if names:
                reasons = desk.say("page.choice_join").join(names)
                text = desk.say("page.flow_reasons", step=text, reasons=reasons)
            left = left[~gone]
        texts.append(text)
    return texts


def missing(desk: Desk, treatment: str) -> Displayed:
    """Exposure, outcome and baseline of the first declared effect: students with a value, and why not the others."""
    main = main_effect(desk, treatment)
    lagged = [
        name for name in covariate_columns(desk.study, main) if name.endswith(("@baseline", ":history"))
    ]
    columns = list(dict.fromkeys([treatment, main.outcome, *lagged]))
    return quality.missing_table(
        desk, columns, desk.say("page.missing_effect", outcome=main_outcome(desk, treatment))
    )


def imputed(desk: Desk, treatment: str) -> Displayed:
    """Complete cases beside imputed answers, for every effect that declares it: estimates, and what is assumed."""
    effects = [effect for effect in effects_of(desk, treatment) if effect.impute]
    if not effects or not desk.has("imputed"):
        return paragraph(desk.say("page.no_imputed"))
    intro = paragraph(desk.say("page.imputed_intro"))
    return intro + together(part for effect in effects for part in _imputed(desk, effect))


def _imputed(desk: Desk, effect: Effect) -> list[Displayed]:
    rows = desk.derived("imputed")
    rows = rows[rows["effect"] == effect.id]
    outcome = desk.labels.short("outcome", effect.outcome, desk.language)
    refused = rows[(rows["status"] != "ok") & (rows["version"] == "imputed")]
    if len(refused) == (rows["version"] == "imputed").sum():
        reason = desk.reason(refused["reason"].iloc[0]) if len(refused) else desk.say("page.no_curve_rows")
        return [paragraph(desk.say("page.imputed_refused", outcome=outcome, reason=reason))]
    shown = pd.DataFrame([_without_counts(row, desk.min_cell) for row in rows.to_dict("records")])
    given = effect.impute
    method = desk.labels.text("method", effect.primary, desk.language)
    note = desk.say("page.imputed_note", n=given.imputations, method=method)
    labels = covariate_labels(desk, effect.treatment)
    beside = table(
        release_aggregate(shown[BESIDE], about="design"),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.imputed_caption", outcome=outcome),
        formats={"estimate": ".2f", "conf_low": ".2f", "conf_high": ".2f"},
        note=note,
    )
    filled = desk.derived("imputed_columns")
    filled = filled[filled["effect"] == effect.id]
    told = pd.DataFrame(
        {
            "covariate": filled["column"],
            "share_missing": [
                coarse(share, n) for share, n in zip(filled["share_missing"], filled["n"], strict=True)
            ],
            "r_hat": filled["r_hat_mean"],
        }
    )
    names = {
        code: {effect.outcome: desk.labels.text("outcome", effect.outcome, code)} for code in ("zh", "en")
    }
    labels = labels.add("covariate", {effect.outcome: {code: names[code][effect.outcome] for code in names}})
    columns = table(
        release_aggregate(told, about="design"),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.imputed_columns", outcome=outcome),
        formats={"r_hat": ".2f"},
        note=desk.say("page.imputed_columns_note"),
    )
    return [beside, columns]


def _without_counts(row: dict, min_cell: int) -> dict:
    """A row of the comparison: nothing of small arms, and shares too coarse to count children by."""
    arms = [row["n_treated"], row["n_obs"] - row["n_treated"]] if row["status"] == "ok" else [0.0]
    small = any(pd.isna(arm) or arm < min_cell for arm in arms)
    hidden = dict.fromkeys(("estimate", "conf_low", "conf_high", "share_missing_information"), float("nan"))
    shares = {
        name: coarse(row[name], 0 if small else row["n_obs"]) for name in ("share_imputed", "share_outcome")
    }
    return row | (hidden if small else {}) | shares


def coarse(share: float, n: float) -> float:
    """A share rounded so that no count of fewer than five children's width follows from it; missing for few."""
    if pd.isna(share) or n < FEW:
        return float("nan")
    step = 0.01 if n >= MANY else 0.05
    return round(share / step) * step


def attrition(desk: Desk, treatment: str) -> Displayed:
    """Loss after a declared draw against the boundaries of WWC, and Lee's bounds; else why neither applies."""
    drawn = [effect for effect in effects_of(desk, treatment) if effect.assignment]
    if not drawn or not desk.has("attrition"):
        return paragraph(desk.say("page.attrition_not_applicable"))
    parts, shown = [], []
    lost = desk.derived("attrition")
    for effect in drawn:
        own = lost[lost["effect"] == effect.id].drop(columns="effect").reset_index(drop=True)
        same = (effect.outcome, effect.filter, effect.assignment)
        if not any(same == other and own.equals(table_) for other, table_ in shown):
            parts += _attrition(desk, effect)
        shown.append((same, own))
    return together(parts)


def _attrition(desk: Desk, effect: Effect) -> list[Displayed]:
    outcome = desk.labels.short("outcome", effect.outcome, desk.language)
    labels = covariate_labels(desk, effect.treatment)
    lost, bounds = (desk.derived(name) for name in ("attrition", "bounds"))
    lost, bounds = (frame[frame["effect"] == effect.id].reset_index(drop=True) for frame in (lost, bounds))
    if not len(lost):
        return [paragraph(desk.say("page.no_attrition", outcome=outcome))]
    kept = [
        "contrast",
        "overall",
        "differential",
        "cautious_limit",
        "cautious",
        "optimistic_limit",
        "optimistic",
    ]
    verdicts = {
        name: ["low" if each else "high" for each in lost[name]] for name in ("cautious", "optimistic")
    }
    told = release_table(
        lost.assign(**verdicts), counts=["n_assigned", "lost_treated", "lost_compared"], values=LOST_SHARES,
        min_cell=desk.min_cell,
    )  # fmt: skip
    shown = table(
        told.pick(kept),
        language=desk.language,
        labels=labels,
        caption=desk.say("page.attrition", outcome=outcome),
        formats=dict.fromkeys((*LOST_SHARES, "cautious_limit", "optimistic_limit"), ".1f"),
        note=desk.say("page.attrition_note"),
    )
    if not len(bounds):
        return [shown]
    refused = bounds[bounds["status"] != "ok"].drop_duplicates("contrast")
    parts = [shown]
    if len(refused) < bounds["contrast"].nunique():
        known = bounds[bounds["status"] == "ok"].reset_index(drop=True)
        told = release_estimates(known, min_cell=desk.min_cell, planned=desk.planned)
        parts.append(
            table(
                told.pick(["contrast", "estimand", "estimate", "conf_low", "conf_high"]),
                language=desk.language,
                labels=labels,
                caption=desk.say("page.bounds", outcome=outcome),
                formats=dict.fromkeys(("estimate", "conf_low", "conf_high"), ".2f"),
                note=desk.say("page.bounds_note"),
            )
        )
    for row in refused.to_dict("records"):
        contrast = desk.labels.contrast(effect.treatment, row["contrast"], desk.language)
        reason = desk.reason(row["reason"])
        parts.append(paragraph(desk.say("page.bounds_refused", contrast=contrast, reason=reason)))
    return parts


def without_small_steps(flow: pd.DataFrame, text: str, min_cell: int) -> pd.DataFrame:
    """Sample flow in which no step leaves out fewer than ``min_cell`` students: small steps join the next.

    Hiding the small number alone would do nothing, as it is the difference of the two beside it.

    Returns
    -------
    DataFrame
        ``contrast, step, n, dropped``.
    """
    rows: list[dict] = []
    for row in flow.to_dict("records"):
        step = {
            "contrast": row["contrast"],
            "step": row[text],
            "n": float(row["n"]),
            "dropped": float(row["dropped"]),
        }
        small = rows and 0 < rows[-1]["dropped"] < min_cell
        ends_small = rows and 0 < step["dropped"] < min_cell and row["n"] == flow["n"].iloc[-1]
        if small or (ends_small and rows[-1]["dropped"] > 0):
            step["step"] = f"{rows[-1]['step']} + {step['step']}"
            step["dropped"] += rows.pop()["dropped"]
        rows.append(step)
    return pd.DataFrame(rows)
