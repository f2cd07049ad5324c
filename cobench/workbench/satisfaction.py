"""Parts on parents' satisfaction and knowledge: what was answered, weighted, bounded, and by lecture."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.ingest.codebook import load_codebook
from cobench.monitor.satisfaction import ALL_RIGHT, INSTRUMENT, OVERALL
from cobench.release import Released, release_table
from cobench.show import Displayed, Labels, folded, paragraph, table
from cobench.workbench.desk import Desk

SHARES = ("share_answered", "share_weighted", "share_from", "share_to", "share_worst", "share_best")
_ALL_RIGHT = {"zh": "知识题全部答对", "en": "all knowledge items right"}


def lede(desk: Desk) -> Displayed:
    """How many were asked and answered."""
    if not desk.has("satisfaction") or desk.derived("satisfaction").empty:
        return paragraph(desk.say("page.no_satisfaction"))
    frame = means_released(desk).frame
    row = frame[frame["question"] == OVERALL]
    if row.empty or row["response_rate"].isna().any():
        return paragraph("")
    return paragraph(
        desk.say(
            "page.satisfaction_lede",
            asked=f"{int(row['n_asked'].iloc[0]):,}",
            question=_labels(desk).text("question", OVERALL, desk.language),
            rate=f"{100 * row['response_rate'].iloc[0]:.0f}%",
        )
    )


def means(desk: Desk) -> Displayed:
    """Mean of each satisfaction item: as answered, weighted, and bounded."""
    return _shown(
        desk,
        means_released(desk),
        "page.satisfaction",
        ["question", "n_asked", "n_answered", "response_rate", "mean_answered", "mean_weighted", "conf_low", "conf_high", "worst", "best"],
        note=desk.say("page.satisfaction_note"),
    )  # fmt: skip


def means_released(desk: Desk) -> Released:
    """Means of satisfaction items, district."""
    frame = desk.derived("satisfaction")
    frame = frame[frame["statistic"] == "mean"].rename(
        columns={"item": "question", "raw": "mean_answered", "weighted": "mean_weighted", "bound_low": "worst", "bound_high": "best"}
    )  # fmt: skip
    values = ["mean_answered", "mean_weighted", "std_error", "conf_low", "conf_high", "worst", "best"]
    return _released(desk, frame, values)


def shares(desk: Desk) -> Displayed:
    """Share in the top two boxes and share who know: as answered, weighted, and bounded."""
    return _shown(
        desk, shares_released(desk), "page.satisfaction_shares", ["question", "n_answered", "response_rate", *SHARES]
    )  # fmt: skip


def shares_released(desk: Desk) -> Released:
    """Top-two-box and knowledge shares, district; left out where those content, not content or silent are few.

    A bound beside a denominator is a count, so it goes with the share.
    """
    frame = desk.derived("satisfaction")
    frame = frame[frame["statistic"] != "mean"].rename(
        columns={
            "item": "question", "raw": "share_answered", "weighted": "share_weighted", "conf_low": "share_from",
            "conf_high": "share_to", "bound_low": "share_worst", "bound_high": "share_best",
        }
    )  # fmt: skip
    held = frame["share_answered"] * frame["n_answered"]
    silent = frame["n_asked"] - frame["n_answered"]
    small = pd.concat([held, frame["n_answered"] - held, silent], axis=1).min(axis=1) < desk.min_cell
    limited = frame[["share_from", "share_to"]].clip(0, 1)
    frame = frame.assign(**limited)
    return _released(desk, frame.assign(**{name: frame[name].mask(small) for name in SHARES}), list(SHARES))


def by_school(desk: Desk) -> Displayed:
    """Overall satisfaction of each school, weighted, in the order of codes."""
    question = _labels(desk).text("question", OVERALL, desk.language)
    return table(
        by_school_released(desk),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.satisfaction_by_school", question=question),
        columns=[
            "school",
            "n_asked",
            "n_answered",
            "response_rate",
            "mean_weighted",
            "conf_low",
            "conf_high",
            "worst",
            "best",
        ],
        formats={"response_rate": "percent"},
        note=desk.say("page.satisfaction_by_school_note"),
    )


def by_school_released(desk: Desk) -> Released:
    """Weighted mean of overall satisfaction by school."""
    frame = desk.derived("satisfaction_by_school")
    frame = frame[frame["statistic"] == "mean"].rename(
        columns={"weighted": "mean_weighted", "bound_low": "worst", "bound_high": "best"}
    )
    columns = [
        "school",
        "n_asked",
        "n_answered",
        "response_rate",
        "mean_weighted",
        "std_error",
        "conf_low",
        "conf_high",
        "worst",
        "best",
    ]
    return release_table(
        frame[columns].reset_index(drop=True),
        counts=["n_asked", "n_answered"],
        values=columns[4:],
        shares={"response_rate": ("n_answered", "n_asked")},
        counted=desk.counted(
            "overall satisfaction", ["school"], within={"n_asked": ("reach", "n_students", ("school",))}
        ),
        min_cell=desk.min_cell,
    )


def by_topic(desk: Desk) -> Displayed:
    """Answers of families by the topic of the lectures they came to, shrunken."""
    return _by_lecture(desk, "topic")


def by_speaker(desk: Desk) -> Displayed:
    """The same by speaker, on request; speakers are numbered."""
    return folded(desk.say("page.satisfaction_by_speaker"), _by_lecture(desk, "speaker"))


def _by_lecture(desk: Desk, by: str) -> Displayed:
    released = by_lecture_released(desk, by)
    if released.frame.empty:
        return paragraph(desk.say("page.not_sent", what=desk.say(f"page.satisfaction_by_{by}")))
    columns = [
        by,
        "answered_what",
        "n_families",
        "mean_value",
        "difference",
        "conf_low",
        "conf_high",
        "lecture_verdict",
    ]
    told = [] if released.frame["why_not"].isna().all() else ["why_not"]
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say(f"page.satisfaction_by_{by}"),
        columns=[*columns, *told],
        formats={"difference": "signed"},
        note=desk.say("page.satisfaction_by_lecture_note"),
    )


def by_lecture_released(desk: Desk, by: str) -> Released:
    """Families, means and shrunken differences by topic or speaker."""
    frame = desk.derived("satisfaction_by_lecture")
    frame = frame[frame["by"] == by].rename(
        columns={
            "level": by, "outcome": "answered_what", "n": "n_families", "mean": "mean_value",
            "verdict": "lecture_verdict", f"reason_{desk.language}": "why_not",
        }
    )  # fmt: skip
    columns = [
        by,
        "answered_what",
        "n_families",
        "mean_value",
        "difference",
        "conf_low",
        "conf_high",
        "lecture_verdict",
        "why_not",
    ]
    return release_table(
        frame[columns].reset_index(drop=True),
        counts="n_families",
        values=[*columns[3:8]],
        counted=desk.counted("answers by lecture", [by, "answered_what"], {"by": by}),
        min_cell=desk.min_cell,
    )


def all_released(desk: Desk) -> tuple[Released, ...]:
    """Every table of this part, for the decision over all tables of the term."""
    if desk.derived("satisfaction").empty:
        return ()
    by = [by_lecture_released(desk, each) for each in ("topic", "speaker")]
    return (means_released(desk), shares_released(desk), by_school_released(desk), *by)


def _released(desk: Desk, frame: pd.DataFrame, values: list[str]) -> Released:
    columns = ["question", "n_asked", "n_answered", "response_rate", *values]
    return release_table(
        frame[columns].replace({np.inf: np.nan}).reset_index(drop=True),
        counts=["n_asked", "n_answered"],
        values=values,
        shares={"response_rate": ("n_answered", "n_asked")},
        counted=desk.counted("satisfaction", ["question"], within={"n_asked": ("reach", "n_students", ())}),
        min_cell=desk.min_cell,
    )


def _shown(
    desk: Desk, released: Released, caption: str, columns: list[str], *, note: str | None = None
) -> Displayed:
    if released.frame.empty:
        return paragraph(desk.say("page.no_satisfaction"))
    formats = {name: "percent" for name in ("response_rate", *SHARES)}
    return table(
        released, language=desk.language, labels=_labels(desk), caption=desk.say(caption), columns=columns, formats=formats,
        note=note,
    )  # fmt: skip


def _labels(desk: Desk) -> Labels:
    """Labels of the desk and of the questionnaire's items."""
    instrument = desk.study.instruments.get(INSTRUMENT)
    books = [load_codebook(desk.study.root / name) for name in (instrument.codebooks if instrument else ())]
    items = {item.id: {"zh": item.label.zh, "en": item.label.en} for book in books for item in book.items}
    return desk.labels.add("question", items | {ALL_RIGHT: _ALL_RIGHT})
