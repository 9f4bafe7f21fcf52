"""From raw tokens to samples, for objectives that work document by document: random numbers, spans, and what an architecture
reads.
"""
