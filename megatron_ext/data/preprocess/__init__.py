"""Input files to `.bin/.idx`: one process reads and writes, in the input's order; the others tokenize."""
