"""How an open study and its released tables look in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cobench.errors import ParameterError
from cobench.release import Released, release_aggregate
from cobench.release.escape import escape_html
from cobench.show import Displayed, table

if TYPE_CHECKING:
    from cobench.workbench.desk import Desk

ESTIMATE_COLUMNS = (
    "treatment", "contrast", "outcome", "population", "subgroup", "method", "estimate", "conf_low", "conf_high",
    "p_adjusted", "n_obs", "evidence",
)  # fmt: skip


def show_released(desk: Desk) -> None:
    """Let IPython show released tables in the desk's language; anything else is shown as before."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["text/html"]
        formatter.for_type(Released, lambda released: shown(desk, released).html)


def shown(desk: Desk, released: Released) -> Displayed:
    """A released table as a report shows it; of estimates the columns that a reader begins with."""
    known = [name for name in ESTIMATE_COLUMNS if name in released.frame]
    columns = known if "estimate_id" in released.frame else None
    return table(released, language=desk.language, labels=desk.labels, columns=columns)


def treatments(desk: Desk) -> list[str]:
    """Treatments with a declared effect this term, in the order of ``study.toml``."""
    return list(dict.fromkeys(effect.treatment for effect in desk.study.effects_in(desk.term.id)))


def estimates_of(desk: Desk, treatment: str) -> Released:
    """Released estimates of a declared treatment."""
    _require(desk, treatment)
    return desk.effects(treatment)


def checks_of(desk: Desk, treatment: str | None) -> Released:
    """Checks of a declared treatment, or of all: design facts, not people."""
    if treatment is not None:
        _require(desk, treatment)
    wanted = {
        effect.id: effect
        for effect in desk.study.effects_in(desk.term.id)
        if treatment in (None, effect.treatment)
    }
    frame = desk.derived("checks")
    frame = frame[frame["effect"].isin(list(wanted))].reset_index(drop=True)
    named = frame.assign(
        treatment=[wanted[each].treatment for each in frame["effect"]],
        outcome=[wanted[each].outcome for each in frame["effect"]],
        text=frame[f"text_{desk.language}"],
    )
    columns = ["treatment", "outcome", "contrast", "check", "status", "text"]
    return release_aggregate(named[columns].fillna(""), about="design")


def describe(desk: Desk) -> Displayed:
    """The open study at a glance: term, treatments with their outcomes, what to call next."""
    names = treatments(desk)
    heading = f"{desk.study.label[desk.language]} · {desk.labels.text('term', desk.term.id, desk.language)}"
    if not names:
        text = desk.say("page.desk_none")
        return Displayed(f"<p><b>{escape_html(heading)}</b><br>{escape_html(text)}</p>", f"{heading}\n{text}")
    lines = []
    for name in names:
        outcomes = dict.fromkeys(
            desk.labels.text("outcome", effect.outcome, desk.language)
            for effect in desk.study.effects_in(desk.term.id)
            if effect.treatment == name
        )
        label = desk.labels.text("treatment", name, desk.language)
        lines.append((name, f"{label} → {', '.join(outcomes)}"))
    how = desk.say("page.desk_how", name=names[0])
    items = "".join(f"<li><code>{escape_html(n)}</code> {escape_html(t)}</li>" for n, t in lines)
    about = escape_html(desk.say("page.desk_treatments"))
    html = f"<p><b>{escape_html(heading)}</b><br>{about}</p><ul>{items}</ul><p>{escape_html(how)}</p>"
    return Displayed(html, "\n".join([heading, *(f"{n}: {t}" for n, t in lines), how]))


def _require(desk: Desk, treatment: str) -> None:
    known = treatments(desk)
    if treatment not in known:
        listed = ", ".join(known) or "-"
        raise ParameterError(
            en=f"no effect of {treatment!r} is declared for term {desk.term.id}; declared: {listed}",
            zh=f"学期 {desk.term.id} 没有声明 {treatment!r} 的效应；已声明：{listed}",
        )
