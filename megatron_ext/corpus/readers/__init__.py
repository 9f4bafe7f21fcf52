"""One file a format of input. Each offers what `documents.py` needs to make texts and documents of it, with bounded memory:

SUFFIXES          file name endings, without .gz and .zst, by which the format is seen; the longest that fits decides
UNIT              what a record's number counts: "line", "row" …
read(source, keys, flags)   yields (number, payload, place): one record each, not yet looked into
fields(payload, keys)       the record as a dictionary; raises Reject

`keys` are those that are wanted; None: all that there are. `flags` has the attributes of `InputFlags`. `place` tells a record
from the others of its file however the file was cut (an offset in bytes); None: its number does. `fields` gives a dictionary
of its own, and may set what documents need: `text`, `id` (else: file and place), `source` (else: the reader's name), `url`,
`language`, `title`, `license`. A payload is bytes, or a dictionary whose weight lies in bytes; None for a record that is too
long.

`read` runs in the one process that reads, so it does little; `fields` runs in the workers.

Where there is something to say:

parts(path, flags, size)    ranges of a plain file, `[(begin, end) …, (begin, None)]`, of about `size` bytes each: `Source`
                            and `read` give of them what begins there. Without it a file is one piece.
is_one_document(flags)      whether each file is one document: then many share a shard, and a file that cannot be read is a
                            reject
require(source, keys)       raises UserError where all records lack one of the keys
TEXT                        the key under which it puts the text, where the format knows no keys: a text that is asked for by
                            another name is that one
FOLDER_SIGN                 the input is a folder, seen by this name in it; `source` then has a path and nothing else
"""
