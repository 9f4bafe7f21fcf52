// Which instruction sets the compiler can aim at, and which of them this machine has.

#pragma once

#if defined(__GNUC__) && defined(__x86_64__)
#define HAVE_AVX2 1
#define TARGET_AVX2 __attribute__((target("avx2,popcnt")))
#include <immintrin.h>
#else
#define HAVE_AVX2 0
#endif

inline bool has_avx2() {
#if HAVE_AVX2
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
#else
    return false;
#endif
}
