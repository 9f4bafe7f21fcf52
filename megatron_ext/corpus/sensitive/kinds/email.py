"""E-mail addresses: local@domain with a top-level domain that exists. `--scrub email`.

RFC 5322's dot-atoms without the characters that code and URLs put beside an address; letters with accents belong to both parts
(RFC 6531). Not found: `user@host`, package versions (`left-pad@1.3.0`), pictures (`logo@2x.png`), `git@host:path`, the user of
a URL (`ssh://me@host.org`), quoted local parts. A fake stands in example.com, example.net or example.org (RFC 2606).
"""

from __future__ import annotations

import re

from megatron_ext.corpus.sensitive.folding import fold

TITLE = "e-mail addresses"
CERTAINTY = 5

_COUNTRIES = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg ch ci
ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn
gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc
li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz
om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz
tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_GENERIC = """
com org net edu gov mil int arpa info biz name pro museum coop aero jobs mobi travel tel cat asia post xxx app dev page blog
cloud online site website store shop tech xyz top club live life world today email agency academy center company consulting
design digital education expert foundation global group health help host hosting house institute international kitchen law
legal link marketing media money network news one partners photo photography press productions science services social
software solutions space studio support systems team technology tools training university vip work works wiki zone bank berlin
london nyc paris tokyo wien hamburg koeln swiss scot wales cymru eus gal bzh amsterdam brussels vlaanderen moscow istanbul ltd
inc llc gmbh fund finance capital ventures games fun art music film book cafe bar pub ren wang xin win cool best city
community church care clinic dental doctor engineer engineering lawyer google microsoft apple amazon
"""
_TOP = frozenset(_COUNTRIES.split()) | frozenset(_GENERIC.split())
_OF_NOBODY = re.compile(r"@(?:.*\.)?example(?:\.(?:com|net|org))?$", re.IGNORECASE)
_USER_OF_URL = re.compile(r"//[^\s/\"'<>]*$")
_ASSIGNED = re.compile(r"^[0-9A-Za-z_-]*%")


def check(text, start, end, c):
    value = fold(text[start:end])
    local, _, domain = value.rpartition("@")
    kept = local.lstrip(".-+")
    start += len(local) - len(kept)
    end -= len(domain) - len(domain.rstrip(".-"))
    labels = domain.rstrip(".-").split(".")
    if not any(map(str.isalnum, kept)) or kept.endswith(".") or ".." in kept or kept == "git" or _ASSIGNED.match(kept):
        return None
    if len(labels) < 2 or not all(0 < len(label) < 64 and label[0] != "-" and label[-1] != "-" for label in labels):
        return None
    top = labels[-1].lower()
    if top not in _TOP and not (top.startswith("xn--") and len(top) > 6):
        return None
    if top in ("py", "md", "sh", "pl", "rs", "so", "cc", "ps", "app") and labels[-1] != top:
        return None
    if top == "py" and len(labels) < 3:  # Paraguay's addresses are under com.py, edu.py …
        return None
    before = text[max(0, start - 80) : start]
    if before[-1:] in ("$", "}", "{") or _USER_OF_URL.search(before):
        return None
    return start, end


def fake(found, draw):
    if _OF_NOBODY.search(found):
        return found
    number = draw(fold(found).lower())
    return f"user{number % 10**8:08d}@example.{('com', 'net', 'org')[number // 10**8 % 3]}"
