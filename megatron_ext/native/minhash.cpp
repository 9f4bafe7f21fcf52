// MinHash signatures: a text is folded, cut, hashed and permuted in one go. Its twin, with the formulas: corpus/matching/signatures.py.

#include <memory>

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "shingles.h"
#include "targets.h"

namespace {

using std::uint32_t;
using std::uint64_t;

constexpr std::size_t LANES = 32;  // permutations that are held in registers at once

// Lowers minima[j] to the smallest a[j] x + b[j] (mod 2^32) of all x, the low halves of the shingles' hashes.
// `width` is a multiple of LANES.
void permute_portable(const uint64_t* shingles, std::size_t count, const uint32_t* a, const uint32_t* b, uint32_t* minima,
                      std::size_t width) {
    for (std::size_t i = 0; i < count; ++i) {
        const uint32_t x = static_cast<uint32_t>(shingles[i]);
        for (std::size_t j = 0; j < width; ++j) minima[j] = std::min(minima[j], a[j] * x + b[j]);
    }
}

#if HAVE_AVX2
TARGET_AVX2 INLINE __m256i load(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

TARGET_AVX2 void permute_avx2(const uint64_t* shingles, std::size_t count, const uint32_t* a, const uint32_t* b, uint32_t* minima,
                              std::size_t width) {
    for (std::size_t j = 0; j < width; j += LANES) {
        __m256i factor[4], shift[4], least[4];
        for (int k = 0; k < 4; ++k) {
            factor[k] = load(a + j + 8 * k);
            shift[k] = load(b + j + 8 * k);
            least[k] = load(minima + j + 8 * k);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const __m256i x = _mm256_set1_epi32(static_cast<int>(static_cast<uint32_t>(shingles[i])));
            for (int k = 0; k < 4; ++k) {
                least[k] = _mm256_min_epu32(least[k], _mm256_add_epi32(_mm256_mullo_epi32(factor[k], x), shift[k]));
            }
        }
        for (int k = 0; k < 4; ++k) _mm256_storeu_si256(reinterpret_cast<__m256i*>(minima + j + 8 * k), least[k]);
    }
}
#endif

using Permute = void (*)(const uint64_t*, std::size_t, const uint32_t*, const uint32_t*, uint32_t*, std::size_t);

Permute choose(const std::string& path) {
    if (path == "portable" || (path == "auto" && !has_avx2())) return permute_portable;
#if HAVE_AVX2
    if ((path == "avx2" || path == "auto") && has_avx2()) return permute_avx2;
#endif
    throw std::invalid_argument("megatron_ext.native.MinHash: path '" + path + "' is not one that this machine has; "
                                "take 'auto', or one of native.paths()");
}

// A text's UTF-8 and the lengths of its words in runs without spaces, both kept alive by Python meanwhile.
struct Input {
    Input(const py::handle& text, const py::object& lengths) {
        Py_ssize_t bytes = 0;
        data = reinterpret_cast<const std::uint8_t*>(PyUnicode_AsUTF8AndSize(text.ptr(), &bytes));
        if (data == nullptr) throw py::error_already_set();
        size = static_cast<std::size_t>(bytes);
        if (lengths.is_none()) return;
        view = std::make_unique<Bytes>(lengths);
        cuts.next = reinterpret_cast<const uint32_t*>(view->data());
        cuts.end = cuts.next + view->size() / sizeof(uint32_t);
    }
    const std::uint8_t* data;
    std::size_t size;
    Cuts cuts;
    std::unique_ptr<Bytes> view;
};

class Shingles {
  public:
    Shingles(const std::string& table, const std::string& formed, bool collapse, std::size_t n, bool characters)
        : fold_(table, formed, collapse), n_(n), characters_(characters) {
        if (n == 0) throw std::invalid_argument("Shingles: n is 0");
    }

    py::tuple look(const py::str& text) const {
        const Input input(text, py::none());
        std::pair<bool, bool> found;
        work(input.size, [&] { found = fold_.look(input.data, input.size); });
        return py::make_tuple(found.first, found.second);
    }

    py::str normalize(const py::str& text) const {
        const Input input(text, py::none());
        std::string out(2 * input.size + 16, '\0');
        Fold::State state;
        work(input.size, [&] {
            out.resize(fold_(input.data, input.size, reinterpret_cast<std::uint8_t*>(out.data()), fold_.collapses(), state));
        });
        return py::str(out);
    }

    py::array_t<uint64_t> hashes(const py::str& text, const py::object& lengths) const {
        const Input input(text, lengths);
        std::vector<uint64_t> found;
        work(input.size, [&] {
            shingler(true).run(input.data, input.size, input.cuts,
                           [&](const uint64_t* hashes, std::size_t count) { found.insert(found.end(), hashes, hashes + count); });
        });
        return py::array_t<uint64_t>(static_cast<py::ssize_t>(found.size()), found.data());
    }

    Shingler shingler(bool wide) const { return Shingler(fold_, n_, characters_, wide); }

  private:
    Fold fold_;
    std::size_t n_;
    bool characters_;
};

class MinHash {
  public:
    MinHash(const Shingles& shingles, const std::vector<uint32_t>& a, const std::vector<uint32_t>& b, const std::string& path)
        : shingles_(shingles), permutations_(a.size()), a_(a), b_(b), permute_(choose(path)) {
        if (a.size() != b.size() || a.empty()) throw std::invalid_argument("MinHash: as many factors as shifts, and at least one");
        const std::size_t width = (a.size() + LANES - 1) / LANES * LANES;
        a_.resize(width);
        b_.resize(width);
    }

    // (signatures [texts, permutations], number of shingles [texts])
    py::tuple sign(const std::vector<py::str>& texts, const std::vector<py::object>& lengths) const {
        if (texts.size() != lengths.size()) throw std::invalid_argument("MinHash.sign: as many texts as lengths");
        std::vector<Input> inputs;
        inputs.reserve(texts.size());
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < texts.size(); ++i) bytes += inputs.emplace_back(texts[i], lengths[i]).size;
        const auto rows = static_cast<py::ssize_t>(texts.size());
        py::array_t<uint32_t> signatures({rows, static_cast<py::ssize_t>(permutations_)});
        py::array_t<uint64_t> counts(rows);
        uint32_t* signature = signatures.mutable_data();
        uint64_t* count = counts.mutable_data();
        work(bytes, [&] {
            Shingler shingler = shingles_.shingler(permute_ != permute_portable);
            std::vector<uint32_t> minima(a_.size());
            for (const Input& input : inputs) {
                *count = 0;
                std::fill(minima.begin(), minima.end(), 0xffffffffu);
                shingler.run(input.data, input.size, input.cuts, [&](const uint64_t* hashes, std::size_t more) {
                    permute_(hashes, more, a_.data(), b_.data(), minima.data(), minima.size());
                    *count += more;
                });
                signature = std::copy_n(minima.begin(), permutations_, signature);
                ++count;
            }
        });
        return py::make_tuple(signatures, counts);
    }

  private:
    Shingles shingles_;
    std::size_t permutations_;
    std::vector<uint32_t> a_, b_;
    Permute permute_;
};

}  // namespace

void bind_minhash(py::module_& m) {
    py::class_<Shingles>(m, "Shingles", "The shingles of texts; see corpus/matching/shingles.py.")
        .def(py::init<py::bytes, py::bytes, bool, std::size_t, bool>())
        .def("look", &Shingles::look)
        .def("normalize", &Shingles::normalize)
        .def("hashes", &Shingles::hashes);
    py::class_<MinHash>(m, "MinHash", "Signatures of texts; see corpus/matching/signatures.py.")
        .def(py::init<const Shingles&, const std::vector<uint32_t>&, const std::vector<uint32_t>&, const std::string&>())
        .def("sign", &MinHash::sign);
}
