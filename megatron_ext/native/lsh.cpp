// Locality-sensitive hashing: the keys of a signature's bands, and sorting documents by them. Its twin: corpus/matching/lsh.py.

#include <array>
#include <stdexcept>
#include <vector>

#include <pybind11/numpy.h>

#include "hash.h"
#include "module.h"

namespace {

using std::int64_t;
using std::uint32_t;
using std::uint64_t;
using Signatures = py::array_t<uint32_t, py::array::c_style | py::array::forcecast>;

// Keys [bands, documents] of signatures [documents, permutations].
py::array_t<uint64_t> band_keys(const Signatures& signatures, std::size_t bands, std::size_t rows) {
    if (signatures.ndim() != 2 || bands * rows > static_cast<std::size_t>(signatures.shape(1))) {
        throw std::invalid_argument("band_keys: signatures have fewer values than bands * rows");
    }
    const std::size_t documents = signatures.shape(0), width = signatures.shape(1);
    py::array_t<uint64_t> keys({static_cast<py::ssize_t>(bands), static_cast<py::ssize_t>(documents)});
    const uint32_t* values = signatures.data();
    uint64_t* out = keys.mutable_data();
    py::gil_scoped_release release;
    for (std::size_t i = 0; i < documents; ++i) {
        const uint32_t* at = values + i * width;
        for (std::size_t band = 0; band < bands; ++band) {
            uint64_t h = band + 1;
            for (std::size_t row = 0; row < rows; ++row) h = mix(h ^ *at++) * 0x9e3779b97f4a7c15ULL;
            out[band * documents + i] = mix(h);
        }
    }
    return keys;
}

// Sorts keys, and documents with them, in place; documents of one key stay in their order. A radix sort, a byte at a time
// from the last: in 8 passes, less those in which all are equal.
void sort_pairs(uint64_t* keys, int64_t* documents, std::size_t size) {
    std::vector<std::array<std::size_t, 256>> counts(8);
    for (std::size_t i = 0; i < size; ++i) {
        for (int digit = 0; digit < 8; ++digit) ++counts[digit][keys[i] >> (8 * digit) & 255];
    }
    std::vector<uint64_t> key_room(size);
    std::vector<int64_t> document_room(size);
    uint64_t *from = keys, *to = key_room.data();
    int64_t *from_documents = documents, *to_documents = document_room.data();
    for (int digit = 0; digit < 8; ++digit) {
        std::array<std::size_t, 256>& place = counts[digit];
        if (size == 0 || place[keys[0] >> (8 * digit) & 255] == size) continue;
        std::size_t begin = 0;
        for (std::size_t& count : place) {
            const std::size_t here = count;
            count = begin;
            begin += here;
        }
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t at = place[from[i] >> (8 * digit) & 255]++;
            to[at] = from[i];
            to_documents[at] = from_documents[i];
        }
        std::swap(from, to);
        std::swap(from_documents, to_documents);
    }
    if (from != keys) {
        std::copy(from, from + size, keys);
        std::copy(from_documents, from_documents + size, documents);
    }
}

void sort(py::array_t<uint64_t, py::array::c_style> keys, py::array_t<int64_t, py::array::c_style> documents) {
    if (keys.size() != documents.size()) throw std::invalid_argument("sort_pairs: as many keys as documents");
    uint64_t* key = keys.mutable_data();
    int64_t* document = documents.mutable_data();
    const std::size_t size = keys.size();
    py::gil_scoped_release release;
    sort_pairs(key, document, size);
}

}  // namespace

void bind_lsh(py::module_& m) {
    m.def("band_keys", &band_keys, py::arg("signatures"), py::arg("bands"), py::arg("rows"), "See corpus/matching/lsh.py.");
    m.def("sort_pairs", &sort, py::arg("keys").noconvert(), py::arg("documents").noconvert(), "See corpus/matching/lsh.py.");
}
