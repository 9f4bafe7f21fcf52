// What repeats in a text: lines, paragraphs, runs of words. Its twin: corpus/analysis.py.

#include <algorithm>
#include <array>

#include "analysis.h"
#include "hash.h"

namespace {

// Numbers hashes in the order in which they first come.
class Numbering {
  public:
    void start(std::size_t most) {
        std::size_t slots = 16;
        while (slots < 2 * most) slots *= 2;
        slots_.assign(slots, 0);
        known_.clear();
    }

    std::uint32_t number(std::uint64_t hash) {
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = mix(hash) & mask;
        while (slots_[at] != 0) {
            if (known_[slots_[at] - 1] == hash) return slots_[at] - 1;
            at = (at + 1) & mask;
        }
        known_.push_back(hash);
        slots_[at] = static_cast<std::uint32_t>(known_.size());
        return slots_[at] - 1;
    }

    std::size_t size() const { return known_.size(); }

  private:
    std::vector<std::uint32_t> slots_;
    std::vector<std::uint64_t> known_;
};

struct Place {
    std::uint32_t at, number;  // where the n-gram begins, and which one it is
    std::uint64_t hash;
};

struct Repeated {
    std::size_t count = 0, repeated = 0, characters = 0;
};

// The n-grams of one text, n growing. An n-gram can only be repeated where the (n - 1)-gram at its beginning is, so that
// from step to step only these places are looked at: in ordinary text nearly all of the work is done after the first.
class Grams {
  public:
    explicit Grams(const Analysis& a) : words_(a.words), hashes_(a.hashes), total_(a.words.size()) {
        before_.resize(total_ + 1);
        for (std::size_t i = 0; i < total_; ++i) before_[i + 1] = before_[i] + words_[i].characters;
        places_.resize(total_);
        for (std::size_t i = 0; i < total_; ++i) places_[i] = {static_cast<std::uint32_t>(i), 0, hashes_[i]};
    }

    void grow() {
        ++n_;
        numbering_.start(places_.size());
        times_.clear();
        first_.clear();
        std::size_t kept = 0;
        for (Place place : places_) {
            if (place.at + n_ > total_) break;
            place.hash = hash_next(place.hash, hashes_[place.at + n_ - 1]);
            place.number = numbering_.number(place.hash);
            if (place.number == times_.size()) {
                times_.push_back(0);
                first_.push_back(place.at);
            }
            ++times_[place.number];
            places_[kept++] = place;
        }
        places_.resize(kept);
        top_ = 0;
        for (std::size_t i = 1; i < times_.size(); ++i) top_ = times_[i] > times_[top_] ? i : top_;
        places_.erase(std::remove_if(places_.begin(), places_.end(), [this](const Place& p) { return times_[p.number] < 2; }),
                      places_.end());
    }

    // Characters of the commonest n-gram, spaces between its words included, as often as it is there.
    std::uint64_t top() const {
        if (total_ < n_) return 0;
        const bool any = !times_.empty() && times_[top_] > 1;  // else all are there once, and the first counts
        const std::size_t at = any ? first_[top_] : 0;
        return (before_[at + n_] - before_[at] + n_ - 1) * (any ? times_[top_] : 1);
    }

    // Characters of words in n-grams that were there before, each character once.
    std::uint64_t again() {
        seen_.assign(times_.size(), false);
        std::uint64_t characters = 0;
        std::size_t next = 0;
        for (const Place& place : places_) {
            if (place.at < next) continue;
            if (seen_[place.number]) {
                characters += before_[place.at + n_] - before_[place.at];
                next = place.at + n_;
            }
            seen_[place.number] = true;
        }
        return characters;
    }

  private:
    const std::vector<Word>& words_;
    const std::vector<std::uint64_t>& hashes_;
    std::size_t total_, n_ = 1, top_ = 0;
    std::vector<std::uint64_t> before_;
    std::vector<Place> places_;
    std::vector<std::uint32_t> times_, first_;
    std::vector<bool> seen_;
    Numbering numbering_;
};

void count(const Analysis& a, std::size_t begin, std::size_t end, Numbering& numbering, Repeated& found) {
    const std::size_t known = numbering.size();
    ++found.count;
    if (numbering.number(hash_bytes(a.data + begin, end - begin)) < known) {
        ++found.repeated;
        found.characters += characters_in(a.data + begin, end - begin);
    }
}

Repeated repeated_lines(const Analysis& a, Numbering& numbering) {
    Repeated found;
    numbering.start(std::count(a.data, a.data + a.size, '\n') + 1);
    for (std::size_t begin = 0; begin <= a.size;) {
        const auto* newline = static_cast<const std::uint8_t*>(std::memchr(a.data + begin, '\n', a.size - begin));
        const std::size_t end = newline ? newline - a.data : a.size;
        if (strip_front(a.data, begin, end) < end) count(a, begin, end, numbering, found);
        begin = end + 1;
    }
    return found;
}

Repeated repeated_paragraphs(const Analysis& a, Numbering& numbering) {
    Repeated found;
    std::size_t begin = strip_front(a.data, 0, a.size);
    const std::size_t end = strip_back(a.data, begin, a.size);
    numbering.start(std::count(a.data, a.data + a.size, '\n') + 1);
    for (std::size_t i = begin; i < end;) {
        const auto* newline = static_cast<const std::uint8_t*>(std::memchr(a.data + i, '\n', end - i));
        const std::size_t stop = newline ? newline - a.data : end;
        std::size_t after = stop;
        while (after < end && a.data[after] == '\n') ++after;
        if (after - stop != 1) {
            count(a, begin, stop, numbering, found);
            begin = after;
        }
        i = after;
    }
    return found;
}

}  // namespace

py::tuple ngrams(Analysis& a) {
    std::array<std::uint64_t, 9> found{};
    work(a.size, [&] {
        a.hash_words();
        Grams grams(a);
        for (std::size_t i = 0; i < found.size(); ++i) {
            grams.grow();
            found[i] = i < 3 ? grams.top() : grams.again();
        }
    });
    py::tuple result(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) result[i] = py::int_(found[i]);
    return result;
}

py::tuple repeats(const Analysis& a) {
    Repeated lines, paragraphs;
    work(a.size, [&] {
        Numbering numbering;
        lines = repeated_lines(a, numbering);
        paragraphs = repeated_paragraphs(a, numbering);
    });
    return py::make_tuple(lines.count, lines.repeated, lines.characters, paragraphs.count, paragraphs.repeated,
                          paragraphs.characters);
}
