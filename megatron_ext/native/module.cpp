// megatron_ext.native.compiled: the hot loops, a file a concept. Each has a Python twin that gives the same
// answers; what is here is faster, never different (the tests hold the two together).
//
// It is compiled for the plain architecture. Where the compiler knows GCC's `target` attribute on x86-64, a second copy of
// a loop may be compiled for AVX2 beside it and chosen at run time, so that one build serves every machine.

#include "module.h"

PYBIND11_MODULE(compiled, m) {
    m.doc() = "Hot loops in C++; each has a Python twin with the same answers.";
    bind_candidates(m);
    bind_jaccard(m);
    bind_lsh(m);
    bind_minhash(m);
    bind_ngrams(m);
    bind_scan(m);
    bind_analysis(m);
    bind_union_find(m);
    bind_substring(m);
    bind_bloom(m);
    bind_byte_pairs(m);
    bind_contamination(m);
    bind_pair_merging(m);
}
