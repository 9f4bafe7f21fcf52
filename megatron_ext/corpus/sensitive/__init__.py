"""One file a kind of personal data or secret: how it is found and what a consistent fake of it is. `--scrub email phone …`.

Each file offers

TITLE                 how a person reads the kind, in the plural ("e-mail addresses")
find(text, c)         yields (start, end) in characters, in order, not overlapping; checked (Luhn, checksums), not only matched
fake(found, number)   another of the same form that belongs to nobody; the same for the same (found, number) [a seeded hash]

`scrub.py`, no kind but the room's one function, finds all kinds that are asked for and removes, masks or replaces them.
"""
