"""Sums, and how a person reads them."""

import numpy as np

from megatron_ext.data.preprocess.encoding import Encoded
from megatron_ext.data.preprocess.totals import Totals

NO_TOKENS = (np.array([], np.uint16), np.array([], np.int32))


def totals(keys, *batches):
    found = Totals(keys=keys, files=2)
    for batch in batches:
        found.add(batch)
    found.seconds = 2.0
    return found


def batch(lengths, rejects=(), keys=1):
    column = (np.zeros(sum(lengths), np.uint16), np.array(lengths))
    return Encoded(0, [column] * keys, len(lengths), [{"reason": reason} for reason in rejects], 3_000_000, 2_000_000, 5, 500_000)


def test_the_closing_summary():
    found = totals(["text"], batch([1000, 500]), batch([1500], ["empty", "not_json", "empty"]))
    assert dict(found.lines()) == {
        "documents": "3 from 2 files",
        "rejected": "3 (2 empty, 1 not JSON)",
        "text": "6.0 MB, 4,000,000 characters (25% Chinese), 10 words",
        "tokens": "3,000; 2000.00 bytes/token",
        "time": "2.0 s; 3.0 MB/s, 2 docs/s",
    }
    assert found.first_reject == {"reason": "empty"}


def test_tokens_by_key():
    assert dict(totals(["a", "b"], batch([3], keys=2)).lines())["tokens"].startswith("a 3, b 3; ")


def test_nothing_at_all():
    found = totals(["text"], Encoded(0, [NO_TOKENS], 0, [], 0, 0, 0, 0))
    assert dict(found.lines())["tokens"] == "0; 0.00 bytes/token"
    assert (found.refused, found.as_dict()["documents"], found.as_dict()["tokens"]) == ("0", 0, {"text": 0})
