// What a code point is, for all hot loops: spaces as Python's str.split() has them, Han ideographs, well-formed UTF-8.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE __forceinline
#endif

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
