"""``cobench check``: everything that can be validated without running anything."""

from __future__ import annotations

from cobench.declared import Text
from cobench.errors import RunError
from cobench.ingest.codebook import instrument_ranges, term_codebooks
from cobench.ingest.draft_study import guesses
from cobench.ingest.keys import study_key
from cobench.monitor.standards import check_standards, conflicts
from cobench.run.evaluate import ANY_SCHOOL, plan
from cobench.run.plan import check_plan
from cobench.study import Study
from cobench.workbench.prepare import raw_paths


def check_term(study: Study, term_id: str) -> list[Text]:
    """What was checked and found right, a line each.

    Raises
    ------
    CobenchError
        On the first thing that is wrong: code book, standard, notebook parameter, key, or no raw files.
    """
    _check_confirmed(study)
    lines = [
        Text(
            f"study.toml：{len(study.terms)} 个学期，{len(study.sources)} 类文件，{len(study.effects)} 个声明的效应",
            f"study.toml: {len(study.terms)} terms, {len(study.sources)} kinds of file, "
            f"{len(study.effects)} declared effects",
        )
    ]
    books = term_codebooks(study, term_id)
    instrument_ranges(study)
    for instrument in study.instruments.values():
        name = instrument.codebook_of(term_id)
        book = books[instrument.id]
        needed = {
            i for scale in study.scales.values() if scale.instrument == instrument.id for i in scale.items
        }
        absent = sorted(needed - set(book.ranges()))
        if absent:
            raise RunError(
                en=f"{name} has no items {', '.join(absent)} that scales need",
                zh=f"{name} 缺少量表所需的题目 {', '.join(absent)}",
            )
        lines.append(Text(f"编码表 {name}：可用", f"code book {name}: fine"))
    chosen = check_standards(study, study.term(term_id))
    lines.append(Text(f"标准：选用 {len(chosen)} 条", f"standards: {len(chosen)} chosen"))
    for stricter, looser in conflicts(chosen):
        lines.append(
            Text(
                f"标准 {stricter} 比 {looser} 更严，两条都会列出",
                f"standard {stricter} is stricter than {looser}; both will be printed",
            )
        )
    reports = plan(study, term_id, study.languages, {ANY_SCHOOL: Text(ANY_SCHOOL, ANY_SCHOOL)})
    check_plan(reports)
    lines.append(Text("笔记本与参数：可用", "notebooks and parameters: fine"))
    study_key(study)
    lines.append(Text("假名密钥：可用", "pseudonym key: fine"))
    files = raw_paths(study, term_id)
    if not files:
        raise RunError(en=f"no raw files in data/raw/{term_id}", zh=f"data/raw/{term_id} 中没有原始文件")
    lines.append(Text(f"原始文件：{len(files)} 个", f"raw files: {len(files)}"))
    return lines


def _check_confirmed(study: Study) -> None:
    """Refuse a draft in which a guess is still marked."""
    paths = [study.root / "study.toml", *(study.root / each.codebook for each in study.instruments.values())]
    texts = {
        path.relative_to(study.root).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.exists()
    }
    found = guesses(texts)
    if len(found):
        listed = "\n".join(f"{row.file}:{row.line}: {row.text}" for row in found.itertuples())
        raise RunError(
            en=f"{len(found)} guesses are still to be confirmed (check each line, then delete its mark):\n{listed}",
            zh=f"尚有 {len(found)} 处猜测待核对（逐行核对后删去标记）：\n{listed}",
        )
