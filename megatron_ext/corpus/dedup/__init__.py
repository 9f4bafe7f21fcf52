"""One file a way to find duplicates. `--dedup exact minhash …` runs them one behind the other, each on what the last one left.

Each file offers

Flags            its group of flags, each named after the file (`minhash_threshold`); light to import
REASONS          {reason: how a person reads it}, for every reason that it drops for
stages(before, parts)  the stages that it runs in (`engine/stages.py`), the last of which writes documents to `parts`
LEAVES           where there are some, the files that it writes into the run's folder, for good

What they share lies in `corpus/matching/`. Of copies, the one stays that comes first: documents of --dedup-against before all
others, then the sources of --dedup-priority, then as in the corpus.
"""
