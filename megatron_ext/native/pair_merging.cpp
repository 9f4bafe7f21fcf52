// Merges of neighbouring symbols, learned from words with counts: by count (BPE) or by ratio (WordPiece). What is learned, the
// ties, and the twin: tokenizers/pair_merging.py.
//
// All words lie in one row of cells, one a symbol, with a cell between words. A merged symbol keeps the cells of its parts: its
// first cell says what it is, its first and last how many cells it has, so both neighbours are one step away. A pair knows the
// places where it was seen; they are checked when they are used, so nothing is taken out of those lists. A merge costs as much as
// the places of its pair, however long the words are.
//
// A merge changes few pairs: (x, a), (b, y), and those of the new symbol. Their changes are added up by x and by y first, and
// each such pair is looked up once.

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hash.h"
#include "module.h"
#include "pair_orders.h"

namespace {

using std::int32_t;
using std::int64_t;
using std::uint32_t;
using std::uint64_t;
using Clock = std::chrono::steady_clock;

constexpr int32_t BETWEEN = -1, INSIDE = -2;  // cells between words, and cells of a symbol behind its first

template <class T> using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;
template <class T> std::vector<T> copy(const Array<T>& array) { return {array.data(), array.data() + array.size()}; }

// (left, right) -> the pair's number. Nothing is taken out: counts only fall, and a pair that is gone does not come back.
class Table {
  public:
    Table() : keys_(1024, EMPTY), numbers_(1024, NONE) {}

    uint32_t find(int32_t left, int32_t right) const { return numbers_[slot(key(left, right))]; }

    uint32_t& at(int32_t left, int32_t right) {  // NONE where it is new: to be filled at once
        if (2 * ++used_ > keys_.size()) grow();
        const std::size_t at = slot(key(left, right));
        used_ -= keys_[at] != EMPTY;
        keys_[at] = key(left, right);
        return numbers_[at];
    }

  private:
    static constexpr uint64_t EMPTY = ~uint64_t{0};

    static uint64_t key(int32_t left, int32_t right) { return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right); }

    std::size_t slot(uint64_t key) const {
        std::size_t at = mix(key) & (keys_.size() - 1);
        while (keys_[at] != key && keys_[at] != EMPTY) at = (at + 1) & (keys_.size() - 1);
        return at;
    }

    void grow() {
        std::vector<uint64_t> keys(2 * keys_.size(), EMPTY);
        std::vector<uint32_t> numbers(2 * keys_.size(), NONE);
        keys.swap(keys_);
        numbers.swap(numbers_);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (keys[i] == EMPTY) continue;
            const std::size_t at = slot(keys[i]);
            keys_[at] = keys[i];
            numbers_[at] = numbers[i];
        }
    }

    std::vector<uint64_t> keys_;
    std::vector<uint32_t> numbers_;
    std::size_t used_ = 0;
};

class Cells {
  public:
    std::vector<int32_t> symbol;
    std::vector<uint32_t> span, word;

    Cells(const std::vector<int32_t>& symbols, const std::vector<int64_t>& ends) {
        const std::size_t size = symbols.size() + ends.size() + 1;
        symbol.reserve(size);
        word.reserve(size);
        span.assign(size, 1);
        std::size_t at = 0;
        for (std::size_t i = 0; i <= ends.size(); ++i) {
            symbol.push_back(BETWEEN);
            word.push_back(static_cast<uint32_t>(i));
            for (; i < ends.size() && at < static_cast<std::size_t>(ends[i]); ++at) {
                symbol.push_back(symbols[at]);
                word.push_back(static_cast<uint32_t>(i));
            }
        }
    }

    uint32_t after(uint32_t at) const { return at + span[at]; }
    uint32_t before(uint32_t at) const { return at - span[at - 1]; }

    void join(uint32_t left, uint32_t right, int32_t made) {
        const uint32_t size = span[left] + span[right];
        symbol[left] = made;
        symbol[right] = INSIDE;
        span[left] = span[left + size - 1] = size;
    }
};

// What a merge changes on one side of its pair, by the symbol there.
struct Side {
    struct Change {
        int64_t lost = 0, gained = 0;
        std::vector<uint32_t> places;
        bool touched = false;
    };
    std::vector<Change> of;
    std::vector<int32_t> touched;

    Change& at(int32_t symbol) {
        Change& change = of[symbol];
        if (!change.touched) touched.push_back(symbol);
        change.touched = true;
        return change;
    }
    template <class Take> void drain(Take take) {
        for (int32_t symbol : touched) {
            Change change = std::move(of[symbol]);
            of[symbol] = Change();
            take(symbol, change);
        }
        touched.clear();
    }
};

class PairMerging {
  public:
    PairMerging(const Array<int32_t>& symbols, const Array<int64_t>& ends, const Array<int64_t>& counts,
                const Array<int64_t>& lengths, std::size_t merges, int64_t min_count, int64_t longest, bool ratio,
                const std::vector<std::string>& spellings)
        : counts_(copy(counts)), lengths_(copy(lengths)), alphabet_(lengths_.size()), merges_(merges), min_count_(min_count),
          longest_(longest), ratio_(ratio), spellings_(spellings), taken_(spellings.begin(), spellings.end()),
          cells_(copy(symbols), copy(ends)), symbol_counts_(alphabet_ + merges), by_count_(pairs_),
          by_ratio_(pairs_, symbol_counts_, ratio ? alphabet_ + merges : 0) {
        left_.of.resize(alphabet_ + merges);
        right_.of.resize(alphabet_ + merges);
    }

    // Works for about so many seconds. The number of merges so far; done() says whether there is more to do.
    std::size_t advance(double seconds) {
        const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
        while (!done_ && Clock::now() < end) {
            if (!built_) {
                build();
            } else {
                step();
            }
        }
        return rows_.size() / 5;
    }

    bool done() const { return done_; }

    // [n, 5]: left, right, count of the pair, of the left, of the right, when it was merged.
    py::array_t<int64_t> rows() const {
        py::array_t<int64_t> made({rows_.size() / 5, std::size_t{5}});
        std::copy(rows_.begin(), rows_.end(), made.mutable_data());
        return made;
    }

  private:
    // A piece of the row of cells: first all are counted, then the places of the pairs that count enough are noted.
    void build() {
        const std::size_t size = cells_.symbol.size(), end = std::min(size, at_ + (std::size_t{1} << 20));
        for (; at_ < end; ++at_) {
            const int32_t left = cells_.symbol[at_], right = at_ + 1 < size ? cells_.symbol[at_ + 1] : BETWEEN;
            const int64_t count = left < 0 ? 0 : counts_[cells_.word[at_]];
            if (!counted_ && left >= 0) symbol_counts_[left] += count;
            if (left < 0 || right < 0) continue;
            if (counted_) {
                Pair& pair = pairs_[table_.find(left, right)];
                if (pair.count != 0) pair.places.push_back(static_cast<uint32_t>(at_));
                continue;
            }
            uint32_t& number = table_.at(left, right);
            if (number == NONE) {
                number = static_cast<uint32_t>(pairs_.size());
                pairs_.push_back({left, right, 0, {}});
            }
            pairs_[number].count += count;
        }
        if (at_ < size) return;
        at_ = 0;
        built_ = counted_;
        counted_ = true;
        for (uint32_t number = 0; number < pairs_.size(); ++number) {
            Pair& pair = pairs_[number];
            if (!may_be(pair.left, pair.right, pair.count)) pair.count = 0;
            if (built_ && pair.count != 0) offer(number);
        }
        for (std::size_t symbol = 0; ratio_ && symbol < alphabet_; ++symbol) by_ratio_.look_again(static_cast<int32_t>(symbol));
    }

    bool may_be(int32_t left, int32_t right, int64_t count) const {
        return count >= min_count_ && (longest_ == 0 || lengths_[left] + lengths_[right] <= longest_);
    }

    void offer(uint32_t number) {
        if (ratio_) {
            by_ratio_.add(number);
        } else {
            by_count_.add(number);
        }
    }

    void step() {
        const uint32_t number = rows_.size() / 5 == merges_ ? NONE : ratio_ ? by_ratio_.best() : by_count_.best();
        done_ = number == NONE;
        if (done_) return;
        const int32_t left = pairs_[number].left, right = pairs_[number].right, made = static_cast<int32_t>(lengths_.size());
        if (!spellings_.empty()) {
            std::string spelling = spellings_[left] + spellings_[right];
            if (!taken_.insert(spelling).second) return fall(number, pairs_[number].count);
            spellings_.push_back(std::move(spelling));
        }
        for (int64_t value : {int64_t{left}, int64_t{right}, pairs_[number].count, symbol_counts_[left], symbol_counts_[right]})
            rows_.push_back(value);
        lengths_.push_back(lengths_[left] + lengths_[right]);
        join(number, made);
        left_.drain([&](int32_t other, Side::Change& change) {
            fall(table_.find(other, left), change.lost);
            add(other, made, change);
        });
        right_.drain([&](int32_t other, Side::Change& change) {
            fall(table_.find(right, other), change.lost);
            add(made, other, change);
        });
        if (!ratio_) return;
        for (int32_t symbol : {left, right, made}) by_ratio_.look_again(symbol);
        for (int32_t symbol : {left, right, made}) by_ratio_.rose(symbol);
    }

    void join(uint32_t number, int32_t made) {
        const int32_t a = pairs_[number].left, b = pairs_[number].right;
        const std::vector<uint32_t> places = std::move(pairs_[number].places);
        pairs_[number].count = 0;
        int64_t joined = 0;
        for (const uint32_t at : places) {
            const uint32_t next = cells_.after(at);
            if (cells_.symbol[at] != a || cells_.symbol[next] != b) continue;
            const uint32_t previous = cells_.before(at), last = cells_.after(next);
            const int32_t x = cells_.symbol[previous], y = cells_.symbol[last];
            const int64_t count = counts_[cells_.word[at]];
            joined += count;
            if (x >= 0) {
                Side::Change& change = left_.at(x);
                change.gained += count;
                change.places.push_back(previous);
                if (x == made) {
                    right_.at(a).gained -= count;  // the merge before took this a for its right neighbour
                } else {
                    change.lost += count;
                }
            }
            if (y >= 0) {
                Side::Change& change = right_.at(y);
                change.lost += count;
                change.gained += count;
                change.places.push_back(at);
            }
            cells_.join(at, next, made);
        }
        symbol_counts_[a] -= joined;
        symbol_counts_[b] -= joined;
        symbol_counts_[made] = joined;
    }

    void fall(uint32_t number, int64_t by) {
        if (number == NONE || by == 0 || pairs_[number].count == 0) return;
        pairs_[number].count -= by;
        if (pairs_[number].count < min_count_) {
            pairs_[number].count = 0;
            std::vector<uint32_t>().swap(pairs_[number].places);
        }
        if (ratio_) by_ratio_.fell(number);
    }

    void add(int32_t left, int32_t right, Side::Change& change) {
        if (!may_be(left, right, change.gained)) return;
        const uint32_t number = static_cast<uint32_t>(pairs_.size());
        change.places.shrink_to_fit();
        pairs_.push_back({left, right, change.gained, std::move(change.places)});
        table_.at(left, right) = number;
        offer(number);
    }

    std::vector<int64_t> counts_, lengths_;
    std::size_t alphabet_, merges_;
    int64_t min_count_, longest_;
    bool ratio_, counted_ = false, built_ = false, done_ = false;
    std::vector<std::string> spellings_;
    std::unordered_set<std::string> taken_;
    Cells cells_;
    std::size_t at_ = 0;
    std::vector<Pair> pairs_;
    Table table_;
    std::vector<int64_t> symbol_counts_, rows_;
    ByCount by_count_;
    ByRatio by_ratio_;
    Side left_, right_;
};

}  // namespace

void bind_pair_merging(py::module_& m) {
    using py::operator""_a;
    py::class_<PairMerging>(m, "PairMerging", "See tokenizers/pair_merging.py, which checks what comes in.")
        .def(py::init<const Array<int32_t>&, const Array<int64_t>&, const Array<int64_t>&, const Array<int64_t>&, std::size_t,
                      int64_t, int64_t, bool, const std::vector<std::string>&>(),
             "symbols"_a, "ends"_a, "counts"_a, "lengths"_a, "merges"_a, "min_count"_a, "longest"_a, "ratio"_a, "spellings"_a)
        .def("advance", &PairMerging::advance, "seconds"_a, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("done", &PairMerging::done)
        .def("rows", &PairMerging::rows);
}
