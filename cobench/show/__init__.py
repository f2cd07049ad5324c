"""What readers see: wording in both languages, tables and figures of released objects only."""

from cobench.show.displayed import Displayed
from cobench.show.figure import Figure
from cobench.show.figures_coverage import coverage_dots, coverage_map
from cobench.show.figures_distributions import overlap_plot, scale_distribution
from cobench.show.figures_effects import effects_over, forest_plot, love_plot
from cobench.show.figures_flow import flow_chart
from cobench.show.fonts import use_theme
from cobench.show.guard import guard_display
from cobench.show.labels import Labels, study_labels
from cobench.show.paragraphs import Context, answer, holds
from cobench.show.sections import bullets, finding, folded, heading, md, notice, paragraph
from cobench.show.sentences import detected, effect_sentence, evidence_badge
from cobench.show.spec_curve import Spec, spec_curve
from cobench.show.tables import table
from cobench.show.wording import number, phrases, say

__all__ = [
    "Context",
    "Displayed",
    "Figure",
    "Labels",
    "Spec",
    "answer",
    "bullets",
    "coverage_dots",
    "coverage_map",
    "detected",
    "effect_sentence",
    "effects_over",
    "evidence_badge",
    "finding",
    "flow_chart",
    "folded",
    "forest_plot",
    "guard_display",
    "heading",
    "holds",
    "love_plot",
    "md",
    "notice",
    "number",
    "overlap_plot",
    "paragraph",
    "phrases",
    "say",
    "scale_distribution",
    "spec_curve",
    "study_labels",
    "table",
    "use_theme",
]
