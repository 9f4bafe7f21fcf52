"""What tools/benchmark.py measures: a file each. Figures, never tests: a timed test fails on a busy machine."""
