// Texts to hashes of their shingles, the n-grams that near-duplicates share. Its twin, with the rules in full:
// corpus/matching/normalize.py, corpus/matching/shingles.py.

#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "analysis.h"
#include "hash.h"
#include "targets.h"

constexpr std::uint64_t SHINGLE_BASE = 0x9e3779b97f4a7c15ULL;  // an n-gram's hash is a polynomial in it

// What counts as the same text: for each code point below 0x20000 the one that stands for it.
class Fold {
  public:
    static constexpr std::uint32_t CODES = 0x20000, DROPPED = 0xffffffff;

    // `formed` has a byte for each code point: whether NFKC changes it, or what stands beside it.
    Fold(const std::string& table, const std::string& formed, bool collapse)
        : collapse_(collapse), table_(CODES), formed_(formed.begin(), formed.end()) {
        if (table.size() != CODES * sizeof(std::uint32_t) || formed.size() != CODES) throw std::invalid_argument("Fold: the table has another size");
        std::memcpy(table_.data(), table.data(), table.size());
        for (std::uint32_t c = 0; c < CODES; ++c) {
            if (table_[c] != DROPPED && width(table_[c]) > (c < 0x80 ? 1 : 2 * width(c))) {
                throw std::invalid_argument("Fold: a code point grows too much");
            }
        }
        for (int b = 0; b < 128; ++b) {
            if (table_[b] == DROPPED) throw std::invalid_argument("Fold: ASCII cannot be dropped");
            ascii_[b] = static_cast<std::uint8_t>(table_[b]);
        }
    }

    // Between two blocks of a text: whether anything came out yet, and whether a space is due before what comes next.
    struct State {
        bool started = false, space_due = false;
    };

    // Folds text[0, size) into `out`, which has room for 2 * size + 8 bytes; how many bytes it took.
    std::size_t operator()(const std::uint8_t* text, std::size_t size, std::uint8_t* out, bool collapse, State& state) const {
        const std::uint8_t* const begin = out;
        for (std::size_t i = 0; i < size;) {
            std::uint64_t block;
            if (!collapse && i + 8 <= size && (std::memcpy(&block, text + i, 8), (block & 0x8080808080808080ULL) == 0)) {
                for (int j = 0; j < 8; ++j) out[j] = ascii_[text[i + j]];
                i += 8;
                out += 8;
                continue;
            }
            std::uint32_t c;
            i += decode_valid(text + i, c);
            if (c < CODES) c = table_[c];
            if (c == DROPPED) continue;
            if (collapse) {
                if (kind_of(c) & IS_SPACE) {
                    state.space_due = state.started;
                    continue;
                }
                if (state.space_due) *out++ = ' ';
                state = {true, false};
            }
            out = encode(c, out);
        }
        return out - begin;
    }

    bool collapses() const { return collapse_; }

    // Whether NFKC might change the text, and whether it has runs without spaces.
    std::pair<bool, bool> look(const std::uint8_t* text, std::size_t size) const {
        bool form = false, unspaced = false;
        for (std::size_t i = 0; i < size && !(form && unspaced);) {
            std::uint64_t block;
            if (i + 8 <= size && (std::memcpy(&block, text + i, 8), (block & 0x8080808080808080ULL) == 0)) {
                i += 8;
                continue;
            }
            std::uint32_t c;
            i += decode_valid(text + i, c);
            form |= c >= CODES || formed_[c];
            unspaced |= (kind_of(c) & IS_UNSPACED) != 0;
        }
        return {form, unspaced};
    }

  private:
    static std::size_t width(std::uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

    static INLINE std::uint8_t* encode(std::uint32_t c, std::uint8_t* p) {
        const auto tail = [c](int shift) { return static_cast<std::uint8_t>(0x80 | (c >> shift & 0x3f)); };
        if (c < 0x80) return *p = static_cast<std::uint8_t>(c), p + 1;
        if (c < 0x800) return p[0] = static_cast<std::uint8_t>(0xc0 | c >> 6), p[1] = tail(0), p + 2;
        if (c < 0x10000) return p[0] = static_cast<std::uint8_t>(0xe0 | c >> 12), p[1] = tail(6), p[2] = tail(0), p + 3;
        return p[0] = static_cast<std::uint8_t>(0xf0 | c >> 18), p[1] = tail(12), p[2] = tail(6), p[3] = tail(0), p + 4;
    }

    bool collapse_;
    std::vector<std::uint32_t> table_;
    std::vector<std::uint8_t> formed_;
    std::array<std::uint8_t, 128> ascii_{};
};

// hash_bytes, where eight bytes may be read beyond the end.
INLINE std::uint64_t hash_padded(const std::uint8_t* p, std::size_t size) {
    const std::uint64_t h = hash_blocks(p, size);
    std::uint64_t block;
    std::memcpy(&block, p, 8);
    const std::uint64_t rest = size == 0 ? 0 : block << (64 - 8 * size) >> (64 - 8 * size);
    return mix(h ^ rest);
}

// What 64 bytes are, a bit each.
struct Block {
    std::uint64_t spaces;  // of ASCII
    std::uint64_t odd;  // neither those nor ASCII letters and digits
};

#if HAVE_AVX2
TARGET_AVX2 INLINE __m256i within(__m256i bytes, char least, char width) {
    const __m256i from = _mm256_sub_epi8(bytes, _mm256_set1_epi8(least));
    return _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8(width)), from);
}

TARGET_AVX2 INLINE Block look_at(const std::uint8_t* p) {
    std::uint64_t spaces = 0, plain = 0;
    for (int half = 0; half < 2; ++half) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * half));
        const __m256i space = _mm256_or_si256(within(bytes, 9, 4), within(bytes, 0x1c, 4));
        const __m256i small = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        const __m256i known = _mm256_or_si256(_mm256_or_si256(within(small, 'a', 25), within(bytes, '0', 9)), space);
        spaces |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(space))) << 32 * half;
        plain |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(known))) << 32 * half;
    }
    return {spaces, ~plain};
}

// Calls chunk(begin, end, odd) for each run without spaces of ASCII in text[0, size), behind which 64 bytes may be read; odd:
// whether there is anything in it but ASCII letters and digits, so that it may be several words.
template <class Take>
TARGET_AVX2 void chunks(const std::uint8_t* text, std::size_t size, Take&& chunk) {
    std::size_t start = 0;  // of the run that is open
    bool open = false, odd = false;
    for (std::size_t at = 0; at < size; at += 64) {
        Block block = look_at(text + at);
        if (size - at < 64) {
            const std::uint64_t beyond = ~std::uint64_t{0} << (size - at);
            block = {block.spaces | beyond, block.odd & ~beyond};
        }
        // where a run begins, or the byte behind its end
        std::uint64_t edges = ~block.spaces ^ (~block.spaces << 1 | static_cast<std::uint64_t>(open));
        std::uint64_t seen = 0;  // all bits before the place in the block
        for (; edges != 0; edges &= edges - 1) {
            const std::uint64_t before = (edges & (0 - edges)) - 1;
            const std::size_t here = at + static_cast<std::size_t>(__builtin_ctzll(edges));
            if (open) chunk(start, here, odd || (block.odd & before & ~seen) != 0);
            start = here;
            open = !open;
            odd = false;
            seen = before;
        }
        if (open) odd = odd || (block.odd & ~seen) != 0;
    }
    if (open) chunk(start, size, odd);
}
#endif

// One text on its way through, in blocks that stay in the cache: folded, cut into units, hashed.
class Shingler {
  public:
    // wide: by AVX2, where the machine has it.
    Shingler(const Fold& fold, std::size_t n, bool characters, bool wide)
        : fold_(fold), n_(n), characters_(characters), wide_(wide && has_avx2()) {
        for (std::size_t i = 1; i < n; ++i) leaving_ *= SHINGLE_BASE;
    }

    // Calls take(hashes, count), several times, with the hash of every shingle in order.
    template <class Take>
    void run(const std::uint8_t* text, std::size_t size, Cuts cuts, Take&& take) {
        units_.clear();
        Fold::State state;
        bool any = false;
        for (std::size_t begin = 0; begin < size;) {
            const std::size_t end = block_end(text, begin, size);
            read(text + begin, end - begin, cuts, state);
            begin = end;
            if (units_.size() < n_) continue;
            roll(take);
            any = true;
            units_.erase(units_.begin(), units_.end() - static_cast<std::ptrdiff_t>(n_ - 1));
        }
        if (any || units_.empty()) return;
        std::uint64_t h = 0;  // fewer than n: one shingle of them all
        for (const std::uint64_t unit : units_) h = h * SHINGLE_BASE + unit;
        h = mix(h);
        take(&h, 1);
    }

  private:
    static constexpr std::size_t BLOCK = 1 << 14;

    // Where a block ends: after a space of ASCII, or at any code point where units are characters.
    std::size_t block_end(const std::uint8_t* text, std::size_t begin, std::size_t size) const {
        std::size_t end = begin + BLOCK;
        if (end >= size) return size;
        if (characters_) {
            while (end < size && (text[end] & 0xc0) == 0x80) ++end;
        } else {
            while (end < size && !(text[end - 1] < 0x80 && (KIND[text[end - 1]] & SPACE))) ++end;
        }
        return end;
    }

    void read(const std::uint8_t* text, std::size_t size, Cuts& cuts, Fold::State& state) {
        if (buffer_.size() < 2 * size + 80) buffer_.resize(2 * size + 80);
        std::size_t folded = fold_(text, size, buffer_.data(), characters_ && fold_.collapses(), state);
        if (!characters_) {
#if HAVE_AVX2
            if (wide_) {
                chunks(buffer_.data(), folded, [&](std::size_t begin, std::size_t end, bool odd) {
                    if (odd) return words(begin, end, cuts);
                    units_.push_back(hash_padded(buffer_.data() + begin, end - begin));
                });
                return;
            }
#endif
            words(0, folded, cuts);
            return;
        }
        for (std::size_t i = 0; i < folded;) {
            std::uint32_t c;
            const int length = decode_valid(buffer_.data() + i, c);
            units_.push_back(hash_padded(buffer_.data() + i, length));
            i += length;
        }
    }

    void words(std::size_t begin, std::size_t end, Cuts& cuts) {
        words_.clear();
        split_words(buffer_.data(), begin, end, cuts, words_);
        for (const Word& word : words_) units_.push_back(hash_padded(buffer_.data() + word.start, word.bytes));
    }

    template <class Take>
    void roll(Take& take) {
        const std::size_t count = units_.size() - n_ + 1;
        shingles_.resize(count);
        std::uint64_t h = 0;
        for (std::size_t i = 0; i + 1 < n_; ++i) h = h * SHINGLE_BASE + units_[i];
        for (std::size_t i = 0; i < count; ++i) {
            h = h * SHINGLE_BASE + units_[i + n_ - 1];
            shingles_[i] = mix(h);
            h -= units_[i] * leaving_;
        }
        take(shingles_.data(), count);
    }

    const Fold& fold_;
    std::size_t n_;
    bool characters_, wide_;
    std::uint64_t leaving_ = 1;
    std::vector<std::uint8_t> buffer_;
    std::vector<Word> words_;
    std::vector<std::uint64_t> units_, shingles_;
};
