"""Words that claim a cause; no sentence may use them below quasi-experimental evidence."""

CAUSAL = {
    "en": r"\b(rais|lower(?:ed|s|ing)\b|increas|reduc|improv|caus(?:ed|es|ing)|led to|lead|boost|help|affect|"
    r"impact|due to|thanks|produc|result(?:ed|s) in|made)",
    "zh": "使|提高|降低|增加|减少|改善|促进|导致|造成|带来|引起|影响|有助|提升|归因|效果",
}
BELOW = ("adjusted_association", "descriptive")
