// One pass over UTF-8: where it stops being valid, and what the text before is made of. Its twin: corpus/utf8.py.

#include <cstring>
#include <stdexcept>
#include <string>

#include "characters.h"
#include "module.h"
#include "targets.h"

namespace {

struct Counts {
    std::size_t valid_up_to = 0, characters = 0, lines = 0, words = 0, latin = 0, digits = 0, han = 0;
    bool in_word = false;

    INLINE void step(bool space) {
        words += !space & !in_word;  // & and not &&: no branch to mispredict at every word's end
        in_word = !space;
    }
};

// Walks code point by code point from i until `stop` is reached or passed; false at an invalid byte, which is then i.
INLINE bool walk(const std::uint8_t* text, std::size_t size, std::size_t& i, std::size_t stop, Counts& counts) {
    while (i < stop) {
        if (text[i] < 0x80) {
            const std::uint8_t kind = KIND[text[i]];
            counts.step((kind & SPACE) != 0);
            counts.lines += (kind & NEWLINE) != 0;
            counts.latin += (kind & LATIN) != 0;
            counts.digits += (kind & DIGIT) != 0;
            ++i;
        } else {
            std::uint32_t c = 0;
            const int length = decode(text + i, size - i, c);
            if (length == 0) return false;
            counts.step(is_space(c));
            counts.han += is_han(c);
            i += length;
        }
        ++counts.characters;
    }
    return true;
}

constexpr std::size_t BLOCK = 64;

INLINE bool is_ascii(const std::uint8_t* block) {
    std::uint8_t any = 0;
    for (std::size_t j = 0; j < BLOCK; ++j) any |= block[j];
    return any < 0x80;
}

// Counts a block that is ASCII throughout. Plain loops with byte-sized sums, which compilers turn into vector code: ten
// times faster than walking.
INLINE void count_ascii(const std::uint8_t* block, Counts& counts) {
    std::uint8_t space[BLOCK + 1], words = 0, lines = 0, latin = 0, digits = 0;
    space[0] = !counts.in_word;
    for (std::size_t j = 0; j < BLOCK; ++j) {
        const std::uint8_t b = block[j];
        space[j + 1] = (static_cast<std::uint8_t>(b - 9) < 5) | (static_cast<std::uint8_t>(b - 0x1c) < 5);
        lines += b == '\n';
        latin += static_cast<std::uint8_t>((b | 0x20) - 'a') < 26;
        digits += static_cast<std::uint8_t>(b - '0') < 10;
    }
    for (std::size_t j = 0; j < BLOCK; ++j) words += space[j] & (space[j + 1] ^ 1);
    counts.in_word = !space[BLOCK];
    counts.words += words;
    counts.lines += lines;
    counts.latin += latin;
    counts.digits += digits;
    counts.characters += BLOCK;
}

Counts scan_portable(const std::uint8_t* text, std::size_t size) {
    Counts counts;
    std::size_t& i = counts.valid_up_to;
    while (i + BLOCK <= size) {
        if (is_ascii(text + i)) {
            count_ascii(text + i, counts);
            i += BLOCK;
        } else if (!walk(text, size, i, i + BLOCK, counts)) {
            return counts;
        }
    }
    walk(text, size, i, size, counts);
    return counts;
}

#if HAVE_AVX2
TARGET_AVX2 INLINE std::uint32_t mask(__m256i v) { return static_cast<std::uint32_t>(_mm256_movemask_epi8(v)); }

// One bit a byte: low <= byte < low + count.
TARGET_AVX2 INLINE std::uint32_t in_range(__m256i v, int low, int count) {
    const __m256i shifted = _mm256_add_epi8(v, _mm256_set1_epi8(static_cast<char>(-128 - low)));
    return mask(_mm256_cmpgt_epi8(_mm256_set1_epi8(static_cast<char>(-128 + count)), shifted));
}

// The same, 32 bytes at a time, each class of bytes as a bit mask.
TARGET_AVX2 Counts scan_avx2(const std::uint8_t* text, std::size_t size) {
    Counts counts;
    std::size_t& i = counts.valid_up_to;
    while (i + 32 <= size) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + i));
        if (mask(v) != 0) {
            if (!walk(text, size, i, i + 32, counts)) return counts;
            continue;
        }
        const std::uint32_t spaces = in_range(v, 9, 5) | in_range(v, 0x1c, 5);
        const std::uint32_t before = spaces << 1 | !counts.in_word;  // is the byte before each one a space?
        counts.words += __builtin_popcount(~spaces & before);
        counts.in_word = !(spaces >> 31);
        counts.lines += __builtin_popcount(mask(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n'))));
        counts.latin += __builtin_popcount(in_range(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a', 26));
        counts.digits += __builtin_popcount(in_range(v, '0', 10));
        counts.characters += 32;
        i += 32;
    }
    walk(text, size, i, size, counts);
    return counts;
}
#endif

using Scan = Counts (*)(const std::uint8_t*, std::size_t);

Scan choose(const std::string& path) {
    if (path == "portable" || (path == "auto" && !has_avx2())) return scan_portable;
#if HAVE_AVX2
    if ((path == "avx2" || path == "auto") && has_avx2()) return scan_avx2;
#endif
    throw std::invalid_argument("megatron_ext.native.scan: path '" + path + "' is not one that this machine has; "
                                "take 'auto', or one of native.paths()");
}

py::tuple scan(const py::object& text, const std::string& path) {
    const Scan run = choose(path);
    const Bytes bytes(text);
    Counts c;
    if (bytes.size() < 1 << 16) {  // a line of JSONL: handing the GIL to another thread would cost more than the scan
        c = run(bytes.data(), bytes.size());
    } else {
        py::gil_scoped_release release;
        c = run(bytes.data(), bytes.size());
    }
    return py::make_tuple(c.valid_up_to, c.characters, c.lines, c.words, c.latin, c.digits, c.han);
}

py::list paths() {
    py::list known;
    if (has_avx2()) known.append("avx2");
    known.append("portable");
    return known;
}

}  // namespace

void bind_scan(py::module_& m) {
    m.def("scan", &scan, py::arg("text"), py::arg("path") = "auto",
          "One pass over UTF-8 bytes: (valid_up_to, characters, lines, words, latin, digits, han); see corpus/utf8.py.");
    m.def("paths", &paths, "The code paths that this machine can run, best first.");
}
