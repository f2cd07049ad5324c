"""A draft as a person would have confirmed it."""

import re


def confirm(text: str) -> str:
    """What a person does to a draft, without thinking: values in the order listed, marks away."""
    lines, value = [], 0
    for line in text.splitlines():
        if line.startswith("["):
            value = 0
        if line.endswith("ascending, descending or unordered"):
            line = line.replace('"?"', '"unordered"')
        elif re.search(r'= "\?"  # \d+$', line):
            value += 1
            line = line.replace('"?"', str(value))
        line = (
            line.replace('instrument = "?"', 'instrument = "home"')
            .replace('respondent = "?"', 'respondent = "parent"')
            .replace('en = "?"', 'en = "x"')
        )
        lines.append(re.sub(r"\s*# confirm.*", "", line))
    return "\n".join(lines)
