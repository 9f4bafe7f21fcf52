"""Flags of what is done to personal data and secrets in texts."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.sensitive import KINDS


@flag_group("sensitive", "Personal data and secrets")
class SensitiveFlags:
    scrub: tuple[str, ...] = flag((), "kinds of personal data and secrets to take out of the texts", choices=KINDS, front=True)
    scrub_mode: str = flag(
        "mask",
        "what stands in their place: nothing, a placeholder, or a consistent fake of the same form that belongs to nobody",
        choices=("remove", "mask", "replace"),
        front=True,
    )
    scrub_placeholder: str = flag("<{KIND}>", "text of a placeholder; {KIND} or {kind} in it is the kind, as in <EMAIL>")
    scrub_salt: str = flag("", "fakes are drawn from it and the value: another salt, other fakes; who knows it can try values")
    scrub_private_addresses: bool = flag(False, "ip_address: take out private, loopback and other local addresses too")
    scrub_phone_regions: tuple[str, ...] = flag(
        ("US", "GB", "CN"), "phone_number: regions whose national forms are looked for (ISO 3166); +… is looked for everywhere"
    )

    @staticmethod
    def check(c):
        try:
            c.scrub_placeholder.format(kind="", KIND="")
        except (KeyError, IndexError, ValueError, AttributeError):
            yield Problem("--scrub-placeholder", c.scrub_placeholder, "has braces around other words than kind and KIND")
        for region in c.scrub_phone_regions:
            if not (len(region) == 2 and region.isascii() and region.isupper()):
                yield Problem("--scrub-phone-regions", region, "is not a region's two capital letters", "write US, GB, CN …")
