"""Texts that try an analysis of text: all scripts, odd spaces, marks of all kinds, and what C4's rules look for."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = (
    *("the", "and", "Mr.", "U.S.", "e.g.", "J.", "USA.", "don't", "it’s", "'s", "I'd've", "n't", "dogs'", "''", "Москва-река"),
    *("...", "..", "…", ".", "-", "--", "—", "a.B", "x:y", "1,000", "3+4", "5-6", "+", "+5", "5+", "C++", "=", "a=b", "a-", "-a"),
    *(
        "foo@bar.com",
        "http://x.y/z-a",
        "www.a-b.de",
        "url=http://x",
        "://",
        "(",
        ")",
        "<b>",
        '"',
        "'",
        "!",
        "?",
        "。",
        "။",
        "/",
        "and/or",
    ),
    *(
        "中文",
        "三国演义",
        "日本語の",
        "カタカナー",
        "ภาษาไทย",
        "ພາສາລາວ",
        "ភាសាខ្មែរ",
        "မြန်မာ",
        "𠀀𠀁",
        "3月",
        "한국어",
        "٣",
        "ß",
        "Ⅷ",
        "½",
    ),
    *(
        "🤔",
        "a🤔b",
        "👩‍👩‍👧",
        "❤\ufe0f",
        "\u200d",
        "\U000e0101",
        "e\u0301",
        "\u0301",
        "\U0010ffff",
        "\x00",
        "\ufeff",
        "§",
        "•",
        "#",
        "_",
        "|",
    ),
    *(
        " ",
        "  ",
        "\t",
        "\xa0",
        "\u3000",
        "\u2003",
        "\x85",
        "\u2028",
        "\u2029",
        "\r\n",
        "\r",
        "\x1c",
        "\v",
        "\n",
        "\n\n",
        "\n\n\n",
    ),
    *(
        "[1]",
        "[]",
        "[edit]",
        "[citation needed]",
        "[12",
        "{",
        "javascript",
        "JavaScript",
        "Lorem Ipsum",
        "use cookies",
        "uſe cookies",
    ),
    *("Privacy Policy.", "terms of use", "\u212aookies", "İ", "- item", "• item", "end...", "A sentence of words.", "X" * 1001),
)
texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.tuples(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=60)).map(
        lambda drawn: " ".join(drawn[0][number % len(drawn[0])] for number in drawn[1])  # a few words over and over
    ),
).map(lambda text: text.encode("utf-8", "ignore").decode())

REAL = {
    "english": "It was the best of times, it was the worst of times; it's Mr. Smith's U.S.-made state-of-the-art car. “Well,” "
    "he said...\n",
    "chinese": "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。\n",
    "japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "ニャーニャー泣いていた事だけは記憶している。\n",
    "thai": "ภาษาไทยเป็นภาษาที่ใช้ในประเทศไทย และเป็นภาษาราชการ\n",
    "russian": "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n",
    "code": "def f(x=None, *a):\n    # TODO: what's this?\n    return {k: v**2 for k, v in x.items() if v != 'a.B'}\n",
    "markup": "'''Anarchism''' is a [[political philosophy]]{{cite web|url=http://a.b/c-d|title=X}}<ref name=\"x\"/>\n",
    "emoji": "so 👍🏽 good!!! 😂😂 :-) <3 #blessed @you www.example.com/a-b\n",
}
"""A line or two each of what corpora hold (books named here are in the public domain)."""
