// Windows of a text that were there before: anchors, hashes of windows, who is a copy of whom. Its twin, with the way in full:
// corpus/matching/substrings.py.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

#include <pybind11/numpy.h>

#include "hash.h"
#include "module.h"

using namespace py::literals;

namespace {

constexpr std::uint64_t BASE = 0x9fb21c651e98df25ULL;  // of the polynomial; odd

// Two numbers that are sorted by the first, then by the second: (hash, position) or (position, first position).
struct Pair {
    std::uint64_t key, value;
    bool operator<(const Pair& other) const { return key != other.key ? key < other.key : value < other.value; }
};

// Pairs whose number is not known beforehand. realloc moves pages of large blocks, and copies nothing.
class Pairs {
  public:
    Pairs() = default;
    Pairs(const Pairs&) = delete;
    Pairs& operator=(const Pairs&) = delete;
    ~Pairs() { std::free(data_); }

    INLINE void add(std::uint64_t key, std::uint64_t value) {
        if (size_ == room_) grow();
        data_[size_++] = {key, value};
    }

    // The pairs as an array of numpy's, [n, 2], which owns them from now on.
    py::array_t<std::uint64_t> release() {
        if (size_ == 0) return py::array_t<std::uint64_t>(std::vector<std::size_t>{0, 2});
        if (void* smaller = std::realloc(data_, size_ * sizeof(Pair))) data_ = static_cast<Pair*>(smaller);
        auto* numbers = reinterpret_cast<std::uint64_t*>(data_);
        const py::capsule owner(data_, [](void* block) { std::free(block); });
        data_ = nullptr;
        return py::array_t<std::uint64_t>(std::vector<std::size_t>{size_, 2}, numbers, owner);
    }

  private:
    void grow() {
        room_ = room_ == 0 ? 4096 : room_ + room_ / 2;
        void* larger = std::realloc(data_, room_ * sizeof(Pair));
        if (larger == nullptr) throw std::bad_alloc();
        data_ = static_cast<Pair*>(larger);
    }

    Pair* data_ = nullptr;
    std::size_t size_ = 0, room_ = 0;
};

INLINE unsigned digit_of(const Pair& pair, int digit) {
    return (digit < 8 ? pair.key >> (56 - 8 * digit) : pair.value >> (120 - 8 * digit)) & 255;
}

// Sorts in place by bytes, the highest first (American flag sort), and what is small by comparing.
void sort(Pair* pairs, std::size_t size, int digit = 0) {
    while (size > 128 && digit < 16) {
        std::array<std::size_t, 257> end{};
        for (std::size_t i = 0; i < size; ++i) ++end[digit_of(pairs[i], digit) + 1];
        if (*std::max_element(end.begin(), end.end()) == size) {
            ++digit;
            continue;
        }
        for (int bucket = 0; bucket < 256; ++bucket) end[bucket + 1] += end[bucket];
        std::array<std::size_t, 256> next;
        std::copy(end.begin(), end.end() - 1, next.begin());
        for (int bucket = 0; bucket < 256; ++bucket) {
            while (next[bucket] < end[bucket + 1]) {
                Pair pair = pairs[next[bucket]];
                for (unsigned to; (to = digit_of(pair, digit)) != static_cast<unsigned>(bucket);) std::swap(pair, pairs[next[to]++]);
                pairs[next[bucket]++] = pair;
            }
        }
        for (int bucket = 0; bucket < 256; ++bucket) sort(pairs + end[bucket], end[bucket + 1] - end[bucket], digit + 1);
        return;
    }
    if (digit < 16) std::sort(pairs, pairs + size);
}

// The polynomial hash of `size` items in a row.
template <class T>
class Rolling {
  public:
    explicit Rolling(std::size_t size) : size_(size) {
        for (std::size_t i = 0; i < size; ++i) power_ *= BASE;
    }

    void start(const T* items) {
        hash_ = 0;
        for (std::size_t i = 0; i < size_; ++i) hash_ = hash_ * BASE + items[i] + 1;
    }
    // From the items at `items` to those one further.
    INLINE void step(const T* items) { hash_ = hash_ * BASE + (items[size_] + std::uint64_t{1} - (items[0] + std::uint64_t{1}) * power_); }
    INLINE std::uint64_t mixed() const { return mix(hash_); }

  private:
    std::size_t size_;
    std::uint64_t power_ = 1, hash_ = 0;
};

// The anchors of documents: for each stretch of windows [begin, end) that share one, f(hash, begin, end).
template <class T>
class Anchors {
  public:
    Anchors(std::size_t window, std::size_t gram, std::uint64_t mask) : window_(window), gram_(gram), mask_(mask) {
        while (ring_.size() < window - gram + 1) ring_.resize(ring_.empty() ? 1 : 2 * ring_.size());
    }

    template <class F>
    void each(const T* items, std::size_t size, F&& f) {
        if (size < window_) return;
        const std::size_t span = window_ - gram_ + 1, wrap = ring_.size() - 1;
        Rolling<T> rolling(gram_);
        rolling.start(items);
        std::uint64_t least = ~std::uint64_t{0};
        std::size_t at = 0, begin = 0;
        for (std::size_t i = 0;; ++i) {
            const std::uint64_t hash = rolling.mixed() & mask_;
            ring_[i & wrap] = hash;
            if (hash <= least || i - at >= span) {
                if (i >= span) {  // windows up to here had the anchor of before
                    f(least, begin, i + 1 - span);
                    begin = i + 1 - span;
                }
                if (hash <= least) {
                    least = hash;
                    at = i;
                } else {
                    least = ~std::uint64_t{0};
                    for (std::size_t j = i + 1 - span; j <= i; ++j) {
                        if (ring_[j & wrap] <= least) least = ring_[(at = j) & wrap];
                    }
                }
            }
            if (i + gram_ == size) break;
            rolling.step(items + i);
        }
        f(least, begin, size - window_ + 1);
    }

  private:
    std::size_t window_, gram_;
    std::uint64_t mask_;
    std::vector<std::uint64_t> ring_;  // the last hashes, by number modulo its size
};

template <class T>
using Items = py::array_t<T, py::array::c_style>;
using Numbers = py::array_t<std::uint64_t, py::array::c_style>;

template <class T, class F>
void each_document(const Items<T>& items, const Numbers& ends, F&& f) {
    const auto* end = ends.data();
    const std::size_t count = ends.size(), size = items.size();
    std::size_t begin = 0;
    for (std::size_t i = 0; i < count; begin = end[i++]) {
        if (end[i] < begin || end[i] > size) throw std::invalid_argument("substring: documents' ends do not ascend, or lie behind the text");
        f(items.data() + begin, begin, end[i] - begin);
    }
}

template <class T>
py::array_t<std::uint64_t> anchors(const Items<T>& items, const Numbers& ends, std::uint64_t base, std::size_t window, std::size_t gram,
                                   std::uint64_t mask) {
    Pairs found;
    {
        py::gil_scoped_release release;
        Anchors<T> all(window, gram, mask);
        each_document(items, ends, [&](const T* document, std::size_t at, std::size_t size) {
            all.each(document, size, [&](std::uint64_t hash, std::size_t begin, std::size_t) { found.add(hash, base + at + begin); });
        });
    }
    return found.release();
}

template <class T>
py::array_t<std::uint64_t> windows(const Items<T>& items, const Numbers& ends, std::uint64_t base, std::size_t window, std::size_t gram,
                                   std::uint64_t mask, const Numbers& wanted) {
    Pairs found;
    {
        py::gil_scoped_release release;
        Anchors<T> all(window, gram, mask);
        Rolling<T> rolling(window);
        const auto *next = wanted.data(), *last = next + wanted.size();
        each_document(items, ends, [&](const T* document, std::size_t at, std::size_t size) {
            std::size_t hashed = ~std::size_t{0} - 1;  // the window that `rolling` stands on; none yet
            all.each(document, size, [&](std::uint64_t, std::size_t begin, std::size_t end) {
                if (next == last || *next != base + at + begin) return;
                ++next;
                if (hashed + 1 == begin) {
                    rolling.step(document + hashed);
                } else {
                    rolling.start(document + begin);
                }
                for (hashed = begin;; ++hashed) {
                    found.add(rolling.mixed() & mask, base + at + hashed);
                    if (hashed + 1 == end) break;
                    rolling.step(document + hashed);
                }
            });
        });
        if (next != last) throw std::invalid_argument("substring: no stretch of windows begins where one is wanted");
    }
    return found.release();
}

Pair* pairs_of(Numbers& numbers) {
    if (numbers.ndim() != 2 || numbers.shape(1) != 2) throw std::invalid_argument("substring: pairs are an array of shape [n, 2]");
    return reinterpret_cast<Pair*>(numbers.mutable_data());
}

// The number of pairs whose key others have too; they are moved to the front, each as (value, the key's least value).
template <bool FIRST_TOO>
std::size_t gather(Pair* pairs, std::size_t size) {
    sort(pairs, size);
    std::size_t kept = 0;
    for (std::size_t i = 0, end; i < size; i = end) {
        const Pair first = pairs[i];
        for (end = i + 1; end < size && pairs[end].key == first.key;) ++end;
        if (end - i < 2) continue;
        for (std::size_t j = i + !FIRST_TOO; j < end; ++j) pairs[kept++] = {pairs[j].value, first.value};
    }
    sort(pairs, kept);
    return kept;
}

template <bool FIRST_TOO>
std::size_t gather_numbers(Numbers& numbers) {
    Pair* pairs = pairs_of(numbers);
    const std::size_t size = numbers.shape(0);
    py::gil_scoped_release release;
    return gather<FIRST_TOO>(pairs, size);
}

// For each pair of places whether the windows there are equal. Where both places go on by one, one item is looked at.
template <class T>
py::array_t<bool> equal(const Items<T>& left, const Numbers& lefts, const Items<T>& right, const Numbers& rights, std::size_t window) {
    const std::size_t count = lefts.size();
    if (static_cast<std::size_t>(rights.size()) != count) throw std::invalid_argument("substring: places do not come in pairs");
    py::array_t<bool> answer(count);
    bool* same = answer.mutable_data();
    const auto *a = lefts.data(), *b = rights.data();
    const std::size_t left_size = left.size(), right_size = right.size();
    py::gil_scoped_release release;
    for (std::size_t i = 0; i < count; ++i) {
        if (a[i] + window > left_size || b[i] + window > right_size) throw std::invalid_argument("substring: a window lies behind the text");
        const T *p = left.data() + a[i], *q = right.data() + b[i];
        const bool goes_on = i > 0 && same[i - 1] && a[i] == a[i - 1] + 1 && b[i] == b[i - 1] + 1;
        same[i] = goes_on ? p[window - 1] == q[window - 1] : std::memcmp(p, q, window * sizeof(T)) == 0;
    }
    return answer;
}

template <class T>
void bind(py::module_& m) {
    m.def("anchors", &anchors<T>, py::arg("items").noconvert(), "ends"_a, "base"_a, "window"_a, "gram"_a, "mask"_a);
    m.def("windows", &windows<T>, py::arg("items").noconvert(), "ends"_a, "base"_a, "window"_a, "gram"_a, "mask"_a, "wanted"_a);
    m.def("equal_windows", &equal<T>, py::arg("left").noconvert(), "lefts"_a, py::arg("right").noconvert(), "rights"_a, "window"_a);
}

}  // namespace

void bind_substring(py::module_& m) {
    bind<std::uint8_t>(m);
    bind<std::uint16_t>(m);
    bind<std::uint32_t>(m);
    m.def("repeated_pairs", &gather_numbers<true>, py::arg("pairs").noconvert(),
          "Sorts (key, value) in place; the number of those whose key others have, which are in front now as (value, least value).");
    m.def("later_pairs", &gather_numbers<false>, py::arg("pairs").noconvert(), "The same, without the first of each key.");
}
