// n-grams of test sets, looked for in texts. Its twin, with the rules in full: corpus/decontamination/ngrams.py.

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "analysis.h"
#include "hash.h"

namespace {

constexpr std::uint64_t BASE = 0x9fb21c651e98df25ULL, SHORT = 0x9e3779b97f4a7c15ULL;
constexpr unsigned WORD = 3, CHARACTER = 2;  // weights: a character of a script without spaces is two thirds of a word

struct Unit {
    std::uint64_t hash;
    std::uint32_t start, end;  // bytes
    unsigned weight;
    bool number;
};

struct Hit {
    std::uint32_t begin, end, item;
};

class TestGrams {
  public:
    // least: words that an item must have which is shorter than n; lower: what each code point below 0x20000 is in small letters.
    TestGrams(unsigned n, unsigned least, const std::string& lower) : n_(n * WORD), least_(least * WORD), lower_(0x20000) {
        if (lower.size() != lower_.size() * sizeof(lower_[0])) throw std::invalid_argument("TestGrams: the table of small letters has another size");
        if (least < 1 || least > n) throw std::invalid_argument("TestGrams: least is 1 to n");
        std::memcpy(lower_.data(), lower.data(), lower.size());
        keys_.resize(1 << 12);
        values_.resize(keys_.size());
        maybe_.resize(keys_.size() / 4);
        powers_.assign(n_ / CHARACTER + 2, 1);  // no gram, and no short item, has more units
        for (std::size_t i = 1; i < powers_.size(); ++i) powers_[i] = powers_[i - 1] * BASE;
    }

    // Adds a test item of this group; how many n-grams it has (1 for a short item that is taken as a whole). Items that have some
    // are numbered as they come.
    std::size_t add(const py::str& text, std::uint32_t group) {
        Text units(*this, text);
        const auto item = static_cast<std::uint32_t>(group_.size());
        std::size_t added = 0;
        if (units.weight() < n_) {
            const std::size_t head = units.end_of(0, least_), all = units.size();
            if (head == 0 || units.mostly_numbers(0, all)) return 0;
            const std::uint64_t key = mix(units.hash(0, head) ^ SHORT);
            const std::uint32_t* first = find(key);
            shorts_.push_back({units.hash(0, all), static_cast<std::uint32_t>(all), item, first ? *first : NONE});
            put(key, static_cast<std::uint32_t>(shorts_.size() - 1), true);
            group_.push_back(group);
            return 1;
        }
        for (std::size_t i = 0, end; (end = units.end_of(i, n_)) != 0; ++i) {
            if (units.mostly_numbers(i, end)) continue;
            put(units.hash(i, end), item, false);
            ++added;
        }
        if (added != 0) group_.push_back(group);
        return added;
    }

    // Stretches (begin, end, item) in characters; hits that overlap and whose items are of one group are one stretch.
    py::list scan(const py::str& text) const {
        const Text units(*this, text);
        std::vector<Hit> hits;
        work(units.bytes(), [&] {
            std::array<Keys, 16> keys;  // so many bits are asked for at once, since each is a cache miss
            for (std::size_t begin = 0; begin < units.size(); begin += keys.size()) {
                const std::size_t count = std::min(keys.size(), units.size() - begin);
                for (std::size_t i = 0; i < count; ++i) keys[i] = keys_at(units, begin + i);
                for (std::size_t i = 0; i < count; ++i) {
                    if (keys[i].end != 0) {
                        if (const auto* item = find(keys[i].gram)) hit(hits, units, begin + i, keys[i].end, *item);
                    }
                    if (keys[i].head_end != 0) look_for_short(hits, units, begin + i, keys[i].head);
                }
            }
            units.to_characters(hits);
        });
        py::list list;
        for (const Hit& found : hits) list.append(py::make_tuple(found.begin, found.end, found.item));
        return list;
    }

    std::size_t size() const { return used_; }

  private:
    static constexpr std::uint32_t NONE = ~std::uint32_t{0};

    struct Short {
        std::uint64_t hash;
        std::uint32_t units, item, next;
    };

    // A text as units: words, or characters where a script has no spaces.
    class Text {
      public:
        Text(const TestGrams& grams, const py::str& text) : grams_(grams), text_(text, py::none()) {
            work(text_.size, [this] { cut(); });
        }
        std::size_t size() const { return units_.size(); }
        std::size_t bytes() const { return text_.size; }
        unsigned weight() const { return static_cast<unsigned>(weight_.back()); }
        const Unit& operator[](std::size_t i) const { return units_[i]; }

        // Where the gram of this weight ends that begins at i; 0: the text ends before.
        std::size_t end_of(std::size_t i, unsigned weight) const {
            if (weight_.back() - weight_[i] < weight) return 0;
            std::size_t end = i + (weight + WORD - 1) / WORD;
            while (weight_[end] - weight_[i] < weight) ++end;
            return end;
        }
        std::uint64_t hash(std::size_t i, std::size_t end) const {
            return mix(prefix_[end] - prefix_[i] * grams_.powers_[end - i]);
        }
        bool mostly_numbers(std::size_t i, std::size_t end) const { return 2 * (numbers_[end] - numbers_[i]) > weight_[end] - weight_[i]; }

        void to_characters(std::vector<Hit>& hits) const {
            std::uint32_t at = 0, characters = 0;
            const auto move = [&](std::uint32_t byte) {  // hits may lie in one another, and so go back
                characters += byte >= at ? count(at, byte) : 0u - count(byte, at);
                at = byte;
                return characters;
            };
            for (Hit& hit : hits) {
                hit.begin = move(hit.begin);
                hit.end = move(hit.end);
            }
        }

      private:
        std::uint32_t count(std::uint32_t begin, std::uint32_t end) const {
            return static_cast<std::uint32_t>(characters_in(text_.data + begin, end - begin));
        }

        void cut() {
            units_.reserve(text_.words.size());
            for (const Word& word : text_.words) {
                if (!(word.flags & HAS_WORD)) continue;
                std::uint32_t c;
                decode_valid(text_.data + word.start, c);
                if (kind_of(c) & IS_UNSPACED) {
                    for (std::uint32_t i = word.start, length; i < word.start + word.bytes; i += length) {
                        length = static_cast<std::uint32_t>(decode_valid(text_.data + i, c));
                        units_.push_back({mix(grams_.lower(c)), i, i + length, CHARACTER, !(kind_of(c) & IS_LETTER)});
                    }
                } else {
                    units_.push_back(unit(word));
                }
            }
            prefix_.resize(units_.size() + 1);
            weight_.resize(units_.size() + 1);
            numbers_.resize(units_.size() + 1);
            for (std::size_t i = 0; i < units_.size(); ++i) {
                prefix_[i + 1] = prefix_[i] * BASE + units_[i].hash;
                weight_[i + 1] = weight_[i] + units_[i].weight;
                numbers_[i + 1] = numbers_[i] + (units_[i].number ? units_[i].weight : 0);
            }
        }

        // The letters and digits of a word, in small letters.
        Unit unit(const Word& word) const {
            const std::uint32_t end = word.start + word.bytes;
            std::uint64_t hash = 0;
            bool number = true;
            for (std::uint32_t i = word.start; i < end;) {
                std::uint32_t c;
                i += static_cast<std::uint32_t>(decode_valid(text_.data + i, c));
                const std::uint16_t kind = kind_of(c);
                if (!(kind & (IS_LETTER | IS_NUMBER))) continue;
                hash = hash * BASE + grams_.lower(c);
                number = number && !(kind & IS_LETTER);
            }
            return {mix(hash), word.start, end, WORD, number};
        }

        const TestGrams& grams_;
        const Analysis text_;
        std::vector<Unit> units_;
        std::vector<std::uint64_t> prefix_;
        std::vector<std::uint32_t> weight_, numbers_;
    };

    std::uint32_t lower(std::uint32_t c) const { return c < lower_.size() ? lower_[c] : c; }

    // What is looked for at a unit: the n-gram, and the first words of short items; where each ends, or 0.
    struct Keys {
        std::uint64_t gram, head;
        std::size_t end, head_end;
    };

    Keys keys_at(const Text& units, std::size_t i) const {
        Keys keys{0, 0, units.end_of(i, n_), shorts_.empty() ? 0 : units.end_of(i, least_)};
        if (keys.end != 0) ask_for(keys.gram = units.hash(i, keys.end));
        if (keys.head_end != 0) ask_for(keys.head = mix(units.hash(i, keys.head_end) ^ SHORT));
        return keys;
    }

    void look_for_short(std::vector<Hit>& hits, const Text& units, std::size_t i, std::uint64_t head) const {
        const std::uint32_t* first = find(head);
        for (std::uint32_t at = first ? *first : NONE; at != NONE; at = shorts_[at].next) {
            const Short& item = shorts_[at];
            if (i + item.units <= units.size() && units.hash(i, i + item.units) == item.hash) hit(hits, units, i, i + item.units, item.item);
        }
    }

    void hit(std::vector<Hit>& hits, const Text& units, std::size_t i, std::size_t end, std::uint32_t item) const {
        const std::uint32_t from = units[i].start, to = units[end - 1].end;
        if (!hits.empty() && from < hits.back().end && group_[item] == group_[hits.back().item]) {
            hits.back().end = std::max(hits.back().end, to);
        } else {
            hits.push_back({from, to, item});
        }
    }

    std::size_t bit_of(std::uint64_t key) const { return key >> 20 & (maybe_.size() * 64 - 1); }

    INLINE void ask_for(std::uint64_t key) const {
#if defined(__GNUC__)
        __builtin_prefetch(&maybe_[bit_of(key) / 64]);
#else
        (void)key;
#endif
    }

    const std::uint32_t* find(std::uint64_t key) const {
        const std::size_t bit = bit_of(key);  // most grams are no test's: one bit says so
        if (!(maybe_[bit / 64] >> (bit % 64) & 1)) return nullptr;
        for (std::size_t at = key & (keys_.size() - 1); values_[at] != 0; at = (at + 1) & (keys_.size() - 1)) {
            if (keys_[at] == key) return &found_[values_[at] - 1];
        }
        return nullptr;
    }

    // The first item that brings a key keeps it, unless it is to be replaced.
    void put(std::uint64_t key, std::uint32_t value, bool replace) {
        if (2 * ++used_ > keys_.size()) grow();
        std::size_t at = key & (keys_.size() - 1);
        for (; values_[at] != 0; at = (at + 1) & (keys_.size() - 1)) {
            if (keys_[at] != key) continue;
            if (replace) found_[values_[at] - 1] = value;
            --used_;
            return;
        }
        found_.push_back(value);
        place(at, key, static_cast<std::uint32_t>(found_.size()));
    }

    void place(std::size_t at, std::uint64_t key, std::uint32_t value) {
        keys_[at] = key;
        values_[at] = value;
        const std::size_t bit = bit_of(key);
        maybe_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }

    void grow() {
        std::vector<std::uint64_t> keys(2 * keys_.size());
        std::vector<std::uint32_t> values(keys.size());
        keys.swap(keys_);
        values.swap(values_);
        maybe_.assign(keys_.size() / 4, 0);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (values[i] == 0) continue;
            std::size_t at = keys[i] & (keys_.size() - 1);
            while (values_[at] != 0) at = (at + 1) & (keys_.size() - 1);
            place(at, keys[i], values[i]);
        }
    }

    unsigned n_, least_;
    std::vector<std::uint32_t> lower_;
    std::vector<std::uint64_t> powers_, keys_, maybe_;  // a table with open addressing; 16 bits a slot that say whether a key may be in it
    std::vector<std::uint32_t> values_, found_, group_;
    std::vector<Short> shorts_;
    std::size_t used_ = 0;
};

}  // namespace

void bind_contamination(py::module_& m) {
    py::class_<TestGrams>(m, "TestGrams", "n-grams of test sets; see corpus/decontamination/ngrams.py.")
        .def(py::init([](unsigned n, unsigned least, const py::bytes& lower) { return new TestGrams(n, least, lower); }))
        .def("add", &TestGrams::add)
        .def("scan", &TestGrams::scan)
        .def("__len__", &TestGrams::size);
}
