"""What may leave the study: small cells, identifiers and dangerous characters are dealt with here."""

from cobench.release.binning import release_bins, release_histogram
from cobench.release.disclosure import (
    Released,
    Rules,
    release_aggregate,
    release_counts,
    release_estimates,
    release_table,
    release_text,
)
from cobench.release.escape import csv_text, escape_html, safe_cell
from cobench.release.identifiers import Finding, scan_html, scan_text
from cobench.release.structure import Counted
from cobench.release.xlsx import write_workbook

__all__ = [
    "Counted",
    "Finding",
    "Released",
    "Rules",
    "csv_text",
    "escape_html",
    "release_aggregate",
    "release_bins",
    "release_counts",
    "release_estimates",
    "release_histogram",
    "release_table",
    "release_text",
    "safe_cell",
    "scan_html",
    "scan_text",
    "write_workbook",
]
