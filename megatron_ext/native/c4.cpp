// C4's cleaning of a text, line by line. Its twin, with the rules in full: corpus/filters/c4.py.

#include <array>
#include <cstring>
#include <iterator>
#include <string>

#include "analysis.h"

namespace {

enum Rule : unsigned { CITATIONS = 1, TERMINAL = 2, LOREM_IPSUM = 4, JAVASCRIPT = 8, CURLY_BRACKET = 16, POLICY = 32 };
enum Phrase : unsigned { IN_LOREM_IPSUM = 1, IN_JAVASCRIPT = 2, IN_POLICY = 4 };

struct Sought {
    const char* text;
    std::size_t size, anchor;  // the anchor is its rarest letter
    Phrase phrase;
};
constexpr Sought SOUGHT[] = {
    {"lorem ipsum", 11, 4, IN_LOREM_IPSUM}, {"javascript", 10, 0, IN_JAVASCRIPT},  {"terms of use", 12, 7, IN_POLICY},
    {"privacy policy", 14, 3, IN_POLICY},   {"cookie policy", 13, 3, IN_POLICY},   {"uses cookies", 12, 8, IN_POLICY},
    {"use of cookies", 14, 10, IN_POLICY},  {"use cookies", 11, 7, IN_POLICY},
};

INLINE std::uint8_t lowered(std::uint8_t b) { return b >= 'A' && b <= 'Z' ? b | 0x20 : b; }

bool same(const std::uint8_t* p, const Sought& sought) {
    for (std::size_t i = 0; i < sought.size; ++i) {
        if (lowered(p[i]) != static_cast<std::uint8_t>(sought.text[i])) return false;
    }
    return true;
}

// By byte, a bit for each phrase that has it as its anchor, capitals or not.
constexpr std::array<std::uint8_t, 256> anchors() {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t i = 0; i < std::size(SOUGHT); ++i) {
        const std::uint8_t letter = static_cast<std::uint8_t>(SOUGHT[i].text[SOUGHT[i].anchor]);
        table[letter] |= 1u << i;
        table[letter - 0x20] |= 1u << i;
    }
    return table;
}
constexpr auto ANCHORED = anchors();

// Which phrases are in a line, capitals or not.
unsigned phrases(const std::uint8_t* line, std::size_t size) {
    unsigned found = 0;
    for (std::size_t i = 0; i < size; ++i) {
        for (unsigned left = ANCHORED[line[i]], k = 0; left != 0; left >>= 1, ++k) {
            if (!(left & 1) || i < SOUGHT[k].anchor) continue;
            const std::size_t start = i - SOUGHT[k].anchor;
            if (start + SOUGHT[k].size <= size && same(line + start, SOUGHT[k])) found |= SOUGHT[k].phrase;
        }
    }
    return found;
}

// Length of a citation mark at p: [], [12], [edit], [citation needed]; 0: none.
std::size_t citation(const std::uint8_t* p, std::size_t size) {
    std::size_t digits = 1;
    while (digits < size && p[digits] >= '0' && p[digits] <= '9') ++digits;
    if (digits < size && p[digits] == ']') return digits + 1;
    if (size >= 6 && std::memcmp(p, "[edit]", 6) == 0) return 6;
    return size >= 17 && std::memcmp(p, "[citation needed]", 17) == 0 ? 17 : 0;
}

// Takes citation marks out of a line; whether there were any.
bool without_citations(const std::uint8_t* line, std::size_t size, std::string& rest) {
    if (std::memchr(line, '[', size) == nullptr) return false;
    rest.clear();
    for (std::size_t i = 0; i < size;) {
        const std::size_t mark = line[i] == '[' ? citation(line + i, size - i) : 0;
        if (mark == 0) rest += static_cast<char>(line[i]);
        i += mark == 0 ? 1 : mark;
    }
    return rest.size() < size;
}

bool ends_well(const std::uint8_t* line, std::size_t size, const std::string& marks) {
    if (size == 0 || (size > 2 && std::memcmp(line + size - 3, "...", 3) == 0)) return false;
    std::size_t last = size - 1;
    while ((line[last] & 0xc0) == 0x80) --last;
    return marks.find(reinterpret_cast<const char*>(line) + last, 0, size - last) != std::string::npos;
}

INLINE bool is_gap(std::uint32_t c) { return c < 0x80 ? (KIND[c] & SPACE) != 0 : is_space(c); }

// Words between spaces, counted up to `enough`.
std::size_t spaced_words(const std::uint8_t* line, std::size_t size, std::size_t enough) {
    std::size_t words = 0;
    bool inside = false;
    for (std::size_t i = 0; i < size && words < enough;) {
        std::uint32_t c;
        i += decode_valid(line + i, c);
        words += !inside && !is_gap(c);
        inside = !is_gap(c);
    }
    return words;
}

// Whether a word has more than `longest` characters. Where each stretch of as many bytes has a plain space, none can.
bool has_long_word(const std::uint8_t* line, std::size_t size, std::size_t longest) {
    std::size_t begin = 0;
    while (size - begin > longest) {
        std::size_t space = begin + longest;
        while (space > begin && line[space] != ' ') --space;
        if (space == begin) break;
        begin = space;
    }
    std::size_t length = 0;
    for (std::size_t i = begin; size - begin > longest && i < size;) {
        std::uint32_t c;
        i += decode_valid(line + i, c);
        length = is_gap(c) ? 0 : length + 1;
        if (length > longest) return true;
    }
    return false;
}

class Cleaner {
  public:
    Cleaner(const Analysis& a, std::size_t min_words, std::size_t max_word_length, std::size_t min_sentences,
            const std::string& marks, unsigned rules)
        : a_(a), min_words_(min_words), max_word_length_(max_word_length), min_sentences_(min_sentences), marks_(marks),
          rules_(rules), word_(a.words.data()), words_end_(a.words.data() + a.words.size()) {}

    void run() {
        out.reserve(a_.size);
        each_line(a_.data, a_.size, [this](std::size_t begin, std::size_t end, std::size_t next) {
            ++lines;
            if (line(begin, end)) {
                ++kept;
                edited = edited || cut_;
                keep(begin, end, next);
            } else {
                edited = true;
            }
            return reason == 0;
        });
        if (reason == 0 && sentences < min_sentences_) reason = 3;
    }

    int reason = 0;  // 1: lorem ipsum, 2: a curly bracket, 3: too few sentences
    std::size_t lines = 0, kept = 0, sentences = 0;
    bool edited = false;
    std::string out;

  private:
    void append(std::size_t begin, std::size_t end) { out.append(reinterpret_cast<const char*>(a_.data) + begin, end - begin); }

    void keep(std::size_t begin, std::size_t end, std::size_t next) {
        if (!cut_) return append(begin, next);
        const std::size_t front = strip_front(a_.data, begin, end);
        append(begin, front);
        out += rest_;
        append(strip_back(a_.data, front, end), next);
    }

    // Whether a line is kept; cut_ and rest_ say whether and to what its citation marks were taken out.
    bool line(std::size_t begin, std::size_t end) {
        cut_ = false;
        const std::size_t front = strip_front(a_.data, begin, end);
        const std::uint8_t* text = a_.data + front;
        std::size_t size = strip_back(a_.data, front, end) - front;
        const bool few = spaced_words(text, size, min_words_) < min_words_;
        if (has_long_word(text, size, max_word_length_)) return false;
        if (rules_ & CITATIONS && without_citations(text, size, rest_)) {
            cut_ = true;
            text = reinterpret_cast<const std::uint8_t*>(rest_.data());
            size = rest_.size();
        }
        if (rules_ & TERMINAL && !ends_well(text, size, marks_)) return false;
        if (few) return false;
        const unsigned found = rules_ & (LOREM_IPSUM | JAVASCRIPT | POLICY) ? phrases(text, size) : 0;
        if (rules_ & LOREM_IPSUM && found & IN_LOREM_IPSUM) return reason = 1, false;
        if (rules_ & JAVASCRIPT && found & IN_JAVASCRIPT) return false;
        if (rules_ & CURLY_BRACKET && std::memchr(text, '{', size) != nullptr) return reason = 2, false;
        if (rules_ & POLICY && found & IN_POLICY) return false;
        sentences += cut_ ? sentences_without_marks() : sentences_between(begin, end);
        return true;
    }

    std::size_t sentences_between(std::size_t begin, std::size_t end) {
        while (word_ != words_end_ && word_->start < begin) ++word_;
        const Word* first = word_;
        while (word_ != words_end_ && word_->start < end) ++word_;
        return count_sentences(first, word_);
    }

    // The words of such a line are cut anew: without its marks a sentence may end elsewhere. Runs without spaces stay whole.
    std::size_t sentences_without_marks() {
        Cuts none;
        again_.clear();
        split_words(reinterpret_cast<const std::uint8_t*>(rest_.data()), 0, rest_.size(), none, again_);
        return count_sentences(again_.data(), again_.data() + again_.size());
    }

    const Analysis& a_;
    const std::size_t min_words_, max_word_length_, min_sentences_;
    const std::string& marks_;
    const unsigned rules_;
    const Word *word_, *words_end_;
    std::vector<Word> again_;
    std::string rest_;
    bool cut_ = false;
};

}  // namespace

py::tuple clean_c4(const Analysis& a, std::size_t min_words, std::size_t max_word_length, std::size_t min_sentences,
                   const std::string& marks, unsigned rules) {
    Cleaner cleaner(a, min_words, max_word_length, min_sentences, marks, rules);
    work(a.size, [&] { cleaner.run(); });
    py::object text = py::none();
    if (cleaner.reason == 0 && cleaner.edited) text = py::str(cleaner.out);
    return py::make_tuple(cleaner.reason, cleaner.lines, cleaner.kept, cleaner.sentences, text);
}
