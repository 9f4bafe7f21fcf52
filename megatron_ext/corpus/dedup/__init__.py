"""Near-duplicates: what counts as the same text, signatures, candidates, clusters, and which copy stays."""
