// 64-bit hashes of bytes, for tables that live as long as one document, and for the words of shingles, which reach the disk:
// what mix and hash_bytes give must not change (corpus/matching/shingles.py has the twin, and a test pins values).

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "characters.h"

INLINE std::uint64_t mix(std::uint64_t h) {  // the finaliser of MurmurHash3
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ (h >> 33);
}

// All but the last block of eight bytes or less, at which p and size stand afterwards.
INLINE std::uint64_t hash_blocks(const std::uint8_t*& p, std::size_t& size) {
    constexpr std::uint64_t K = 0x9e3779b97f4a7c15ULL;
    std::uint64_t h = size * K, block;
    for (; size > 8; p += 8, size -= 8) {
        std::memcpy(&block, p, 8);
        h = (h ^ block) * K;
        h ^= h >> 32;
    }
    return h;
}

inline std::uint64_t hash_bytes(const std::uint8_t* p, std::size_t size) {
    const std::uint64_t h = hash_blocks(p, size);
    std::uint64_t block = 0;
    for (std::size_t i = 0; i < size; ++i) block |= static_cast<std::uint64_t>(p[i]) << (8 * i);
    return mix(h ^ block);
}

// The hash of a sequence from that of all but its last and that of its last.
INLINE std::uint64_t hash_next(std::uint64_t before, std::uint64_t last) {
    return (before << 23 | before >> 41) * 0x9e3779b97f4a7c15ULL + last;
}
