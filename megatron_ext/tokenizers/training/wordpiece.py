r"""`--algorithm wordpiece`: pieces whose parts are rarely apart (Schuster and Nakajima 2012; BERT, arXiv:1810.04805).

As in byte pair encoding, a pair of neighbours within the words becomes one symbol, again and again; but the next pair is
the one with the highest count(ab) / (count(a) · count(b)), whose parts are apart least often (`pair_merging.py`). What is
learned is a set of pieces without an order: encoding takes the longest one that fits, from left to right. (tokenizers'
`WordPieceTrainer` learns by count, which is byte pair encoding's rule.)

`--wordpiece-form`:
  byte_level  words are LLaMA 3's, as in `byte_level_bpe.py`, written as bytes, all 256 of which are pieces: lossless. A
              space belongs to the word behind it and so marks its beginning: pieces inside of a word need no mark of their
              own, and there is one kind of pieces. Words of more than 16 characters are cut there, since the longest match
              looks at every end of every rest of a word.
  bert        words are BERT's (control characters are dropped, Chinese characters and punctuation are words of their own;
              with `--wordpiece-lowercase` capitals and accents go too), pieces inside of a word begin with `##`, and a word
              with a character that has no piece is [UNK]: white space and rare characters are lost. Writes vocab.txt too.

`--min-frequency` decides more than anything else. The score is highest for two rare symbols that were seen together: with 2
the vocabulary fills with what was seen twice. By default it is the highest with which there are merges enough to fill the
vocabulary: it is searched for, in a dozen learnings that take about as long as reading does. Bytes a token on 3.6 MB that
were held out, learned from 31.7 MB of English, Chinese and code (byte pair encoding, also longest match, beside it):

    entries    with 2   with 0.8 of it   with 0.95 of it   by default        byte pair encoding
    8,000      1.05     2.20             2.52              2.95 (with 482)   3.20
    16,000     1.08     2.41             3.18              3.31 (with 191)   3.57
    32,000     1.11     2.56             3.03              3.64 (with 72)    3.88
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable

import regex
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.pair_merging import Merges, Words, learn
from megatron_ext.tokenizers.training import _text
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, MIN_FREQUENCY, folder, pattern

MODEL = "tokenizer.json"
FLAGS = ("split_digits", "character_coverage", "min_frequency", "wordpiece_form", "wordpiece_lowercase")

LONGEST_WORD = 16
"""Characters of a word of the byte-level form."""
_LONGEST_OF_BERT = 100
"""Characters of a word of BERT's form; longer ones are [UNK], as BERT's tokenizer has it."""
_INSIDE = "##"
_UNKNOWN = "[UNK]"
_BERTS_WORDS = regex.compile(r"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]")
"""What BertPreTokenizer cuts normalised text into; as a regular expression several times faster than to ask it."""


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read once. May end below `--vocab-size` where the texts hold too few pairs.

    UserError: BERT's form, and the vocabulary has no room for its characters.
    """
    return _bert(texts, flags) if flags.wordpiece_form == "bert" else _byte_level(texts, flags)


def _byte_level(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    names = control_names(flags)
    counts: Counter[bytes] = Counter()
    for word, count in _count(texts, flags, regex.compile(pattern(flags))).items():
        for start in range(0, len(word), LONGEST_WORD):
            counts[word[start : start + LONGEST_WORD].encode()] += count
    pieces = [bytes([byte]) for byte in range(256)]
    for left, right in _learn(Words.of_bytes(counts), 256, flags, flags.vocab_size - len(names) - 256).pairs.tolist():
        pieces.append(pieces[left] + pieces[right])
    character = {byte: character for character, byte in BYTE_OF.items()}
    learned = _tokenizer(names, ("".join(character[byte] for byte in piece) for piece in pieces), "", 4 * LONGEST_WORD)
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern(flags)), "isolated"),
            pre_tokenizers.Split(Regex(rf"[\s\S]{{1,{LONGEST_WORD}}}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learned.decoder = decoders.ByteLevel()
    return folder(learned, flags)


def _count(texts: Iterable[str], flags: TrainTokenizerFlags, words: regex.Pattern) -> Counter[str]:
    """Words with their counts, in texts that are cut at names of control tokens."""
    names = _text.names_in_text(flags)
    parts = (part for text in _text.then_say(texts, "merging pairs") for part in _text.cut(text, names))
    return Counter(itertools.chain.from_iterable(map(words.findall, parts)))


def _bert(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    normalizer = normalizers.BertNormalizer(lowercase=flags.wordpiece_lowercase)
    names = control_names(flags, _UNKNOWN)
    words = _count(map(normalizer.normalize_str, texts), flags, _BERTS_WORDS)
    words, pieces = _berts_alphabet(words, flags.character_coverage)
    room = flags.vocab_size - len(names)
    if len(pieces) > room:
        raise UserError(
            f"--vocab-size {flags.vocab_size}: the {len(pieces):,} characters of the text (a second time with ## for those "
            f"inside of words) have no room beside {len(names)} control tokens; raise it, or lower --character-coverage"
        )
    number = {piece: place for place, piece in enumerate(pieces)}
    rows = ([number[piece] for piece in _characters(word)] for word in words)
    for left, right in _learn(Words.of(rows, words.values()), len(pieces), flags, room - len(pieces)).pairs.tolist():
        pieces.append(pieces[left] + pieces[right].removeprefix(_INSIDE))
    learned = _tokenizer(names, pieces, _INSIDE, _LONGEST_OF_BERT)
    learned.normalizer, learned.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    learned.decoder = decoders.WordPiece(prefix=_INSIDE)
    files = folder(learned, flags, _UNKNOWN)
    vocab = learned.get_vocab()
    return {**files, "vocab.txt": "".join(f"{piece}\n" for piece in sorted(vocab, key=vocab.get)).encode()}


def _characters(word: str) -> list[str]:
    return [word[0], *(_INSIDE + character for character in word[1:])]


def _berts_alphabet(words: Counter[str], coverage: float) -> tuple[dict[str, int], list[str]]:
    """Words of frequent characters only (others will be [UNK]), and these characters as pieces, as they stand in the words."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    known = _text.covering(characters, coverage)
    kept = {word: count for word, count in words.items() if len(word) <= _LONGEST_OF_BERT and known.issuperset(word)}
    pieces = {piece for word in kept for piece in _characters(word)}
    return kept, sorted(pieces, key=lambda piece: (len(piece), piece))


def _learn(words: Words, symbols: int, flags: TrainTokenizerFlags, merges: int) -> Merges:
    def by(score: str, least: int) -> Merges:
        return learn(words, symbols, merges, score=score, min_count=least, lengths=[1] * symbols, longest=LONGEST_TOKEN)

    if flags.min_frequency is not None:
        return by("ratio", flags.min_frequency)
    low, found = MIN_FREQUENCY, by("ratio", MIN_FREQUENCY)
    if len(found.pairs) < merges or merges == 0:
        return found
    high, rising = int(by("count", low).counts[-1, 0]) + 1, True  # not far from where the ratio's lies
    while rising or high - low > 1:
        least = high if rising else (low + high) // 2
        tried = by("ratio", least)
        if len(tried.pairs) == merges:
            low, high, found = least, 2 * least if rising else high, tried
        else:
            high, rising = least, False
    print(f"wordpiece: --min-frequency {low}, the highest with which the vocabulary is filled", file=sys.stderr)
    return found


def _tokenizer(names: list[str], pieces: Iterable[str], inside: str, longest: int) -> tokenizers.Tokenizer:
    vocab = {token: place for place, token in enumerate([*names, *pieces])}
    model = models.WordPiece(vocab, unk_token=_UNKNOWN, max_input_chars_per_word=longest, continuing_subword_prefix=inside)
    learned = tokenizers.Tokenizer(model)
    learned.add_special_tokens(names)
    return learned
