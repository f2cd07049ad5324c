"""Parts of the page about one treatment: answer, selection, adjustment, methods, subgroups, checks, appendix."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cobench.declared import Text
from cobench.designs import design_of
from cobench.errors import ParameterError
from cobench.release import Released, release_aggregate, release_histogram, release_table
from cobench.show import (
    Displayed,
    Figure,
    Labels,
    bullets,
    finding,
    folded,
    love_plot,
    overlap_plot,
    paragraph,
    table,
)
from cobench.show.carried import carried_estimates
from cobench.study import Effect
from cobench.workbench import summary
from cobench.workbench.checklist import checklist
from cobench.workbench.desk import Desk, together

DECLARED_COLUMNS = [
    "contrast", "outcome", "population", "estimate", "conf_low", "conf_high", "p_adjusted", "n_obs", "evidence",
]  # fmt: skip
BALANCE_VALUES = (
    "mean_treated", "mean_control", "mean_treated_after", "mean_control_after", "smd_before", "smd_after", "g_before",
    "g_after", "wwc_before", "wwc_after",
)  # fmt: skip
CHECK_ORDER = {"failed": 0, "errored": 1, "passed": 2, "not_applicable": 3}


def chosen(desk: Desk, treatment: str) -> str:
    """``treatment``, or the first declared one where the notebook is opened without naming one.

    Raises
    ------
    ParameterError
        For a treatment without a declared effect, listing those that have one.
    """
    declared = list(dict.fromkeys(effect.treatment for effect in desk.study.effects_in(desk.term.id)))
    if treatment in declared:
        return treatment
    if treatment or not declared:
        listed = ", ".join(declared) or "-"
        raise ParameterError(
            en=f"no effect of {treatment!r} is declared for term {desk.term.id}; declared: {listed}",
            zh=f"学期 {desk.term.id} 没有声明 {treatment!r} 的效应；已声明：{listed}",
        )
    return declared[0]


def answer(desk: Desk, treatment: str) -> Displayed:
    """The answer in one paragraph: the confirmatory effects, else the exploratory ones, with their evidence."""
    rows = summary.confirmatory(desk, treatment) or summary.primary_effects(desk, treatment)
    return summary.answer(desk, rows)


def forest(desk: Desk, treatment: str) -> Figure:
    """All declared effects of the treatment by their primary methods."""
    return summary.forest(desk, treatment)


def declared(desk: Desk, treatment: str) -> Displayed:
    """All declared effects as a compact table, each with its evidence."""
    released = summary.primary_effects(desk, treatment)
    columns = [name for name in DECLARED_COLUMNS if name != "population" or _several_populations(released)]
    return table(
        released,
        language=desk.language,
        labels=desk.labels.shortened("outcome"),
        caption=desk.say("page.declared"),
        columns=columns,
        note=desk.say("page.declared_note"),
    )


def findings(desk: Desk, treatment: str) -> Displayed:
    """A sentence and a badge for every declared effect, confirmatory first, folded."""
    rows = [row for _, row in summary.primary_effects(desk, treatment).frame.iterrows()]
    shown = together(finding(row, desk.labels, desk.language) for row in rows)
    if any(row["role"] == "exploratory" for row in rows):
        shown += paragraph(desk.say("page.exploratory_note"))
    return folded(desk.say("page.one_by_one"), shown)


def selection(desk: Desk, treatment: str) -> Displayed:
    """Who got it: baseline means of the exposed and of those compared with, before any adjustment."""
    frame = main_balance(desk, treatment)
    if not len(frame):
        return paragraph(desk.say("page.no_covariates"))
    columns = ["covariate", "mean_treated", "mean_control", "smd_before"]
    return paragraph(desk.say("page.selection")) + table(
        released_balance(desk, frame, main_effect(desk, treatment)).pick(columns),
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        caption=desk.say(
            "page.selection_caption",
            contrast=contrast_label(desk, treatment, frame),
            outcome=main_outcome(desk, treatment),
        ),
        formats={"mean_treated": ".2f", "mean_control": ".2f", "smd_before": ".2f"},
        note=_group_sizes(desk, treatment, frame) + " " + desk.say("page.raw_differences"),
    )


def love(desk: Desk, treatment: str) -> Figure | Displayed:
    """Love plot of the main effect, under every weighting: the contrast that differs most before adjustment."""
    own = main_balance(desk, treatment)
    if not len(own):
        return paragraph(desk.say("page.no_covariates"))
    released = released_balance(desk, own, main_effect(desk, treatment))
    others = [name for name in own if name.startswith("smd_by_")]
    return love_plot(
        released.pick(["covariate", "smd_before", "smd_after", *others]).where(
            lambda shown: shown["smd_before"].notna()
        ),
        others=others,
        after_name=desk.labels.text("method", own["method"].iloc[0], desk.language),
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        title=desk.say(
            "page.love_title",
            contrast=contrast_label(desk, treatment, own),
            before=f"{own['smd_before'].abs().max():.2f}",
            after=f"{own['smd_after'].abs().max():.2f}",
        ),
    )


def balance(desk: Desk, treatment: str) -> Displayed:
    """Balance after adjustment with the verdict of the What Works Clearinghouse."""
    frame = main_balance(desk, treatment)
    if not len(frame):
        return paragraph(desk.say("page.no_covariates"))
    columns = ["covariate", "g_before", "wwc_before", "g_after", "wwc_after"]
    return table(
        released_balance(desk, frame, main_effect(desk, treatment)).pick(columns),
        language=desk.language,
        labels=covariate_labels(desk, treatment),
        caption=desk.say(
            "page.balance_caption",
            contrast=contrast_label(desk, treatment, frame),
            outcome=main_outcome(desk, treatment),
        ),
        formats={"g_before": ".2f", "g_after": ".2f"},
        note=_group_sizes(desk, treatment, frame)
        + " "
        + desk.say(
            "page.balance_note", method=desk.labels.text("method", frame["method"].iloc[0], desk.language)
        ),
    )


def overlap(desk: Desk, treatment: str) -> Figure | Displayed:
    """How far the two groups are comparable at all: propensity scores in both arms."""
    frame = of_main_effect(desk, treatment, "overlap")
    if not len(frame):
        return paragraph(desk.say("page.no_overlap_plot"))
    worst = main_balance(desk, treatment)
    own = frame[frame["contrast"] == (worst if len(worst) else frame)["contrast"].iloc[0]]
    released = release_histogram(own, by="arm", min_cell=desk.min_cell)
    if released.frame.dropna(subset=["density"])["arm"].nunique() < 2:
        return paragraph(desk.say("page.few_for_overlap", n=desk.min_cell))
    return overlap_plot(released, language=desk.language, labels=desk.labels)


def checks(desk: Desk, treatment: str) -> Displayed:
    """Every check with a sentence: those not passed in a table, the others folded below."""
    frame = desk.derived("checks")
    frame = frame[frame["effect"].isin([effect.id for effect in effects_of(desk, treatment)])]
    labels = desk.labels.shortened("outcome")
    outcomes = {effect.id: effect.outcome for effect in desk.study.effects}
    frame = frame.assign(
        outcome=[labels.text("outcome", outcomes[each], desk.language) for each in frame["effect"]],
        contrast=[
            desk.labels.contrast(treatment, each, desk.language) if each else "" for each in frame["contrast"]
        ],
        text=frame[f"text_{desk.language}"],
        order=frame["status"].map(CHECK_ORDER),
    ).sort_values(["order", "check"], kind="stable")
    frame = frame[frame["check"] != "interaction"]  # stand with the subgroups
    same = ["check", "status", "text", "order"]
    merged = frame.groupby(same, sort=False)[["outcome", "contrast"]].agg(
        lambda names: ", ".join(dict.fromkeys(filter(None, names)))
    )
    shown = merged.reset_index()[["check", "status", "outcome", "contrast", "text", "order"]]
    settled = shown["order"] >= CHECK_ORDER["passed"]
    open_, rest = (
        table(
            release_aggregate(rows.drop(columns="order").reset_index(drop=True), about="design"),
            language=desk.language,
            labels=desk.labels,
            caption=desk.say(caption),
        )
        for rows, caption in ((shown[~settled], "page.checks"), (shown[settled], "page.checks_passed"))
    )
    return open_ + folded(desk.say("page.checks_folded", n=int(settled.sum())), rest)


def specification(desk: Desk, treatment: str) -> Displayed:
    """What was declared beforehand, word for word from ``study.toml``."""
    rows = []
    for effect in effects_of(desk, treatment):
        rows.append(
            desk.say(
                "page.specification",
                outcome=desk.labels.text("outcome", effect.outcome, desk.language),
                role=desk.labels.text("role", effect.role, desk.language),
                primary=desk.labels.text("method", effect.primary, desk.language),
                adjust=", ".join(effect.adjust) or "–",
                within=", ".join(effect.within) or "–",
                cluster=effect.cluster or "–",
                assignment=effect.assignment.source if effect.assignment else desk.say("page.not_assigned"),
            )
        )
    dates = paragraph(
        desk.say(
            "page.dates",
            landmark=desk.term.landmark,
            exposure_end=desk.term.exposure_end,
            exam=desk.term.exam,
        )
    )
    return bullets(rows) + dates


def downloads(desk: Desk, treatment: str) -> Displayed:
    """For a reviewer: the checklist, and all estimates of the treatment into the data that the page carries."""
    released = desk.effects(treatment)
    told = paragraph(desk.say("page.carried", n=len(released)))
    rows = tuple(carried_estimates(released, desk.labels, desk.language))
    return folded(desk.say("checklist.caption"), checklist(desk, treatment)) + replace(told, carried=rows)


def effects_of(desk: Desk, treatment: str) -> list[Effect]:
    return [effect for effect in desk.study.effects_in(desk.term.id) if effect.treatment == treatment]


def main_effect(desk: Desk, treatment: str) -> Effect:
    """The first declared effect with covariates, else the first: the one whose comparison the page draws."""
    declared = effects_of(desk, treatment)
    return next((effect for effect in declared if effect.adjust), declared[0])


def main_outcome(desk: Desk, treatment: str) -> str:
    return desk.labels.text("outcome", main_effect(desk, treatment).outcome, desk.language)


def of_main_effect(desk: Desk, treatment: str, name: str) -> pd.DataFrame:
    frame = desk.derived(name)
    return frame[frame["effect"] == main_effect(desk, treatment).id].reset_index(drop=True)


def main_balance(desk: Desk, treatment: str) -> pd.DataFrame:
    """Balance of the main effect in the contrast that differs most before adjustment, a row a covariate.

    ``smd_after`` is under the weights of ``method`` (the primary one where it has weights), ``smd_by_...`` under
    those of the others. The other contrasts are in the workbook.
    """
    balance = of_main_effect(desk, treatment, "balance_by_method")
    if not len(balance):
        balance = of_main_effect(desk, treatment, "balance").assign(method="")
    if not len(balance):
        return balance
    first = balance[balance["method"] == balance["method"].iloc[0]]
    worst = first.assign(size=first["smd_before"].abs()).groupby("contrast")["size"].max().idxmax()
    own = balance[balance["contrast"] == worst]
    wide = own[own["method"] == own["method"].iloc[0]].reset_index(drop=True)
    for method, rows in own.groupby("method", sort=False):
        if method != wide["method"].iloc[0]:
            after = rows.set_index("covariate")["smd_after"]
            wide = wide.assign(**{f"smd_by_{method}": wide["covariate"].map(after)})
    return wide


def released_balance(desk: Desk, balance: pd.DataFrame, effect: Effect) -> Released:
    """A balance table without means that would tell of fewer than ten students.

    The mean of a yes-no covariate times the size of its group is a count of students; where it, or its
    complement, is below the threshold in either group, the row's means and differences are hidden.
    """
    design_rows = _primary_rows(desk, effect)
    n_treated = balance["contrast"].map(design_rows.groupby("contrast")["n_treated"].min()).astype("float64")
    n_compared = (
        balance["contrast"]
        .map((design_rows["n_obs"] - design_rows["n_treated"]).groupby(design_rows["contrast"]).min())
        .astype("float64")
    )
    binary = balance["kind"] == "raw_difference"
    counts = pd.DataFrame(
        {
            "treated_yes": (balance["mean_treated"] * n_treated).where(binary, n_treated),
            "treated_no": ((1 - balance["mean_treated"]) * n_treated).where(binary, n_treated),
            "compared_yes": (balance["mean_control"] * n_compared).where(binary, n_compared),
            "compared_no": ((1 - balance["mean_control"]) * n_compared).where(binary, n_compared),
        }
    ).round()
    values = [name for name in balance if name in BALANCE_VALUES or name.startswith("smd_by_")]
    return release_table(
        balance.assign(**counts), counts=list(counts), values=values, min_cell=desk.min_cell
    ).pick(list(balance.columns))


def _primary_rows(desk: Desk, effect: Effect) -> pd.DataFrame:
    """Estimates of everybody by the primary method of ``effect``; not released."""
    return _of_primary(desk, effect, desk.derived("estimates"))


def _of_primary(desk: Desk, effect: Effect, rows: pd.DataFrame) -> pd.DataFrame:
    spec_id = design_of(desk.study, desk.term.id, effect).spec_id
    asked = (rows["spec_id"] == spec_id) & (rows["method"] == effect.primary)
    return rows[asked & summary.everybody(rows)]


def _group_sizes(desk: Desk, treatment: str, balance: pd.DataFrame) -> str:
    """Number of students that the means of a balance table are over, as far as it is released."""
    rows = _of_primary(desk, main_effect(desk, treatment), desk.effects().frame)
    own = rows[rows["contrast"] == balance["contrast"].iloc[0]].astype(
        {"n_treated": "float", "n_obs": "float"}
    )
    n_treated, n_obs = own["n_treated"].min(), own["n_obs"].min()
    sizes = [f"{n:,.0f}" if n == n else "–" for n in (n_treated, n_obs - n_treated)]
    return desk.say("page.group_sizes", treated=sizes[0], compared=sizes[1])


def contrast_label(desk: Desk, treatment: str, frame: pd.DataFrame) -> str:
    return desk.labels.contrast(treatment, frame["contrast"].iloc[0], desk.language)


def covariate_labels(desk: Desk, treatment: str, *, short: bool = False) -> Labels:
    """Labels of contrasts and covariates, lagged outcomes and categories among them.

    ``short`` leaves out what stands in brackets in the name of an outcome.
    """
    names = {"sex=m": {"zh": "男生", "en": "boys"}, "sex=f": {"zh": "女生", "en": "girls"}}
    for outcome in (*desk.study.outcomes.values(), *desk.study.scales.values()):
        label = outcome.label
        if short and desk.labels.has("outcome", outcome.id):
            label = Text(**{code: desk.labels.short("outcome", outcome.id, code) for code in ("zh", "en")})
        names[f"{outcome.id}@baseline"] = {"zh": f"{label.zh}（上学期）", "en": f"{label.en}, last term"}
    for category in desk.study.categories:
        names[f"category:{category.id}"] = {"zh": category.label.zh, "en": category.label.en}
    for each in desk.study.treatments.values():
        names[f"{each.id}:history"] = {
            "zh": f"此前{each.label.zh}次数",
            "en": f"earlier contacts: {each.label.en}",
        }
    for covariate in desk.derived("balance")["covariate"].unique() if len(desk.derived("balance")) else ():
        column, _, value = covariate.partition("=")
        if value and column in desk.study.columns:
            label = desk.study.columns[column].label
            names[covariate] = {"zh": f"{label.zh}：{value}", "en": f"{label.en}: {value}"}
    contrasts = {
        level.id: {code: desk.labels.contrast(treatment, level.id, code) for code in ("zh", "en")}
        for level in desk.study.treatments[treatment].levels
    }
    return desk.labels.add("covariate", names).add("contrast", contrasts)


def _several_populations(released: Released) -> bool:
    return released.frame["population"].nunique() > 1
