// Exact Jaccard similarity of sets of hashes, and groups of candidates checked by it. Its twin: corpus/matching/jaccard.py.

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <pybind11/numpy.h>

#include "characters.h"
#include "module.h"

namespace {

using std::int64_t;
using std::uint64_t;
template <class T> using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// Sets of hashes one after another: set i is values[offsets[i], offsets[i + 1]), each sorted and without repetition.
struct Sets {
    Sets(const Array<int64_t>& offsets, const Array<uint64_t>& values)
        : offsets_(offsets.data()), values_(values.data()), count_(offsets.size() - 1) {
        for (int64_t i = 0; i < count_; ++i) {
            if (offsets_[i] > offsets_[i + 1]) throw std::invalid_argument("jaccard: offsets do not grow");
        }
        if (count_ < 0 || offsets_[0] < 0 || offsets_[count_] > values.size()) {
            throw std::invalid_argument("jaccard: offsets reach beyond the values");
        }
    }

    bool have(int64_t i) const { return 0 <= i && i < count_; }

    double jaccard(int64_t left, int64_t right, double threshold = 0) const {
        const uint64_t *a = values_ + offsets_[left], *const a_end = values_ + offsets_[left + 1];
        const uint64_t *b = values_ + offsets_[right], *const b_end = values_ + offsets_[right + 1];
        const int64_t sizes = (a_end - a) + (b_end - b), least = std::min(a_end - a, b_end - b), most = sizes - least;
        if (least == 0 || static_cast<double>(least) / static_cast<double>(most) < threshold) return 0;  // cannot reach it
        int64_t shared = 0;
        while (a != a_end && b != b_end) {  // no branch to mispredict
            const uint64_t x = *a, y = *b;
            shared += x == y;
            a += x <= y;
            b += y <= x;
        }
        return static_cast<double>(shared) / static_cast<double>(sizes - shared);
    }

  private:
    const int64_t* offsets_;
    const uint64_t* values_;
    int64_t count_;
};

py::array_t<double> jaccard(const Array<int64_t>& pairs, const Array<int64_t>& offsets, const Array<uint64_t>& values) {
    const Sets sets(offsets, values);
    if (pairs.ndim() != 2 || pairs.shape(1) != 2) throw std::invalid_argument("jaccard: pairs are [number, 2]");
    const py::ssize_t count = pairs.shape(0);
    py::array_t<double> found(count);
    const int64_t* pair = pairs.data();
    for (py::ssize_t i = 0; i < 2 * count; ++i) {
        if (!sets.have(pair[i])) throw py::index_error("jaccard: a pair names a set that is not there");
    }
    double* out = found.mutable_data();
    py::gil_scoped_release release;
    for (py::ssize_t i = 0; i < count; ++i) out[i] = sets.jaccard(pair[2 * i], pair[2 * i + 1]);
    return found;
}

// Of groups (members[bounds[g], bounds[g + 1]) by number of set): each member beside the first of at most `most`
// representatives that it is like; who is like none becomes one, while there is room.
std::vector<int64_t> similar(const int64_t* members, const int64_t* bounds, std::size_t groups, const Sets& sets, double threshold,
                             std::size_t most) {
    std::vector<int64_t> edges, representatives;
    for (std::size_t g = 0; g < groups; ++g) {
        representatives.clear();
        for (int64_t i = bounds[g]; i < bounds[g + 1]; ++i) {
            const auto like = [&](int64_t other) { return sets.jaccard(other, members[i], threshold) >= threshold; };
            const auto found = std::find_if(representatives.begin(), representatives.end(), like);
            if (found != representatives.end()) {
                edges.push_back(*found);
                edges.push_back(members[i]);
            } else if (representatives.size() < most) {
                representatives.push_back(members[i]);
            }
        }
    }
    return edges;
}

py::array_t<int64_t> check(const Array<int64_t>& members, const Array<int64_t>& bounds, const Array<int64_t>& offsets,
                           const Array<uint64_t>& values, double threshold, std::size_t most) {
    const Sets sets(offsets, values);
    const int64_t* member = members.data();
    if (!std::all_of(member, member + members.size(), [&](int64_t i) { return sets.have(i); })) {
        throw py::index_error("jaccard: a group names a set that is not there");
    }
    const int64_t* bound = bounds.data();
    const std::size_t groups = bounds.size() == 0 ? 0 : bounds.size() - 1;
    for (std::size_t g = 0; g <= groups && bounds.size() > 0; ++g) {
        if (bound[g] < 0 || bound[g] > members.size()) throw py::index_error("jaccard: a group reaches beyond the members");
    }
    std::vector<int64_t> edges;
    {
        py::gil_scoped_release release;
        edges = similar(member, bound, groups, sets, threshold, most);
    }
    py::array_t<int64_t> found({static_cast<py::ssize_t>(edges.size() / 2), py::ssize_t{2}});
    std::copy(edges.begin(), edges.end(), found.mutable_data());
    return found;
}

}  // namespace

void bind_jaccard(py::module_& m) {
    m.def("jaccard", &jaccard, py::arg("pairs"), py::arg("offsets"), py::arg("values"), "See corpus/matching/jaccard.py.");
    m.def("check_groups", &check, py::arg("members"), py::arg("bounds"), py::arg("offsets"), py::arg("values"), py::arg("threshold"),
          py::arg("most"), "See corpus/matching/jaccard.py.");
}
