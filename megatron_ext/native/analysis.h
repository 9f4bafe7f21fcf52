// What the rules measure in a text: its words, in memory once, and where its lines are. See corpus/analysis.py.

#pragma once

#include <cstdint>
#include <vector>

#include "characters.h"
#include "module.h"

// What a code point is to the word splitter; corpus/words.py makes the table from Python's own Unicode data.
enum CharacterKind : std::uint16_t {
    IS_SPACE = 1,
    IS_LETTER = 2,  // alphabetic, or a mark on one
    IS_NUMBER = 4,
    IS_ALPHA = 8,  // str.isalpha()
    IS_LOWER = 16,  // a letter that is not a capital
    IS_UPPER = 32,  // a letter that is not a small one
    IS_PUNCTUATION = 64,
    IS_SYMBOL = 128,
    IS_EDGE = 256,  // a word of its own at either end of a chunk
    IS_ICON = 512,  // a word of its own everywhere
    IS_END = 1024,  // ends a sentence
    IS_UNSPACED = 2048,  // of a script that writes no spaces between words
    IS_QUOTE = 4096,
    IS_HYPHEN = 8192,
};

extern std::uint16_t KINDS[0x20000];
std::uint16_t kind_above(std::uint32_t c);
INLINE std::uint16_t kind_of(std::uint32_t c) { return c < 0x20000 ? KINDS[c] : kind_above(c); }

enum WordFlag : std::uint32_t { HAS_WORD = 1, HAS_ALPHA = 2, ENDS = 4, ALL_PUNCTUATION = 8 };

struct Word {
    std::uint32_t start, bytes, characters, flags;
};

struct Cuts {  // lengths of the words in runs without spaces, in their order
    const std::uint32_t* next = nullptr;
    const std::uint32_t* end = nullptr;
};

void split_words(const std::uint8_t* text, std::size_t begin, std::size_t end, Cuts& cuts, std::vector<Word>& words);

// How many sentences some words in a row make.
std::size_t count_sentences(const Word* word, const Word* end);

struct Analysis {
    Analysis(py::str text, const py::object& cuts);

    py::str text;  // keeps the UTF-8 alive
    const std::uint8_t* data;
    std::size_t size;
    std::vector<std::uint32_t> cuts;
    std::vector<Word> words;
    std::vector<std::uint64_t> hashes;  // of the words; made when first asked for

    void hash_words();
};

// Runs f without the GIL where there is so much work that handing it over pays.
template <class F>
void work(std::size_t size, F&& f) {
    if (size < 1 << 16) {
        f();
    } else {
        py::gil_scoped_release release;
        f();
    }
}

INLINE std::size_t continuations(const std::uint8_t* p, std::size_t size) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) count += (p[i] & 0xc0) == 0x80;
    return count;
}
INLINE std::size_t characters_in(const std::uint8_t* p, std::size_t size) { return size - continuations(p, size); }

// Decodes text that is known to be valid.
INLINE int decode_valid(const std::uint8_t* p, std::uint32_t& c) {
    if (p[0] < 0x80) return c = p[0], 1;
    if (p[0] < 0xe0) return c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu), 2;
    if (p[0] < 0xf0) return c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu), 3;
    return c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu), 4;
}

// str.strip(), from the front and from the back.
INLINE std::size_t strip_front(const std::uint8_t* text, std::size_t begin, std::size_t end) {
    while (begin < end) {
        std::uint32_t c;
        const int length = decode_valid(text + begin, c);
        if (!(c < 0x80 ? (KIND[c] & SPACE) != 0 : is_space(c))) break;
        begin += length;
    }
    return begin;
}
INLINE std::size_t strip_back(const std::uint8_t* text, std::size_t begin, std::size_t end) {
    while (begin < end) {
        std::size_t at = end - 1;
        while ((text[at] & 0xc0) == 0x80) --at;
        std::uint32_t c;
        decode_valid(text + at, c);
        if (!(c < 0x80 ? (KIND[c] & SPACE) != 0 : is_space(c))) break;
        end = at;
    }
    return end;
}

// Calls f(begin, end, next) for each line that str.splitlines() gives; next is where the one after it begins.
template <class F>
void each_line(const std::uint8_t* text, std::size_t size, F&& f) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < size;) {
        const std::uint8_t b = text[i];
        int ending = 0;
        if (b < 0x20) {
            if ((b >= 10 && b <= 13) || (b >= 0x1c && b <= 0x1e)) ending = b == '\r' && i + 1 < size && text[i + 1] == '\n' ? 2 : 1;
        } else if (b == 0xc2) {
            if (text[i + 1] == 0x85) ending = 2;
        } else if (b == 0xe2) {
            if (text[i + 1] == 0x80 && (text[i + 2] == 0xa8 || text[i + 2] == 0xa9)) ending = 3;
        }
        if (ending != 0) {
            if (!f(begin, i, i + ending)) return;
            begin = i += ending;
        } else {
            ++i;
        }
    }
    if (begin < size) f(begin, size, size);
}

py::tuple ngrams(Analysis& analysis);
py::tuple repeats(const Analysis& analysis);
py::tuple clean_c4(const Analysis& analysis, std::size_t min_words, std::size_t max_word_length, std::size_t min_sentences,
                   const std::string& marks, unsigned rules);
