"""--filters language, by the model that set-up brings."""

import json
import pathlib
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import language
from megatron_ext.corpus.filters.language import UNDETERMINED, Identifier, default_model, sample
from tests import texts
from tests.corpus.filters.case import CHINESE, judge, make, problems

ROOT = pathlib.Path(__file__).resolve().parents[3]
ENGLISH = (
    "The committee met again in the spring, when the snow on the northern roads had melted and the members could "
    "travel. They agreed that the bridge should be rebuilt in stone. "
) * 3
SENTENCES = {
    "de": "Der Ausschuss trat im Frühjahr wieder zusammen, als der Schnee auf den Straßen geschmolzen war.",
    "fr": "Le comité se réunit de nouveau au printemps, lorsque la neige eut fondu sur les routes du nord.",
    "es": "El comité volvió a reunirse en primavera, cuando la nieve de los caminos se había derretido.",
    "ru": "Комитет снова собрался весной, когда снег на северных дорогах растаял.",
    "ja": "北の道の雪が解けた春に、委員会は再び集まりました。",
    "ko": "북쪽 길의 눈이 녹은 봄에 위원회가 다시 모였습니다.",
    "th": "คณะกรรมการประชุมกันอีกครั้งในฤดูใบไม้ผลิ เมื่อหิมะบนถนนละลายแล้ว",
    "ar": "اجتمعت اللجنة مرة أخرى في الربيع عندما ذاب الثلج على الطرق الشمالية.",
}


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        (ENGLISH, [], None),
        (ENGLISH, ["--languages", "en", "zh"], None),
        (CHINESE, ["--languages", "en", "zh"], None),
        (CHINESE, ["--languages", "en"], "language_other"),
        (SENTENCES["de"], ["--languages", "en", "zh"], "language_other"),
        ("ok la", [], "language_unsure"),
        ("ok la", ["--language-min-score", 0.05], None),
        ("1234 5678", [], "language_unsure"),
        ("1234 5678", ["--language-min-score", 0], None),
    ],
)
def test_what_is_kept(text, argv, reason):
    assert judge(language, text, *argv).reason == reason


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_enough(code):
    verdict = judge(language, SENTENCES[code], "--languages", code)
    assert verdict.reason is None and 0.65 <= verdict.numbers[0] <= 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "a", "12345", "!!! ---", "\0\x1f", "\u200b"])
def test_nothing_to_tell_by_is_no_language(text):
    """fastText itself says "en" of most of these, and "km" of one."""
    assert Identifier(default_model(), 0)(text) == (UNDETERMINED, 0.0)


def test_line_ends_are_spaces():
    identify = Identifier(default_model(), 0)
    assert identify(ENGLISH.replace(" ", "\n")) == identify(ENGLISH) == identify(ENGLISH.replace(" ", "\r\n"))


def test_scores_are_fasttext_s_own():
    import fasttext

    model, identify = fasttext.load_model(default_model()), Identifier(default_model(), 0)
    for text in [ENGLISH, CHINESE, *SENTENCES.values(), *texts.library_texts(20)]:
        labels, scores = model.predict(text.replace("\n", " "))
        assert identify(text) == (labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0))


def test_a_licence_in_front_does_not_name_the_book():
    book = ENGLISH * 2 + CHINESE * 20
    assert judge(language, book, "--languages", "zh").reason is None
    assert judge(language, ENGLISH * 6 + CHINESE, "--languages", "en", "--language-characters", 400).reason is None
    assert judge(language, ENGLISH + CHINESE * 20, "--languages", "zh", "--language-characters", 0).reason is None


def test_which_characters_are_looked_at():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
    assert sample(text, 1000) == sample(text, 0) == text
    parts = sample(text, 100).split(" ")
    assert [len(part) for part in parts] == [25] * 4
    assert parts[0] == text[:25] and parts[3] == text[-25:] and [text.index(part) for part in parts] == [0, 325, 650, 975]


def test_the_record_says_its_language():
    document = Document("1", "web", {"text": CHINESE, "id": 7})
    verdict = make(language)(document)
    assert list(document.values) == ["text", "id", *language.ADDS] and document.edited and document.text == CHINESE
    assert document.values["language"] == "zh" and document.values["language_score"] == round(verdict.numbers[0], 4)
    document = Document("1", "web", {"text": CHINESE})
    make(language, "--no-language-write")(document)
    assert list(document.values) == ["text"] and not document.edited


def test_another_model(tmp_path):
    import fasttext

    (tmp_path / "labelled").write_text("__label__aa one two three\n__label__bb four five six\n" * 50)
    fasttext.train_supervised(str(tmp_path / "labelled"), epoch=50, minn=2, maxn=3, verbose=0, thread=1).save_model(
        str(tmp_path / "own.bin")
    )
    argv = ["--language-model", tmp_path / "own.bin", "--languages", "aa"]
    assert judge(language, "one two three", *argv).reason is None
    assert judge(language, "four five six", *argv).reason == "language_other"


def test_what_is_wrong_is_one_sentence(tmp_path, monkeypatch):
    assert "is not there" in problems(language, "--language-model", tmp_path / "none")[0]
    assert "must be at most 1" in problems(language, "--language-min-score", 2)[0]
    with pytest.raises(UserError, match="--languages zhh: the model knows no such language; did you mean zh"):
        make(language, "--languages", "zhh")
    (tmp_path / "text").write_text("no model" * 100)
    with pytest.raises(UserError, match="text: is no fastText model"):
        make(language, "--language-model", tmp_path / "text")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (said,) = problems(language)
    assert "lid.176.ftz is not there; run `bash examples/setup_environment.sh data`" in said


def test_in_a_run_receipts_count_languages(tmp_path):
    texts.write_jsonl(tmp_path / "a.jsonl", [ENGLISH, CHINESE, SENTENCES["fr"], "1 2 3"])
    argv = ["--filters", "language", "--languages", "en", "zh", "--output", tmp_path / "clean"]
    tool = [sys.executable, str(ROOT / "tools" / "clean_corpus.py"), "--input", str(tmp_path / "a.jsonl"), *map(str, argv)]
    subprocess.run(tool, check=True, capture_output=True)
    receipt = json.loads((tmp_path / "clean" / "receipt.json").read_text())
    assert {name: counts[::2] for name, counts in receipt["languages"].items()} == dict(
        en=[1, 1], zh=[1, 1], fr=[1, 0], und=[1, 0]
    )
    (step,) = [step for step in receipt["steps"] if step["name"] == "language"]
    assert {reason: counts[0] for reason, counts in step["dropped"].items()} == {"language_other": 1, "language_unsure": 1}
