// Text to words, and what is counted in words and lines. Its twin, with the rules in full: corpus/words.py, corpus/analysis.py.

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include <pybind11/stl.h>

#include "analysis.h"
#include "hash.h"

std::uint16_t KINDS[0x20000];

namespace {

bool ready = false;
std::vector<std::uint64_t> abbreviations;  // eight bytes each, sorted

std::uint64_t packed(const std::uint8_t* p, std::size_t size) {
    std::uint64_t key = 0;
    std::memcpy(&key, p, size);
    return key;
}

void set_up(const py::bytes& kinds, const std::vector<std::string>& known) {
    const std::string table = kinds;
    if (table.size() != sizeof KINDS) throw std::invalid_argument("set_up: the table of kinds has another size");
    std::memcpy(KINDS, table.data(), sizeof KINDS);
    abbreviations.clear();
    for (const std::string& word : known) {
        if (word.size() > 8) throw std::invalid_argument("set_up: an abbreviation is longer than 8 bytes");
        abbreviations.push_back(packed(reinterpret_cast<const std::uint8_t*>(word.data()), word.size()));
    }
    std::sort(abbreviations.begin(), abbreviations.end());
    ready = true;
}

// One chunk, a stretch between spaces of one manner of writing, being cut into words.
class Chunk {
  public:
    Chunk(const std::uint8_t* text, std::vector<Word>& words) : text_(text), words_(words) {}

    void add(std::uint32_t c, std::uint16_t kind, std::uint32_t at) {
        characters_.push_back(c);
        kinds_.push_back(kind);
        at_.push_back(at);
    }

    // Cuts what was added, which reaches to the byte `end`, and forgets it.
    void cut(std::uint32_t end) {
        if (characters_.empty()) return;
        at_.push_back(end);
        const std::size_t size = characters_.size();
        std::size_t a = front(0, size);
        back_.clear();
        const std::size_t b = back(a, size);
        middle(a, b);
        for (std::size_t i = back_.size(); i > 0; --i) emit(back_[i - 1], i == 1 ? size : back_[i - 2]);
        characters_.clear();
        kinds_.clear();
        at_.clear();
    }

  private:
    bool is(std::size_t i, unsigned kinds) const { return (kinds_[i] & kinds) != 0; }
    bool apostrophe(std::size_t i) const { return characters_[i] == '\'' || characters_[i] == 0x2019; }
    std::uint32_t lower(std::size_t i) const { return characters_[i] < 0x80 ? characters_[i] | 0x20 : characters_[i]; }

    std::size_t front(std::size_t a, std::size_t b) {
        while (a < b) {
            std::size_t taken = 0;
            if (characters_[a] == '.') {
                while (a + taken < b && characters_[a + taken] == '.') ++taken;
                if (taken == 1) break;
            } else if (characters_[a] == '+') {
                if (a + 1 < b && is(a + 1, IS_NUMBER)) break;
                taken = 1;
            } else if (is(a, IS_EDGE)) {
                taken = characters_[a] == '\'' && a + 1 < b && characters_[a + 1] == '\'' ? 2 : 1;
            } else {
                break;
            }
            emit(a, a + taken);
            a += taken;
        }
        return a;
    }

    // Where the middle ends; the words after it begin at back_, the last one first.
    std::size_t back(std::size_t a, std::size_t b) {
        while (b > a) {
            const std::size_t taken = characters_[b - 1] == '.' ? periods(a, b) : at_the_end(a, b);
            if (taken == 0) break;
            b -= taken;
            back_.push_back(b);
        }
        return b;
    }

    std::size_t at_the_end(std::size_t a, std::size_t b) const {
        if (characters_[b - 1] == '+') return b - a > 1 && is(b - 2, IS_NUMBER) ? 1 : 0;
        if (characters_[b - 1] == '=') return 0;
        if (is(b - 1, IS_EDGE)) return b - a > 1 && characters_[b - 1] == '\'' && characters_[b - 2] == '\'' ? 2 : 1;
        return contraction(a, b);
    }

    std::size_t contraction(std::size_t a, std::size_t b) const {
        const std::size_t size = b - a;
        if (size < 3) return 0;
        const std::uint32_t last = lower(b - 1);
        if (apostrophe(b - 2)) {
            if (last == 's' || last == 'd' || last == 'm') return 2;
            return last == 't' && size > 3 && lower(b - 3) == 'n' && is(b - 4, IS_LETTER) ? 3 : 0;
        }
        if (size > 3 && apostrophe(b - 3)) {
            const std::uint32_t first = lower(b - 2);
            if ((first == 'l' && last == 'l') || ((first == 'r' || first == 'v') && last == 'e')) return 3;
        }
        return 0;
    }

    std::size_t periods(std::size_t a, std::size_t b) const {
        std::size_t run = 1;
        while (run < b - a && characters_[b - 1 - run] == '.') ++run;
        if (run > 1) return run;
        if (b - a == 1 || initials(a, b) || abbreviation(a, b - 1)) return 0;
        const std::uint32_t before = characters_[b - 2];
        if (is(b - 2, IS_NUMBER | IS_LOWER | IS_EDGE) || before == '+' || before == '-') return 1;
        return is(b - 2, IS_UPPER) && b - a > 2 && is(b - 3, IS_UPPER) ? 1 : 0;
    }

    bool initials(std::size_t a, std::size_t b) const {
        if ((b - a) % 2 != 0) return false;
        for (std::size_t i = a; i < b; i += 2) {
            if (!is(i, IS_LETTER) || characters_[i + 1] != '.') return false;
        }
        return true;
    }

    bool abbreviation(std::size_t a, std::size_t b) const {
        const std::size_t size = at_[b] - at_[a];
        return size <= 8 && std::binary_search(abbreviations.begin(), abbreviations.end(), packed(text_ + at_[a], size));
    }

    bool address(std::size_t a, std::size_t b) const {
        const auto from = characters_.begin() + a, to = characters_.begin() + b;
        if (std::find(from, to, std::uint32_t{'@'}) != to) return true;
        constexpr std::uint32_t SCHEME[] = {':', '/', '/'}, HOST[] = {'w', 'w', 'w', '.'};
        std::size_t scheme = a;
        while (scheme < b && is(scheme, IS_LETTER | IS_NUMBER)) ++scheme;
        if (scheme > a && b - scheme > 3 && std::equal(std::begin(SCHEME), std::end(SCHEME), characters_.begin() + scheme)) return true;
        return b - a > 4 && std::equal(std::begin(HOST), std::end(HOST), from);
    }

    void middle(std::size_t a, std::size_t b) {
        if (a == b) return;
        if (address(a, b)) return emit(a, b);
        std::size_t begin = a, i = a;
        while (i < b) {
            const std::size_t size = infix(a, i, b);
            if (size == 0) {
                ++i;
                continue;
            }
            if (begin < i) emit(begin, i);
            emit(i, i + size);
            begin = i += size;
        }
        if (begin < b) emit(begin, b);
    }

    // The characters from i on that are a word between two others; 0: none.
    std::size_t infix(std::size_t a, std::size_t i, std::size_t b) const {
        const std::uint32_t c = characters_[i];
        if (is(i, IS_LETTER | IS_NUMBER)) return 0;
        if (is(i, IS_ICON) || c == 0x2026) return 1;
        std::size_t run = 1;
        if (c == '.' || is(i, IS_HYPHEN)) {
            while (i + run < b && characters_[i + run] == c) ++run;
        }
        if (c == '.' && run > 1) return run;
        if (i == a || i + run >= b) return 0;
        const std::uint16_t left = kinds_[i - 1], right = kinds_[i + run];
        const bool number = (left & IS_NUMBER) != 0, word = number || (left & IS_LETTER) != 0, letter = (right & IS_LETTER) != 0;
        if (c == '.') return (left & (IS_LOWER | IS_QUOTE)) != 0 && (right & (IS_UPPER | IS_QUOTE)) != 0 ? 1 : 0;
        if (c == ',') return word && !number && letter ? 1 : 0;
        if (is(i, IS_HYPHEN) && word && letter) return run;
        if (c == ':' || c == '<' || c == '>' || c == '=' || c == '/') return word && letter ? 1 : 0;
        if (c == '+' || c == '-' || c == '*' || c == '^') {
            return number && ((kinds_[i + 1] & IS_NUMBER) != 0 || characters_[i + 1] == '-') ? 1 : 0;
        }
        return 0;
    }

    void emit(std::size_t a, std::size_t b) {
        std::uint16_t any = 0, all = 0xffff;
        for (std::size_t i = a; i < b; ++i) {
            any |= kinds_[i];
            all &= kinds_[i];
        }
        std::uint32_t flags = 0;
        if (any & (IS_LETTER | IS_NUMBER)) flags |= HAS_WORD;
        if (any & IS_ALPHA) flags |= HAS_ALPHA;
        if (all & IS_PUNCTUATION) flags |= ALL_PUNCTUATION;
        if (b - a == 1 && (any & IS_END)) flags |= ENDS;
        words_.push_back({at_[a], at_[b] - at_[a], static_cast<std::uint32_t>(b - a), flags});
    }

    const std::uint8_t* text_;
    std::vector<Word>& words_;
    std::vector<std::uint32_t> characters_, at_;
    std::vector<std::uint16_t> kinds_;
    std::vector<std::size_t> back_;
};

// A run without spaces that begins at i: its words, by the lengths that were given. Where the run ends.
std::size_t unspaced(const std::uint8_t* text, std::size_t i, std::size_t end, Cuts& cuts, std::vector<Word>& words) {
    Word word{static_cast<std::uint32_t>(i), 0, 0, 0};
    while (i < end) {
        std::uint32_t c;
        const int length = decode_valid(text + i, c);
        const std::uint16_t kind = kind_of(c);
        if (!(kind & IS_UNSPACED)) break;
        word.flags |= HAS_WORD;
        if (kind & IS_ALPHA) word.flags |= HAS_ALPHA;
        ++word.characters;
        i += length;
        if (cuts.next != cuts.end && word.characters == *cuts.next) {
            ++cuts.next;
            word.bytes = static_cast<std::uint32_t>(i) - word.start;
            words.push_back(word);
            word = {static_cast<std::uint32_t>(i), 0, 0, 0};
        }
    }
    if (word.characters > 0) {  // the cuts were for another text
        word.bytes = static_cast<std::uint32_t>(i) - word.start;
        words.push_back(word);
    }
    return i;
}

// Bytes of ASCII words; what is neither is looked at more closely.
enum Plain : std::uint8_t { PLAIN_LETTER = 1, PLAIN_DIGIT = 2, PLAIN_SPACE = 4 };
constexpr std::array<std::uint8_t, 256> plain() {
    std::array<std::uint8_t, 256> table{};
    for (int b = 0; b < 128; ++b) {
        if (KIND[b] & LATIN) table[b] = PLAIN_LETTER;
        if (KIND[b] & DIGIT) table[b] = PLAIN_DIGIT;
        if (KIND[b] & SPACE) table[b] = PLAIN_SPACE;
    }
    return table;
}
constexpr auto PLAIN = plain();

}  // namespace

std::uint16_t kind_above(std::uint32_t c) {
    if (c >= 0x40000 || !Py_UNICODE_ISALPHA(c)) return 0;
    return IS_LETTER | IS_ALPHA | IS_LOWER | IS_UPPER | IS_UNSPACED;
}

void split_words(const std::uint8_t* text, std::size_t begin, std::size_t end, Cuts& cuts, std::vector<Word>& words) {
    Chunk chunk(text, words);
    for (std::size_t i = begin; i < end;) {
        const std::size_t start = i;
        std::uint8_t seen = 0, kind = 0;
        while (i < end && ((kind = PLAIN[text[i]]) & (PLAIN_LETTER | PLAIN_DIGIT))) {
            seen |= kind;
            ++i;
        }
        if (i == end || kind == PLAIN_SPACE) {  // letters and digits alone: most chunks of English
            if (seen) {
                const std::uint32_t size = static_cast<std::uint32_t>(i - start);
                std::uint32_t flags = HAS_WORD;
                if (seen & PLAIN_LETTER) flags |= HAS_ALPHA;
                words.push_back({static_cast<std::uint32_t>(start), size, size, flags});
            }
            ++i;
            continue;
        }
        for (std::size_t j = start; j < i; ++j) chunk.add(text[j], KINDS[text[j]], static_cast<std::uint32_t>(j));
        while (i < end) {
            std::uint32_t c;
            const int length = decode_valid(text + i, c);
            const std::uint16_t kinds = kind_of(c);
            if (kinds & IS_SPACE) break;
            if (kinds & IS_UNSPACED) {
                chunk.cut(static_cast<std::uint32_t>(i));
                i = unspaced(text, i, end, cuts, words);
                continue;
            }
            chunk.add(c, kinds, static_cast<std::uint32_t>(i));
            i += length;
        }
        chunk.cut(static_cast<std::uint32_t>(i));
        if (i < end) {
            std::uint32_t c;
            i += decode_valid(text + i, c);
        }
    }
}

std::size_t count_sentences(const Word* word, const Word* end) {
    std::size_t sentences = word != end;
    bool ended = false;
    for (; word != end; ++word) {
        if (word->flags & ENDS) {
            ended = true;
        } else if (ended && !(word->flags & ALL_PUNCTUATION)) {
            ++sentences;
            ended = false;
        }
    }
    return sentences;
}

Analysis::Analysis(py::str given, const py::object& lengths) : text(std::move(given)) {
    if (!ready) throw std::logic_error("native: set_up was not called");
    Py_ssize_t bytes = 0;
    data = reinterpret_cast<const std::uint8_t*>(PyUnicode_AsUTF8AndSize(text.ptr(), &bytes));
    if (data == nullptr) throw py::error_already_set();
    size = static_cast<std::size_t>(bytes);
    if (size >= std::size_t{1} << 32) throw std::length_error("a text of 4 GiB and more cannot be analysed");
    if (!lengths.is_none()) {
        const Bytes view(lengths);
        cuts.resize(view.size() / sizeof(std::uint32_t));
        std::memcpy(cuts.data(), view.data(), cuts.size() * sizeof(std::uint32_t));
    }
    work(size, [this] {
        Cuts left{cuts.data(), cuts.data() + cuts.size()};
        words.reserve(size / 5 + 8);
        split_words(data, 0, size, left, words);
    });
}

void Analysis::hash_words() {
    if (hashes.size() == words.size()) return;
    hashes.resize(words.size());
    for (std::size_t i = 0; i < words.size(); ++i) hashes[i] = hash_bytes(data + words[i].start, words[i].bytes);
}

namespace {

// The runs without spaces, a line each, or None where there is none.
py::object runs(const py::str& text) {
    if (PyUnicode_IS_ASCII(text.ptr())) return py::none();
    Py_ssize_t bytes = 0;
    const auto* data = reinterpret_cast<const std::uint8_t*>(PyUnicode_AsUTF8AndSize(text.ptr(), &bytes));
    if (data == nullptr) throw py::error_already_set();
    const std::size_t size = static_cast<std::size_t>(bytes);
    std::string found;
    work(size, [&] {
        bool inside = false;
        for (std::size_t i = 0; i < size;) {
            if (data[i] < 0xe0) {  // no such script has code points of one or two bytes
                inside = false;
                i += data[i] < 0x80 ? 1 : 2;
                continue;
            }
            std::uint32_t c;
            const int length = decode_valid(data + i, c);
            const bool now = (kind_of(c) & IS_UNSPACED) != 0;
            if (now && !inside && !found.empty()) found += '\n';
            if (now) found.append(reinterpret_cast<const char*>(data + i), length);
            inside = now;
            i += length;
        }
    });
    if (found.empty()) return py::none();
    return py::str(found);
}

py::list words(const Analysis& a) {
    py::list list(a.words.size());
    for (std::size_t i = 0; i < a.words.size(); ++i) {
        list[i] = py::str(reinterpret_cast<const char*>(a.data) + a.words[i].start, a.words[i].bytes);
    }
    return list;
}

py::tuple counts(const Analysis& a) {
    std::size_t plain = 0, characters = 0, alphabetic = 0;
    for (const Word& word : a.words) {
        plain += (word.flags & HAS_WORD) != 0;
        characters += word.flags & HAS_WORD ? word.characters : 0;
        alphabetic += (word.flags & HAS_ALPHA) != 0;
    }
    return py::make_tuple(a.words.size(), plain, characters, alphabetic);
}

std::size_t distinct(Analysis& a, const std::vector<std::string>& wanted) {
    a.hash_words();
    std::vector<std::uint64_t> keys;
    for (const std::string& word : wanted) {
        keys.push_back(hash_bytes(reinterpret_cast<const std::uint8_t*>(word.data()), word.size()));
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::array<std::uint64_t, 4> maybe{};  // one bit for each key's low byte: most words are none of them
    for (const std::uint64_t key : keys) maybe[(key >> 6) & 3] |= std::uint64_t{1} << (key & 63);
    std::vector<bool> found(keys.size());
    std::size_t count = 0;
    for (const std::uint64_t hash : a.hashes) {
        if (!(maybe[(hash >> 6) & 3] >> (hash & 63) & 1)) continue;
        const auto at = std::lower_bound(keys.begin(), keys.end(), hash);
        if (at == keys.end() || *at != hash || found[at - keys.begin()]) continue;
        found[at - keys.begin()] = true;
        if (++count == keys.size()) break;
    }
    return count;
}

std::size_t sentences(const Analysis& a) { return count_sentences(a.words.data(), a.words.data() + a.words.size()); }

py::tuple lines(const Analysis& a) {
    std::size_t count = 0, bullets = 0, ellipses = 0;
    each_line(a.data, a.size, [&](std::size_t begin, std::size_t end, std::size_t) {
        ++count;
        begin = strip_front(a.data, begin, end);
        end = strip_back(a.data, begin, end);
        const auto* first = a.data + begin;
        const std::size_t size = end - begin;
        bullets += size > 0 && (*first == '-' || (size > 2 && std::memcmp(first, "\xe2\x80\xa2", 3) == 0));
        ellipses += size > 2 && (std::memcmp(a.data + end - 3, "...", 3) == 0 || std::memcmp(a.data + end - 3, "\xe2\x80\xa6", 3) == 0);
        return true;
    });
    return py::make_tuple(count, bullets, ellipses);
}

// Hash signs, and ellipses as str.count has them.
py::tuple marks(const Analysis& a) {
    std::size_t ellipses = 0;
    for (std::size_t i = 0; i + 2 < a.size;) {
        const bool three = a.data[i] == '.' && a.data[i + 1] == '.' && a.data[i + 2] == '.';
        const bool one = a.data[i] == 0xe2 && a.data[i + 1] == 0x80 && a.data[i + 2] == 0xa6;
        ellipses += three || one;
        i += three || one ? 3 : 1;
    }
    return py::make_tuple(std::count(a.data, a.data + a.size, '#'), ellipses);
}

// Characters that are no spaces, and of these punctuation and symbols.
py::tuple symbols(const Analysis& a) {
    std::size_t visible = 0, punctuation = 0, symbols = 0;
    for (std::size_t i = 0; i < a.size;) {
        std::uint32_t c;
        i += decode_valid(a.data + i, c);
        const std::uint16_t kind = kind_of(c);
        visible += (kind & IS_SPACE) == 0;
        punctuation += (kind & IS_PUNCTUATION) != 0;
        symbols += (kind & IS_SYMBOL) != 0;
    }
    return py::make_tuple(visible, punctuation, symbols);
}

// Lines that are not blank: how many, how many end a sentence, how many have at most `longest` characters; and newlines.
py::tuple prose(const Analysis& a, std::size_t longest) {
    std::size_t count = 0, ended = 0, few = 0, newlines = 0;
    for (std::size_t begin = 0; begin <= a.size;) {
        const auto* found = static_cast<const std::uint8_t*>(std::memchr(a.data + begin, '\n', a.size - begin));
        const std::size_t end = found ? found - a.data : a.size;
        newlines += found != nullptr;
        if (strip_front(a.data, begin, end) < end) {
            ++count;
            std::size_t last = end - 1;
            while ((a.data[last] & 0xc0) == 0x80) --last;
            std::uint32_t c;
            decode_valid(a.data + last, c);
            ended += (kind_of(c) & IS_END) != 0;
            few += characters_in(a.data + begin, end - begin) <= longest;
        }
        begin = end + 1;
    }
    return py::make_tuple(count, ended, few, newlines);
}

}  // namespace

void bind_analysis(py::module_& m) {
    m.def("set_up", &set_up, "Gives the word splitter its table of kinds and its abbreviations; see corpus/words.py.");
    m.def("runs", &runs, "The stretches of a text that are written without spaces, a line each; None where there is none.");
    py::class_<Analysis>(m, "Analysis", "What several rules measure in one text; see corpus/analysis.py.")
        .def(py::init<py::str, py::object>())
        .def("words", &words)
        .def("counts", &counts)
        .def("distinct", &distinct)
        .def("sentences", &sentences)
        .def("lines", &lines)
        .def("marks", &marks)
        .def("symbols", &symbols)
        .def("prose", &prose)
        .def("ngrams", &ngrams)
        .def("repeats", &repeats)
        .def("clean_c4", &clean_c4);
}
