// In which order pairs are merged: by count or by ratio, exactly. For pair_merging.cpp.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

namespace {

using std::int32_t;
using std::int64_t;
using std::uint32_t;
using std::uint64_t;

constexpr uint32_t NONE = ~uint32_t{0};

struct Pair {  // one that can no longer be merged has a count of 0
    int32_t left, right;
    int64_t count;
    std::vector<uint32_t> places;  // of the left symbol, ascending; some may hold no longer
};

void multiply(uint64_t a, uint64_t b, uint64_t& high, uint64_t& low) {
#ifdef __SIZEOF_INT128__
    __extension__ using Double = unsigned __int128;
    const Double product = static_cast<Double>(a) * b;
    high = static_cast<uint64_t>(product >> 64);
    low = static_cast<uint64_t>(product);
#else
    const uint64_t mask = 0xffffffff, a0 = a & mask, a1 = a >> 32, b0 = b & mask, b1 = b >> 32;
    const uint64_t first = a0 * b0, second = a1 * b0 + (first >> 32), third = a0 * b1 + (second & mask);
    high = a1 * b1 + (second >> 32) + (third >> 32);
    low = (third << 32) | (first & mask);
#endif
}

// -1, 0 or 1 as a·b is less than, equal to or greater than c·d. Exact.
int compare(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    uint64_t high[2], low[2];
    multiply(a, b, high[0], low[0]);
    multiply(c, d, high[1], low[1]);
    if (high[0] != high[1]) return high[0] < high[1] ? -1 : 1;
    return low[0] == low[1] ? 0 : low[0] < low[1] ? -1 : 1;
}

struct Wide {  // a·b·c, whole
    uint64_t high, middle, low;
    Wide(uint64_t a, uint64_t b, uint64_t c) {
        uint64_t over, under, carried, added;
        multiply(a, b, over, under);
        multiply(under, c, carried, low);
        multiply(over, c, high, added);
        middle = carried + added;
        high += middle < added;
    }
    bool operator<(const Wide& other) const {
        if (high != other.high) return high < other.high;
        return middle != other.middle ? middle < other.middle : low < other.low;
    }
};

// The pairs in order of their counts. A count in the heap may be too high: it is looked at again when it comes up.
class ByCount {
  public:
    explicit ByCount(const std::vector<Pair>& pairs) : pairs_(pairs), heap_(Later{&pairs}) {}

    void add(uint32_t number) { heap_.emplace(pairs_[number].count, number); }

    uint32_t best() {
        while (!heap_.empty()) {
            const auto [count, number] = heap_.top();
            if (pairs_[number].count == count) return number;
            heap_.pop();
            if (pairs_[number].count != 0) add(number);
        }
        return NONE;
    }

  private:
    using Entry = std::pair<int64_t, uint32_t>;
    struct Later {
        const std::vector<Pair>* pairs;
        bool operator()(const Entry& one, const Entry& other) const {
            if (one.first != other.first) return one.first < other.first;
            const Pair &p = (*pairs)[one.second], &q = (*pairs)[other.second];
            return std::make_pair(p.left, p.right) > std::make_pair(q.left, q.right);
        }
    };
    const std::vector<Pair>& pairs_;
    std::priority_queue<Entry, std::vector<Entry>, Later> heap_;
};

// The best pair by count(ab) / (count(a) · count(b)). A merge lowers count(a) and count(b), which raises every other pair that
// has a or b: a heap would not see it. But count(a) is the same for all pairs that begin with a, so each symbol keeps its best
// partner by count(ab) / count(b), which changes only where a count(b) or count(ab) did, and the best of these is the answer.
class ByRatio {
  public:
    ByRatio(const std::vector<Pair>& pairs, const std::vector<int64_t>& counts, std::size_t symbols)
        : pairs_(pairs), counts_(counts), rights_(symbols), lefts_(symbols), best_(symbols, NONE), score_(symbols, -1.0),
          stale_(symbols, 0) {}

    void add(uint32_t number) {
        rights_[pairs_[number].left].push_back(number);
        lefts_[pairs_[number].right].push_back(number);
    }

    // The pair's count fell: its left symbol looks for its best partner again if that was the one.
    void fell(uint32_t number) {
        if (best_[pairs_[number].left] == number) look_again(pairs_[number].left);
    }

    void look_again(int32_t symbol) {
        if (!stale_[symbol]) again_.push_back(symbol);
        stale_[symbol] = 1;
    }

    // count(right) fell, or pairs with it are new; what fell itself is said by `fell`.
    void rose(int32_t right) {
        each(lefts_[right], [&](uint32_t number) {
            const int32_t left = pairs_[number].left;
            if (stale_[left]) return;
            if (best_[left] == NONE || better(number, best_[left])) best_[left] = number;
            if (best_[left] == number) score_[left] = score(number);
        });
    }

    uint32_t best() {
        for (int32_t left : again_) {
            uint32_t& best = best_[left] = NONE;
            each(rights_[left], [&](uint32_t number) {
                if (best == NONE || better(number, best)) best = number;
            });
            score_[left] = best == NONE ? -1.0 : score(best);
            stale_[left] = 0;
        }
        again_.clear();
        return highest();
    }

  private:
    // Those that can still be merged; the others are dropped from the list.
    template <class Take> void each(std::vector<uint32_t>& numbers, Take take) {
        std::size_t kept = 0;
        for (const uint32_t number : numbers) {
            if (pairs_[number].count == 0) continue;
            numbers[kept++] = number;
            take(number);
        }
        numbers.resize(kept);
    }

    bool better(uint32_t one, uint32_t other) const {  // of two pairs with the same left symbol
        if (one == other) return false;
        const Pair &p = pairs_[one], &q = pairs_[other];
        const int order = compare(p.count, counts_[q.right], q.count, counts_[p.right]);
        if (order != 0) return order > 0;
        return p.count != q.count ? p.count > q.count : p.right < q.right;
    }

    bool better_of_all(uint32_t one, uint32_t other) const {
        const Pair &p = pairs_[one], &q = pairs_[other];
        const Wide first(p.count, counts_[q.left], counts_[q.right]), second(q.count, counts_[p.left], counts_[p.right]);
        if (second < first || first < second) return second < first;
        if (p.count != q.count) return p.count > q.count;
        return std::make_pair(p.left, p.right) < std::make_pair(q.left, q.right);
    }

    double score(uint32_t number) const {
        const Pair& p = pairs_[number];
        return static_cast<double>(p.count) / static_cast<double>(counts_[p.left]) / static_cast<double>(counts_[p.right]);
    }

    // Doubles, wrong by 2^-50 at most, only pass over what is surely less.
    uint32_t highest() const {
        double top = 0;
        for (const double score : score_) top = std::max(top, score);
        const double near = top * (1 - 1e-12);
        uint32_t best = NONE;
        for (std::size_t i = 0; i < score_.size(); ++i) {
            if (score_[i] < near || best_[i] == NONE) continue;
            if (best == NONE || better_of_all(best_[i], best)) best = best_[i];
        }
        return best;
    }

    const std::vector<Pair>& pairs_;
    const std::vector<int64_t>& counts_;
    std::vector<std::vector<uint32_t>> rights_, lefts_;  // of each symbol, the pairs that begin and that end with it
    std::vector<uint32_t> best_;                         // of each symbol, the best pair that begins with it
    std::vector<double> score_;
    std::vector<char> stale_;
    std::vector<int32_t> again_;
};

}  // namespace
