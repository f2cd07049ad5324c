"""Raw school files in, canonical tables out, nothing lost."""
