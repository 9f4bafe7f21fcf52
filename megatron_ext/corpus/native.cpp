// megatron_ext.corpus.native: the hot loops of the corpus room. Each has a Python twin that gives the same answers; this
// file is faster, never different (tests/corpus/test_utf8.py holds the two together).
//
// It is compiled for the plain architecture. Where the compiler knows GCC's `target` attribute on x86-64, a second copy of
// a loop is compiled for AVX2 beside it and chosen at run time, so that one build serves every machine.

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#if defined(__GNUC__) && defined(__x86_64__)
#define HAVE_AVX2 1
#define TARGET_AVX2 __attribute__((target("avx2,popcnt")))
#include <immintrin.h>
#else
#define HAVE_AVX2 0
#endif

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE __forceinline
#endif

namespace py = pybind11;

namespace {

// --- scan: one pass over UTF-8 ---------------------------------------------------------------------------------------

struct Counts {
    std::size_t valid_up_to = 0, characters = 0, lines = 0, words = 0, latin = 0, digits = 0, han = 0;
    bool in_word = false;

    INLINE void step(bool space) {
        words += !space & !in_word;  // & and not &&: no branch to mispredict at every word's end
        in_word = !space;
    }
};

enum Kind : std::uint8_t { SPACE = 1, NEWLINE = 2, LATIN = 4, DIGIT = 8 };

// What each ASCII byte is. Spaces are those of Python's str.split(): \t \n \v \f \r, the separators 0x1c to 0x1f, and " ".
constexpr std::array<std::uint8_t, 128> kinds() {
    std::array<std::uint8_t, 128> table{};
    for (int b = 0; b < 128; ++b) {
        const int lower = b | 0x20;
        if ((b >= 9 && b <= 13) || (b >= 0x1c && b <= 0x20)) table[b] |= SPACE;
        if (b == '\n') table[b] |= NEWLINE;
        if (lower >= 'a' && lower <= 'z') table[b] |= LATIN;
        if (b >= '0' && b <= '9') table[b] |= DIGIT;
    }
    return table;
}
constexpr auto KIND = kinds();

INLINE bool is_space(std::uint32_t c) {
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

INLINE bool is_han(std::uint32_t c) {
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x20000 && c <= 0x3ffff);
}

// The length of the well-formed code point of two to four bytes at p (the Unicode standard's table 3-7), or 0.
INLINE int decode(const std::uint8_t* p, std::size_t left, std::uint32_t& c) {
    const auto continues = [p](int i) { return (p[i] & 0xc0) == 0x80; };
    if (p[0] >= 0xe0 && p[0] < 0xf0) {  // first the common case of Chinese text
        if (left < 3 || !continues(1) || !continues(2)) return 0;
        c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        return c >= 0x800 && (c < 0xd800 || c > 0xdfff) ? 3 : 0;  // not overlong, no surrogate
    }
    if (p[0] >= 0xc2 && p[0] < 0xe0) {
        if (left < 2 || !continues(1)) return 0;
        c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        return 2;
    }
    if (p[0] >= 0xf0 && p[0] < 0xf5) {
        if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
        c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        return c >= 0x10000 && c <= 0x10ffff ? 4 : 0;
    }
    return 0;
}

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

bool has_avx2() {
#if HAVE_AVX2
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
#else
    return false;
#endif
}

using Scan = Counts (*)(const std::uint8_t*, std::size_t);

Scan choose(const std::string& path) {
    if (path == "portable" || (path == "auto" && !has_avx2())) return scan_portable;
#if HAVE_AVX2
    if ((path == "avx2" || path == "auto") && has_avx2()) return scan_avx2;
#endif
    throw std::invalid_argument("megatron_ext.corpus.native.scan: path '" + path + "' is not one that this machine has; "
                                "take 'auto', or one of native.paths()");
}

// Whatever has bytes in one piece: bytes, bytearray, memoryview, mmap.
class Bytes {
  public:
    explicit Bytes(const py::handle& object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    }
    ~Bytes() { PyBuffer_Release(&view_); }
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;
    const std::uint8_t* data() const { return static_cast<const std::uint8_t*>(view_.buf); }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }

  private:
    Py_buffer view_;
};

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

PYBIND11_MODULE(native, m) {
    m.doc() = "Hot loops of the corpus room in C++; each has a Python twin with the same answers.";
    m.def("scan", &scan, py::arg("text"), py::arg("path") = "auto",
          "One pass over UTF-8 bytes: (valid_up_to, characters, lines, words, latin, digits, han); see corpus/utf8.py.");
    m.def("paths", &paths, "The code paths that this machine can run, best first.");
}
