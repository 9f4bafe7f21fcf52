// What the files of this folder show each other: how each one adds its functions to the module, and how bytes come in.

#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>

namespace py = pybind11;

void bind_candidates(py::module_& m);
void bind_jaccard(py::module_& m);
void bind_lsh(py::module_& m);
void bind_minhash(py::module_& m);
void bind_ngrams(py::module_& m);
void bind_scan(py::module_& m);
void bind_analysis(py::module_& m);
void bind_union_find(py::module_& m);
void bind_substring(py::module_& m);
void bind_bloom(py::module_& m);
void bind_byte_pairs(py::module_& m);
void bind_contamination(py::module_& m);
void bind_pair_merging(py::module_& m);

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
