// Clusters of documents from edges between them. Its twin: corpus/matching/union_find.py.

#include <stdexcept>
#include <string>

#include <pybind11/numpy.h>

#include "module.h"

namespace {

using std::int64_t;
using Parents = py::array_t<int64_t, py::array::c_style>;
using Edges = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;

int64_t find(int64_t* parents, int64_t at) {
    while (parents[at] != at) {
        parents[at] = parents[parents[at]];  // halves the path
        at = parents[at];
    }
    return at;
}

// False where an edge names a document that is not there.
bool unite(int64_t* parents, int64_t size, const int64_t* edge, const int64_t* end) {
    for (; edge != end; edge += 2) {
        if (edge[0] < 0 || edge[0] >= size || edge[1] < 0 || edge[1] >= size) return false;
        const int64_t a = find(parents, edge[0]), b = find(parents, edge[1]);
        if (a < b) {
            parents[b] = a;
        } else {
            parents[a] = b;
        }
    }
    return true;
}

void unite_all(Parents parents, const Edges& edges) {
    if (edges.ndim() != 2 || edges.shape(1) != 2) throw std::invalid_argument("unite: edges are [number, 2]");
    int64_t* parent = parents.mutable_data();
    const int64_t* edge = edges.data();
    const int64_t size = parents.size();
    const int64_t* end = edge + edges.size();
    bool good;
    {
        py::gil_scoped_release release;
        good = unite(parent, size, edge, end);
    }
    if (!good) throw py::index_error("unite: an edge names a document beyond the " + std::to_string(size) + " that there are");
}

void flatten(Parents parents) {
    int64_t* parent = parents.mutable_data();
    const int64_t size = parents.size();
    py::gil_scoped_release release;
    for (int64_t i = 0; i < size; ++i) parent[i] = parent[parent[i]];
}

}  // namespace

void bind_union_find(py::module_& m) {
    m.def("unite", &unite_all, py::arg("parents").noconvert(), py::arg("edges"), "See corpus/matching/union_find.py.");
    m.def("flatten", &flatten, py::arg("parents").noconvert(), "See corpus/matching/union_find.py.");
}
