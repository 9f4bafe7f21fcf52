// Byte-level BPE: texts to token ids, with the ids that tiktoken gives. Its twin, and where the rules come from:
// tokenizers/byte_pairs.py.
//
// A text is cut into pieces by hand-written rules in place of a regular expression, all of it in one pass. Most pieces were
// seen before: they lie with their tokens in a table of cache lines, one a slot, in which the newest stays. What is not there is
// looked up whole, then merged: the neighbours whose bytes make the token of the lowest id first, the leftmost of equal ones.

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <queue>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "characters.h"
#include "hash.h"
#include "module.h"
#include "targets.h"

namespace {

using Byte = std::uint8_t;
using Id = std::uint32_t;

constexpr Id NONE = std::numeric_limits<Id>::max();
constexpr std::size_t CODE_POINTS = 0x110000;

// What a code point is, by the table that comes from Python: letter, number, white space; and of letters and marks whether they
// are upper case, lower case or neither.
enum Class : Byte { LETTER = 1, NUMBER = 2, WHITE = 4, UPPER = 8, LOWER = 16, NEITHER = 32 };

struct Rules {
    int contractions;    // 0: none; 1: 's, 't, 're …; 2: 'S too; 3: 'S too, and only behind a word
    bool space_only;     // before a word only a space is taken with it, and before numbers, too
    bool cased;          // a word ends where upper case follows lower case
    int digits;          // of one piece at most; 0: all
    std::string behind;  // what is taken with the signs before it
    bool lines;          // white space is cut behind its last line end
    bool end_whole;      // but not at the end of the text
};

class Splitter {
  public:
    Splitter(const Rules& rules, const py::bytes& classes) : rules_(rules), classes_(classes) {
        if (classes_.size() != CODE_POINTS) throw std::invalid_argument("BytePairs: the table of classes has another size");
    }

    // The end of the piece that begins at p; p < end.
    const Byte* operator()(const Byte* p, const Byte* end) const {
        if (*p == '\'' && (rules_.contractions == 1 || rules_.contractions == 2)) {
            if (const Byte* stop = contraction(p, end)) return stop;
        }
        if (const Byte* stop = rules_.cased ? cased(p, end) : word(p, end)) return stop;
        int size, after;
        Byte kind = look(p, end, size);
        const Byte* signs = p;
        if (*p == ' ' && p + 1 < end) {
            const Byte next = look(p + 1, end, after);
            if (rules_.space_only && (next & NUMBER)) return numbers(p + 1, end);
            if (!(next & (LETTER | NUMBER | WHITE))) kind = 0, signs = p + 1;
        }
        if (kind & NUMBER) return numbers(p, end);
        if (kind & WHITE) return white(p, end);
        while (signs < end && !(look(signs, end, size) & (LETTER | NUMBER | WHITE))) signs += size;
        while (signs < end && rules_.behind.find(static_cast<char>(*signs)) != std::string::npos) ++signs;
        return signs;
    }

  private:
    INLINE Byte look(const Byte* p, const Byte* end, int& size) const {
        if (*p < 0x80) {
            size = 1;
            return static_cast<Byte>(classes_[*p]);
        }
        std::uint32_t c = 0;
        size = decode(p, static_cast<std::size_t>(end - p), c);
        return static_cast<Byte>(classes_[c]);
    }

    INLINE const Byte* run(const Byte* p, const Byte* end, Byte kinds) const {
        int size;
        while (p < end && (look(p, end, size) & kinds)) p += size;
        return p;
    }

    // 's 't 'm 'd 're 've 'll; of them in any case, so also the long s, U+017F.
    const Byte* contraction(const Byte* p, const Byte* end) const {
        const bool any_case = rules_.contractions > 1;
        const auto at = [&](int i) -> int { return p + i >= end ? 0 : any_case && p[i] < 0x80 ? p[i] | 0x20 : p[i]; };
        const int first = at(1), second = at(2);
        if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
        if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
        if (first == 'l' && second == 'l') return p + 3;
        return any_case && first == 0xc5 && second == 0xbf ? p + 3 : nullptr;
    }

    // Letters, and one character before them that is none, nor a number or the end of a line.
    INLINE const Byte* word(const Byte* p, const Byte* end) const {
        int size;
        const Byte kind = look(p, end, size);
        if (kind & LETTER) return run(p + size, end, LETTER);
        if (rules_.space_only ? *p != ' ' : (kind & NUMBER) || *p == '\r' || *p == '\n') return nullptr;
        const Byte* stop = run(p + size, end, LETTER);
        return stop == p + size ? nullptr : stop;
    }

    // The same, where upper case ends a word. Marks and letters without case go with both.
    const Byte* cased(const Byte* p, const Byte* end) const {
        int size;
        const Byte kind = look(p, end, size);
        const Byte* behind = (kind & (LETTER | NUMBER)) || *p == '\r' || *p == '\n' ? p : p + size;
        const Byte* stop = with_lower(behind, end);
        if (!stop && behind != p) stop = with_lower(p, end);
        if (!stop) {
            stop = run(behind, end, UPPER);  // no other letters can be there, else there were an end in lower case
            if (stop == behind) return nullptr;
        }
        if (rules_.contractions == 3 && stop < end && *stop == '\'') {
            if (const Byte* more = contraction(stop, end)) return more;
        }
        return stop;
    }

    // Upper case, then lower case or what has none, at least one; nullptr where there is no such end.
    const Byte* with_lower(const Byte* p, const Byte* end) const {
        const Byte *last = nullptr, *q = p;
        int size;
        while (q < end) {
            const Byte kind = look(q, end, size);
            if (!(kind & (UPPER | NEITHER))) break;
            q += size;
            if (kind & NEITHER) last = q;
        }
        const Byte* stop = run(q, end, LOWER | NEITHER);
        return stop != q ? stop : last;
    }

    const Byte* numbers(const Byte* p, const Byte* end) const {
        int size;
        for (int i = 0; p < end && (rules_.digits == 0 || i < rules_.digits) && (look(p, end, size) & NUMBER); ++i) p += size;
        return p;
    }

    // White space up to its last line end; or all but its last, which goes with what follows; or all at the end of the text.
    const Byte* white(const Byte* p, const Byte* end) const {
        const Byte *line = nullptr, *last = p, *q = p;
        int size;
        while (q < end && (look(q, end, size) & WHITE)) {
            last = q;
            q += size;
            if (*last == '\n' || *last == '\r') line = q;
        }
        if (q == end && rules_.end_whole) return q;
        if (line && rules_.lines) return line;
        return q == end || last == p ? q : last;
    }

    Rules rules_;
    std::string classes_;
};

INLINE std::uint64_t load(const Byte* p, std::size_t size) {  // size <= 8
    std::uint64_t word = 0;
    std::memcpy(&word, p, size);
    return word;
}

// Which token some bytes are, and which token two tokens make together.
class Vocabulary {
  public:
    Vocabulary(const std::vector<std::string>& tokens, const std::vector<Id>& ids) : tokens_(tokens), ids_(ids) {
        std::size_t size = 16;
        while (size < 2 * tokens_.size()) size *= 2;
        places_.assign(size, NONE);
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            std::size_t at = slot(reinterpret_cast<const Byte*>(tokens_[i].data()), tokens_[i].size());
            if (places_[at] != NONE) throw std::invalid_argument("BytePairs: a token is given twice");
            places_[at] = static_cast<Id>(i);
            if (ids_[i] >> BITS) throw std::invalid_argument("BytePairs: an id is 2^21 or above");
            if (tokens_[i].size() == 1) byte_[static_cast<Byte>(tokens_[i][0])] = ids_[i];
        }
        for (int b = 0; b < 256; ++b) {
            const Byte byte = static_cast<Byte>(b);
            if (find(&byte, 1) == NONE) throw std::invalid_argument("BytePairs: the 256 bytes are not all among the tokens");
        }
        collect_pairs();
    }

    Id find(const Byte* p, std::size_t size) const {
        const Id place = places_[slot(p, size)];
        return place == NONE ? NONE : ids_[place];
    }

    Id byte(Byte b) const { return byte_[b]; }
    Id pair_of_bytes(Byte left, Byte right) const { return byte_pairs_[left << 8 | right]; }

    INLINE Id pair(Id left, Id right) const {
        const std::uint64_t key = pack(left, right);
        for (std::size_t at = place(key);; at = (at + 1) & mask_) {
            if ((pairs_[at] ^ key) >> BITS == 0) return static_cast<Id>(pairs_[at] & ((1 << BITS) - 1));
            if (pairs_[at] == EMPTY) return NONE;
        }
    }

  private:
    // Both ids and the one that they make share 64 bits, so that a look costs one cache line.
    static constexpr int BITS = 21;
    static constexpr std::uint64_t EMPTY = std::numeric_limits<std::uint64_t>::max();

    static std::uint64_t pack(Id left, Id right) {
        return static_cast<std::uint64_t>(left) << 2 * BITS | static_cast<std::uint64_t>(right) << BITS;
    }
    std::size_t place(std::uint64_t key) const { return (key >> BITS) * 0x9e3779b97f4a7c15ULL >> shift_; }

    std::size_t slot(const Byte* p, std::size_t size) const {
        const std::size_t mask = places_.size() - 1;
        std::size_t at = hash_bytes(p, size) & mask;
        while (places_[at] != NONE) {
            const std::string& token = tokens_[places_[at]];
            if (token.size() == size && std::memcmp(token.data(), p, size) == 0) break;
            at = (at + 1) & mask;
        }
        return at;
    }

    void collect_pairs() {
        std::vector<std::uint64_t> found;
        byte_pairs_.assign(1 << 16, NONE);
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            const Byte* text = reinterpret_cast<const Byte*>(tokens_[i].data());
            for (std::size_t cut = 1; cut < tokens_[i].size(); ++cut) {
                const Id left = find(text, cut), right = find(text + cut, tokens_[i].size() - cut);
                if (left != NONE && right != NONE) found.push_back(pack(left, right) | ids_[i]);
            }
            if (tokens_[i].size() == 2) byte_pairs_[text[0] << 8 | text[1]] = ids_[i];
        }
        std::size_t size = 16;
        for (shift_ = 60; size < 2 * found.size(); size *= 2) --shift_;
        mask_ = size - 1;
        pairs_.assign(size, EMPTY);
        for (const std::uint64_t each : found) {
            std::size_t at = place(each);
            while (pairs_[at] != EMPTY) at = (at + 1) & mask_;
            pairs_[at] = each;
        }
    }

    std::vector<std::string> tokens_;
    std::vector<Id> ids_, places_, byte_pairs_;
    std::vector<std::uint64_t> pairs_;
    std::size_t mask_ = 0;
    int shift_ = 0;
    Id byte_[256] = {};
};

constexpr std::size_t BLOCK = 8, SHORT = 128;

// The place of the least of `size` numbers, the first of equal ones; -1 where all are NONE. `size` is a multiple of BLOCK.
int least_portable(const Id* numbers, std::size_t size) {
    Id least = NONE;
    int at = -1;
    for (std::size_t i = 0; i < size; ++i) {
        if (numbers[i] < least) least = numbers[i], at = static_cast<int>(i);
    }
    return at;
}

#if HAVE_AVX2
TARGET_AVX2 int least_avx2(const Id* numbers, std::size_t size) {
    const auto part = [numbers](std::size_t i) { return reinterpret_cast<const __m256i*>(numbers + i); };
    __m256i least = _mm256_load_si256(part(0));
    for (std::size_t i = BLOCK; i < size; i += BLOCK) least = _mm256_min_epu32(least, _mm256_load_si256(part(i)));
    __m128i half = _mm_min_epu32(_mm256_castsi256_si128(least), _mm256_extracti128_si256(least, 1));
    half = _mm_min_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_min_epu32(half, _mm_shuffle_epi32(half, 0xb1));
    const Id found = static_cast<Id>(_mm_cvtsi128_si32(half));
    if (found == NONE) return -1;
    const __m256i wanted = _mm256_set1_epi32(static_cast<int>(found));
    for (std::size_t i = 0;; i += BLOCK) {
        const int equal = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_load_si256(part(i)), wanted)));
        if (equal) return static_cast<int>(i) + __builtin_ctz(static_cast<unsigned>(equal));
    }
}
#endif

class Merger {
  public:
    explicit Merger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
#if HAVE_AVX2
        if (has_avx2()) least_ = least_avx2;
#endif
    }

    void operator()(const Byte* p, std::size_t size, std::vector<Id>& out) {
        if (size <= SHORT) {
            merge_short(p, size, out);
        } else {
            merge_long(p, size, out);
        }
    }

  private:
    // All pairs are looked at for each merge: quickest where they fit in a few cache lines. Tokens stay at the place of their first
    // byte; `made` is what each makes with the next one.
    void merge_short(const Byte* p, std::size_t size, std::vector<Id>& out) {
        Id ids[SHORT];
        alignas(32) Id made[SHORT];
        Byte next[SHORT], before[SHORT];
        const std::size_t whole = (size + BLOCK - 1) / BLOCK * BLOCK;
        for (std::size_t i = 0; i < size; ++i) {
            ids[i] = vocabulary_.byte(p[i]);
            made[i] = i + 1 < size ? vocabulary_.pair_of_bytes(p[i], p[i + 1]) : NONE;
            next[i] = static_cast<Byte>(i + 1);
            before[i] = static_cast<Byte>(i - 1);
        }
        std::fill(made + size, made + whole, NONE);
        for (int at; (at = least_(made, whole)) >= 0;) {
            const std::size_t gone = next[at], after = next[gone];
            ids[at] = made[at];
            made[gone] = NONE;
            next[at] = static_cast<Byte>(after);
            made[at] = after < size ? vocabulary_.pair(ids[at], ids[after]) : NONE;
            if (after < size) before[after] = static_cast<Byte>(at);
            if (at > 0) made[before[at]] = vocabulary_.pair(ids[before[at]], ids[at]);
        }
        for (std::size_t i = 0; i < size; i = next[i]) out.push_back(ids[i]);
    }

    struct Pair {
        Id made;
        std::uint32_t at, right;  // places of both, and what was there when it was found
        Id left_id, right_id;
        bool operator<(const Pair& other) const { return made != other.made ? made > other.made : at > other.at; }
    };

    // A heap of pairs, some of them out of date: n log n.
    void merge_long(const Byte* p, std::size_t size, std::vector<Id>& out) {
        if (size > std::numeric_limits<std::uint32_t>::max() - 1) throw std::length_error("BytePairs: a piece is too long");
        const std::uint32_t count = static_cast<std::uint32_t>(size);
        std::vector<Id> ids(count);
        std::vector<std::uint32_t> next(count), before(count);
        std::priority_queue<Pair> pairs;
        const auto add = [&](std::uint32_t at) {
            if (next[at] >= count) return;
            const Id made = vocabulary_.pair(ids[at], ids[next[at]]);
            if (made != NONE) pairs.push({made, at, next[at], ids[at], ids[next[at]]});
        };
        for (std::uint32_t i = 0; i < count; ++i) ids[i] = vocabulary_.byte(p[i]), next[i] = i + 1, before[i] = i - 1;
        for (std::uint32_t i = 0; i + 1 < count; ++i) add(i);
        while (!pairs.empty()) {
            const Pair pair = pairs.top();
            pairs.pop();
            if (ids[pair.at] != pair.left_id || next[pair.at] != pair.right || ids[pair.right] != pair.right_id) continue;
            ids[pair.at] = pair.made;
            ids[pair.right] = NONE;
            next[pair.at] = next[pair.right];
            if (next[pair.at] < count) before[next[pair.at]] = pair.at;
            add(pair.at);
            if (pair.at > 0) add(before[pair.at]);
        }
        for (std::uint32_t i = 0; i < count; i = next[i]) out.push_back(ids[i]);
    }

    const Vocabulary& vocabulary_;
    int (*least_)(const Id*, std::size_t) = least_portable;
};

// Pieces of up to 24 bytes and their tokens, up to 9, a cache line each.
class Seen {
  public:
    static constexpr std::size_t LONGEST = 24, MOST = 9;

    struct alignas(64) Slot {
        std::uint64_t words[3];
        Byte size, count;
        Id tokens[MOST];
    };

    Seen() : slots_(new Slot[SLOTS]()) {}

    // The slot of a piece, and whether it holds it. What it is not: another piece, of which `words` and `size` are overwritten.
    INLINE Slot& find(const Byte* p, std::size_t size, const Byte* end, bool& there) {
        std::uint64_t words[3] = {0, 0, 0};
        if (static_cast<std::size_t>(end - p) >= LONGEST) {
            std::memcpy(words, p, LONGEST);
            const std::size_t full = size / 8;
            for (std::size_t i = full; i < 3; ++i) words[i] &= i == full ? (std::uint64_t{1} << (size % 8 * 8)) - 1 : 0;
        } else {
            std::memcpy(words, p, size);
        }
        std::uint64_t h = words[0] * K ^ size;
        if (size > 8) h = ((h ^ h >> 32) ^ words[1]) * K, h = ((h ^ h >> 32) ^ words[2]) * K;
        Slot& slot = slots_[mix(h) % SLOTS];
        there = slot.size == size && slot.words[0] == words[0] && slot.words[1] == words[1] && slot.words[2] == words[2];
        if (!there) {
            std::memcpy(slot.words, words, sizeof words);
            slot.size = static_cast<Byte>(size);
        }
        return slot;
    }

  private:
    static constexpr std::size_t SLOTS = 1 << 16;
    static constexpr std::uint64_t K = 0x9e3779b97f4a7c15ULL;
    std::unique_ptr<Slot[]> slots_;
};

class BytePairs {
  public:
    BytePairs(const std::vector<std::string>& tokens, const std::vector<Id>& ids, const py::bytes& classes, const Rules& rules)
        : split_(rules, classes), vocabulary_(tokens, ids), merge_(vocabulary_) {}

    BytePairs(const BytePairs&) = delete;
    BytePairs& operator=(const BytePairs&) = delete;

    // `(ids of all texts end to end, how many of each)`, both as uint32 in bytes. The interpreter's lock is kept: `seen_` is shared.
    py::tuple encode(const py::list& texts, long long end_of_text) {
        std::vector<Id> out, lengths;
        lengths.reserve(texts.size());
        for (const auto& text : texts) {
            Py_ssize_t size = 0;
            const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
            if (!data) throw py::error_already_set();
            const std::size_t before = out.size();
            encode_one(reinterpret_cast<const Byte*>(data), static_cast<std::size_t>(size), out);
            if (end_of_text >= 0) out.push_back(static_cast<Id>(end_of_text));
            lengths.push_back(static_cast<Id>(out.size() - before));
        }
        return py::make_tuple(as_bytes(out), as_bytes(lengths));
    }

    // Where a text is cut: the offset of each piece's end, in bytes.
    std::vector<std::size_t> pieces(const py::bytes& text) const {
        const std::string content = text;
        const Byte *begin = reinterpret_cast<const Byte*>(content.data()), *end = begin + content.size();
        std::vector<std::size_t> ends;
        for (const Byte* p = begin; p < end;) ends.push_back(static_cast<std::size_t>((p = split_(p, end)) - begin));
        return ends;
    }

  private:
    static py::bytes as_bytes(const std::vector<Id>& numbers) {
        return py::bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Id));
    }

    void encode_one(const Byte* p, std::size_t size, std::vector<Id>& out) {
        const Byte* const end = p + size;
        while (p < end) {
            const Byte* const stop = split_(p, end);
            const std::size_t length = static_cast<std::size_t>(stop - p);
            if (length <= Seen::LONGEST) {
                bool there = false;
                Seen::Slot& slot = seen_.find(p, length, end, there);
                if (there) {
                    out.insert(out.end(), slot.tokens, slot.tokens + slot.count);
                } else {
                    const std::size_t before = out.size();
                    encode_piece(p, length, out);
                    const std::size_t count = out.size() - before;
                    if (count <= Seen::MOST) {
                        slot.count = static_cast<Byte>(count);
                        std::copy(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), slot.tokens);
                    } else {
                        slot.size = 0;  // no piece has this size
                    }
                }
            } else {
                encode_piece(p, length, out);
            }
            p = stop;
        }
    }

    void encode_piece(const Byte* p, std::size_t size, std::vector<Id>& out) {
        const Id whole = vocabulary_.find(p, size);
        if (whole != NONE) {
            out.push_back(whole);
        } else {
            merge_(p, size, out);
        }
    }

    Splitter split_;
    Vocabulary vocabulary_;
    Merger merge_;
    Seen seen_;
};

}  // namespace

void bind_byte_pairs(py::module_& m) {
    py::class_<BytePairs>(m, "BytePairs", "Byte-level BPE; see tokenizers/byte_pairs.py.")
        .def(py::init([](const std::vector<std::string>& tokens, const std::vector<Id>& ids, const py::bytes& classes,
                         int contractions, bool space_only, bool cased, int digits, const std::string& behind, bool lines,
                         bool end_whole) {
                 if (tokens.size() != ids.size()) throw std::invalid_argument("BytePairs: tokens and ids are not as many");
                 const Rules rules{contractions, space_only, cased, digits, behind, lines, end_whole};
                 return std::make_unique<BytePairs>(tokens, ids, classes, rules);
             }),
             py::arg("tokens"), py::arg("ids"), py::arg("classes"), py::kw_only(), py::arg("contractions"), py::arg("space_only"),
             py::arg("cased"), py::arg("digits"), py::arg("behind"), py::arg("lines"), py::arg("end_whole"))
        .def("encode", &BytePairs::encode, py::arg("texts"), py::arg("end_of_text") = -1,
             "(ids of all texts, how many of each), uint32 in bytes.")
        .def("pieces", &BytePairs::pieces, py::arg("text"), "The ends of the pieces of a text in UTF-8, in bytes.");
}
