// A Bloom filter in blocks of 512 bits, a cache line each. Its twin, with the sizes and the theory: corpus/matching/bloom.py.

#include <stdexcept>

#include <pybind11/numpy.h>

#include "hash.h"
#include "module.h"

namespace {

constexpr std::uint64_t FURTHER = 0x9e3779b97f4a7c15ULL;
using Numbers = py::array_t<std::uint64_t, py::array::c_style>;

// Calls f(word, bit) for each of the key's probes, for as long as it says true.
template <class F>
INLINE void probe(std::uint64_t key, std::uint64_t blocks, int probes, F&& f) {
    const std::uint64_t block = (key >> 32) * blocks >> 32;
    std::uint64_t bits = 0;
    for (int i = 0; i < probes; ++i) {
        bits = i % 7 == 0 ? mix(key + (i / 7 + 1) * FURTHER) : bits >> 9;  // seven numbers below 512 in one of 64 bits
        if (!f(block * 8 + (bits >> 6 & 7), std::uint64_t{1} << (bits & 63))) return;
    }
}

template <bool ADD>
py::array_t<bool> look(Numbers& filter, const Numbers& keys, int probes) {
    const std::size_t count = keys.size();
    const std::uint64_t blocks = filter.size() / 8;
    if (blocks == 0 || blocks >> 32 != 0 || filter.size() % 8 != 0) throw std::invalid_argument("bloom: a filter is 1 to 2^32 - 1 blocks of 8 numbers");
    py::array_t<bool> answer(count);
    bool* known = answer.mutable_data();
    const std::uint64_t* key = keys.data();
    const std::uint64_t* read = filter.data();
    std::uint64_t* written = ADD ? filter.mutable_data() : nullptr;
    py::gil_scoped_release release;
    for (std::size_t i = 0; i < count; ++i) {
        bool all = true;
        probe(key[i], blocks, probes, [&](std::uint64_t word, std::uint64_t bit) {
            all &= (read[word] & bit) != 0;
            if (ADD) written[word] |= bit;
            return ADD || all;
        });
        known[i] = all;
    }
    return answer;
}

}  // namespace

void bind_bloom(py::module_& m) {
    m.def("bloom_add", &look<true>, py::arg("filter").noconvert(), py::arg("keys").noconvert(), py::arg("probes"),
          "Adds keys one after another; whether each was there before.");
    m.def("bloom_has", &look<false>, py::arg("filter").noconvert(), py::arg("keys").noconvert(), py::arg("probes"));
}
