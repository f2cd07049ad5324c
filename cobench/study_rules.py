"""Rules of a study file beyond types: every name points to something, dates are in order, claims are allowed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from cobench.declared import not_allowed
from cobench.effect_keys import ValueAddedKeys
from cobench.errors import StudyFileError
from cobench.standard import CAMPAIGNS
from cobench.study import Effect, Instrument, Outcome, Source, Study, Term, Treatment, Variant
from cobench.tables import TABLES

LINKING = ("school", "student_name", "student_number", "class")
BUILT_IN_COVARIATES = ("sex", "boarding", "grade", "school", "class_id", "birth_month")


def check_names(study: Study) -> None:
    """Raise :class:`StudyFileError` on the first dangling name or impossible combination."""
    _check_terms(study)
    for index, source in enumerate(study.sources):
        _check_source(study, f"sources[{index}]", source)
    for key, instrument in study.instruments.items():
        _check_instrument(study, f"instruments.{key}", instrument)
    _check_unique("categories[].id", [category.id for category in study.categories])
    for key, treatment in study.treatments.items():
        _check_treatment(study, f"treatments.{key}", treatment)
    for key, scale in study.scales.items():
        _known(f"scales.{key}.instrument", scale.instrument, study.instruments)
        for item in scale.reverse:
            _known(f"scales.{key}.reverse", item, scale.items)
        if not 0 < scale.min_answered <= 1:
            raise not_allowed(f"scales.{key}.min_answered", scale.min_answered, ["above 0, at most 1"])
        _check_unique(f"scales.{key}.items", list(scale.items))
    for key, outcome in study.outcomes.items():
        _check_outcome(study, key, outcome)
    _check_unique("effects[].id", [effect.id for effect in study.effects])
    for index, effect in enumerate(study.effects):
        _check_effect(study, f"effects[{index}]", effect)
    own = [each.campaign for each in study.standards.own if each.campaign]
    for name in study.standards.campaigns:
        _known(f"standards.campaigns.{name}", name, (*CAMPAIGNS, *own))
    for index, each in enumerate(study.value_added):
        _check_value_added(study, f"value_added[{index}]", each)
    if study.release.min_cell < 1:
        raise not_allowed("release.min_cell", study.release.min_cell, ["1 or more; 10 is usual"])


def column_names(table: str) -> tuple[str, ...]:
    """Names that ``columns`` of a source of ``table`` may map: canonical columns and what links a row."""
    canonical = dict(TABLES[table].columns)
    if table == "students":
        canonical |= TABLES["enrolments"].columns
    if table == "contacts":
        canonical["note"] = "text"
    return (*canonical, *(name for name in LINKING if name not in canonical))


def covariate_names(study: Study) -> tuple[str, ...]:
    """Names that ``adjust`` and ``subgroups`` may use in a study of several tables."""
    lagged = [f"{name}@baseline" for name in (*study.outcomes, *study.scales)]
    categories = [f"category:{category.id}" for category in study.categories]
    history = [f"{name}:history" for name in study.treatments]
    return (*BUILT_IN_COVARIATES, *lagged, "category:*", *categories, *history)


def _check_terms(study: Study) -> None:
    if not study.terms:
        raise _missing("terms")
    ids = [term.id for term in study.terms]
    _check_unique("terms[].id", ids)
    for index, term in enumerate(study.terms):
        if term.baseline is not None:
            earlier = [each.id for each in study.terms if each.end < term.start]
            _known(f"terms[{index}].baseline", term.baseline, earlier)
        _check_order(f"terms[{index}]", term)


def _check_order(path: str, term: Term) -> None:
    named = [
        ("start", term.start),
        ("landmark", term.landmark),
        ("exposure_end", term.exposure_end),
        ("exam", term.exam),
    ]
    given = [(name, day) for name, day in named if day is not None]
    for (earlier, first), (later, second) in zip(given, given[1:], strict=False):
        if first > second:
            raise StudyFileError(
                en=f"{path}.{earlier} ({first}) must not be after {path}.{later} ({second})",
                zh=f"{path}.{earlier}（{first}）不能晚于 {path}.{later}（{second}）",
            )
    if term.end < term.start:
        raise StudyFileError(
            en=f"{path}.end ({term.end}) is before {path}.start ({term.start})",
            zh=f"{path}.end（{term.end}）早于 {path}.start（{term.start}）",
        )


def _check_instrument(study: Study, path: str, instrument: Instrument) -> None:
    terms = [term for version in instrument.versions for term in version.terms]
    for term in terms:
        _known(f"{path}.versions", term, [each.id for each in study.terms])
    _check_unique(f"{path}.versions", terms)


def _check_source(study: Study, path: str, source: Source) -> None:
    if bool(source.files) == (source.sql is not None):
        raise StudyFileError(
            en=f"{path} must give either files (a pattern) or sql (url and query)",
            zh=f"{path} 必须给出 files（文件模式）或 sql（url 与 query）之一",
        )
    if source.instrument is not None:
        _known(f"{path}.instrument", source.instrument, study.instruments)
    if source.table == "responses" and source.instrument is None:
        raise _missing(f"{path}.instrument")
    if source.table == "panel":
        if not source.key:
            raise _missing(f"{path}.key")
        for day in source.measured:
            _check_date(f"{path}.measured", day)
        _check_unique(f"{path}.measured", [name for names in source.measured.values() for name in names])
        return
    stages = {str(stage) for each in study.sources for stage in each.levels.get("stage", {}).values()}
    for term in source.terms:
        _known(f"{path}.terms", term, [each.id for each in study.terms])
    for stage in source.stages:
        _known(f"{path}.stages", stage, sorted(stages))
    for name in source.columns:
        _known(f"{path}.columns", name, column_names(source.table))
    for name in source.levels:
        _known(f"{path}.levels", name, (*source.columns, *(("holds",) if source.measures else ())))
    for name in source.optional:
        _known(f"{path}.optional", name, (*source.columns, *source.measures))


def _check_treatment(study: Study, path: str, treatment: Treatment) -> None:
    _check_unique(f"{path}.levels[].id", [treatment.reference, *(level.id for level in treatment.levels)])
    if treatment.from_ == "panel":
        _require_panel_source(study, f"{path}.from")


def _check_outcome(study: Study, key: str, outcome: Outcome) -> None:
    given = [name for name in ("measure", "scale", "column") if getattr(outcome, name) is not None]
    if len(given) != 1:
        raise StudyFileError(
            en=f"outcomes.{key} must give exactly one of measure, scale, column; it gives {given or 'none'}",
            zh=f"outcomes.{key} 必须且只能给出 measure、scale、column 之一；现为 {given or '无'}",
        )
    if outcome.scale is not None:
        _known(f"outcomes.{key}.scale", outcome.scale, study.scales)
    if outcome.measure is not None:
        measures = {
            m for s in study.sources if s.table == "outcomes" for m in (*s.measures, *s.level_measures)
        }
        _known(f"outcomes.{key}.measure", outcome.measure, measures)
    if outcome.column is not None:
        _require_panel_source(study, f"outcomes.{key}.column")
    for name in outcome.standardise:
        _known(f"outcomes.{key}.standardise", name, ("school", "grade", "term", "class_id"))
    if outcome.test == "school" and not {"school", "grade", "term"} <= set(outcome.standardise):
        raise StudyFileError(
            en=f"outcomes.{key}: school-set papers compare only within school, grade and term; "
            'write standardise = ["school", "grade", "term"]',
            zh=f'outcomes.{key}：校本试卷只能在同校同年级同学期内比较；请写 standardise = ["school", "grade", "term"]',
        )


def _check_effect(study: Study, path: str, effect: Effect) -> None:
    _known(f"{path}.treatment", effect.treatment, study.treatments)
    _known(f"{path}.outcome", effect.outcome, study.outcomes)
    treatment, outcome = study.treatments[effect.treatment], study.outcomes[effect.outcome]
    levels = [level.id for level in treatment.levels if level.use == "contrast"]
    for level in effect.contrasts:
        _known(f"{path}.contrasts", level, levels)
    for term in effect.terms:
        _known(f"{path}.terms", term, [each.id for each in study.terms])
    varied = [(f"{path}.robustness[{i}]", effect.varied(each)) for i, each in enumerate(effect.robustness)]
    for place, each in [(path, effect), *varied]:
        if treatment.from_ != "panel":
            _check_tables_effect(study, place, each, outcome)
        _check_draw_and_instrument(place, each)
    _check_robustness(path, effect)
    _check_further(study, path, effect)
    if effect.role == "confirmatory" and outcome.rated_by_visitor:
        raise StudyFileError(
            en=f"{path}.role: an outcome rated by the visiting teacher can't be confirmatory; write exploratory",
            zh=f"{path}.role：由家访教师本人评定的结果不能作为验证性结果，请写 exploratory",
        )


def _check_value_added(study: Study, path: str, each: ValueAddedKeys) -> None:
    _known(f"{path}.outcome", each.outcome, study.outcomes)
    for name in each.priors:
        _known(f"{path}.priors", name, study.outcomes)
    for name, value in each.reliability.items():
        _known(f"{path}.reliability", name, each.priors)
        if not 0 < value <= 1:
            raise not_allowed(f"{path}.reliability.{name}", value, ["above 0, at most 1"])
    panels = [source for source in study.sources if source.table == "panel"]
    for source in panels:
        _check_measured_before(study, path, each, source)
    if not panels:
        for name in each.covariates:
            _known(f"{path}.covariates", name, [n for n in covariate_names(study) if n != "category:*"])


def _check_measured_before(study: Study, path: str, each: ValueAddedKeys, source: Source) -> None:
    """In one table any column could be called a prior: its day, before the outcome's, makes it one."""
    days = {name: day for day, names in source.measured.items() for name in names}
    columns = {id_: study.outcomes[id_].column for id_ in (*each.priors, each.outcome)}
    undated = [name for name in columns.values() if name not in days]
    if undated:
        raise StudyFileError(
            en=f"{path}: say when {', '.join(undated)} was measured, in [sources.measured]; a prior must be earlier than "
            "the outcome",
            zh=f"{path}：请在 [sources.measured] 中写明 {', '.join(undated)} 的测量日期；前测必须早于结果",
        )
    for id_ in each.priors:
        if days[columns[id_]] >= days[columns[each.outcome]]:
            raise StudyFileError(
                en=f"{path}.priors: {id_} was measured on {days[columns[id_]]}, not before {each.outcome} "
                f"({days[columns[each.outcome]]}); take an earlier test",
                zh=f"{path}.priors：{id_} 测于 {days[columns[id_]]}，不早于 {each.outcome}"
                f"（{days[columns[each.outcome]]}）；请改用更早的考试",
            )


def _check_draw_and_instrument(path: str, effect: Effect) -> None:
    if effect.over_terms is not None and effect.over_terms.cluster not in ("school", "student"):
        raise not_allowed(f"{path}.over_terms.cluster", effect.over_terms.cluster, ["school", "student"])
    if "iv" in effect.all_methods and effect.instrument is None:
        raise _missing(f"{path}.instrument")
    if effect.se_type == "permutation" and (
        effect.assignment is None or "difference" not in effect.all_methods
    ):
        raise StudyFileError(
            en=f"{path}.se_type: permutation repeats a declared draw; it needs an assignment and the method difference",
            zh=f"{path}.se_type：permutation 是重复所声明的抽取，需要 assignment 与方法 difference",
        )


def _check_robustness(path: str, effect: Effect) -> None:
    """Each variant is a specification of its own and asks for nothing that its method doesn't know."""
    told = [(effect.varied(Variant(method=method)), None) for method in effect.all_methods]
    for i, variant in enumerate(effect.robustness):
        place, each = f"{path}.robustness[{i}]", effect.varied(variant)
        if (each, variant.trim) in told:
            raise StudyFileError(
                en=f"{place} says nothing new: this specification is declared already; change or remove it",
                zh=f"{place} 没有新内容：这一设定已经声明过；请修改或删除",
            )
        told.append((each, variant.trim))
        if variant.se_type is not None and each.primary not in ("difference", "regress"):
            raise StudyFileError(
                en=f"{place}.se_type: {each.primary} has its own standard error; write it for difference or regress",
                zh=f"{place}.se_type：{each.primary} 使用自己的标准误；se_type 只用于 difference 或 regress",
            )
        if variant.trim is not None and not (each.primary == "ipw" and 0 < variant.trim < 0.5):
            raise StudyFileError(
                en=f"{place}.trim = {variant.trim:g} must lie between 0 and 0.5 and belong to method ipw",
                zh=f"{place}.trim = {variant.trim:g} 必须在 0 与 0.5 之间，且只用于方法 ipw",
            )


def _check_further(study: Study, path: str, effect: Effect) -> None:
    asked = effect.heterogeneity
    if asked is not None:
        for name, value, least in (
            ("divisions", asked.divisions, 1),
            ("groups", asked.groups, 2),
            ("trees", asked.trees, 1),
        ):
            if value < least:
                raise not_allowed(f"{path}.heterogeneity.{name}", value, [f"{least} or more"])
        if not effect.adjust:
            raise _missing(f"{path}.adjust")
    given = effect.impute
    if given is None:
        return
    for name, value, least in (("imputations", given.imputations, 2), ("rounds", given.rounds, 1)):
        if value < least:
            raise not_allowed(f"{path}.impute.{name}", value, [f"{least} or more; 20 and 10 are usual"])
    if study.treatments[effect.treatment].from_ != "panel":
        allowed = [*study.outcomes, *study.scales, *covariate_names(study)]
        for name in given.also:
            _known(f"{path}.impute.also", name, [each for each in allowed if each != "category:*"])


def _check_tables_effect(study: Study, path: str, effect: Effect, outcome: Outcome) -> None:
    allowed = covariate_names(study)
    for key, names in (("adjust", effect.adjust), ("subgroups", effect.subgroups)):
        for name in names:
            _known(f"{path}.{key}", name, allowed)
    for key, names in (("within", effect.within), ("cluster", filter(None, [effect.cluster]))):
        for name in names:
            _known(f"{path}.{key}", name, ("school", "grade", "class", "class_id"))
    if effect.instrument is not None:
        if study.treatments[effect.treatment].from_ != "attendance":
            raise StudyFileError(
                en=f"{path}.instrument: only lists of events say who was invited, and {effect.treatment} has none",
                zh=f"{path}.instrument：只有活动名单记录了受邀者，而 {effect.treatment} 没有名单",
            )
        _known(f"{path}.instrument", effect.instrument, [f"{effect.treatment}:invited"])
    finer = [name for name in outcome.standardise if name != "term" and name not in effect.within]
    if outcome.test == "school" and finer:
        raise StudyFileError(
            en=f"{path}.within must hold {finer}: {effect.outcome} is standardised within them, so children can "
            "only be compared there",
            zh=f"{path}.within 必须包含 {finer}：{effect.outcome} 在其内标准化，只能在其内比较学生",
        )
    history = f"{effect.treatment}:history"
    if effect.history == "required" and effect.primary != "difference" and history not in effect.adjust:
        raise StudyFileError(
            en=f"{path}.adjust must hold {history!r}: last term's outcome already carries earlier visits",
            zh=f"{path}.adjust 必须包含 {history!r}：上学期的结果已含有更早家访的影响",
        )


def _known(path: str, name: str, allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    if name not in allowed:
        raise not_allowed(path, name, allowed)


def _require_panel_source(study: Study, path: str) -> None:
    if not any(source.table == "panel" for source in study.sources):
        raise StudyFileError(
            en=f'{path} needs a source with table = "panel", and the study has none',
            zh=f'{path} 需要一个 table = "panel" 的数据源，而本研究没有',
        )


def _check_unique(path: str, ids: list[str]) -> None:
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise StudyFileError(
            en=f"{path}: {', '.join(twice)} stands more than once; give each its own id",
            zh=f"{path}：{', '.join(twice)} 重复出现；请分别命名",
        )


def _check_date(path: str, text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise not_allowed(path, text, ["a date like 2026-03-02"]) from None


def _missing(path: str) -> StudyFileError:
    return StudyFileError(en=f"{path} is missing", zh=f"缺少 {path}")
