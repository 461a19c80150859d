"""Floor 1: the canon (nouns), its errors, and how bytes become it. Imports nothing of ours."""
