"""One file a format of input. Each offers what `documents.py` needs to make texts of it, with bounded memory:

SUFFIXES          file name endings, without .gz and .zst, by which the format is seen
UNIT              what a record's number counts: "line" or "row"
read(source, keys, sample_by)   yields (number, payload): one record each, not yet looked into
fields(payload, keys)           the record as a mapping from key to value; raises Reject

`read` runs in the one process that reads, so it does little; `fields` runs in the workers.
"""
