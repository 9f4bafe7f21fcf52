"""Run with datatrove on the path: what its rules say of texts. Reads {"texts": …, "rules": {name: [class, settings]}}, writes
{name: [None where it is kept, else why not]}."""

import json
import sys

from datatrove.data import Document
from datatrove.pipeline import filters

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
rules = {name: getattr(filters, kind)(**settings) for name, (kind, settings) in asked["rules"].items()}
found = {name: [] for name in rules}
for text in asked["texts"]:  # text by text: datatrove remembers the words of the last few
    for name, rule in rules.items():
        kept = rule.filter(Document(text=text, id="0"))
        found[name].append(None if kept is True else kept[1])
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(found, file)
