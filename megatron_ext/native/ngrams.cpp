// n-grams counted and smoothed by modified Kneser-Ney in bounded memory, written as ARPA. The formulas, and its twin, are in
// corpus/ngrams/estimate.py.
//
// The way through is that of Heafield et al. (2013): all is sorting on disk and reading in order. An n-gram's words are kept
// last word first, so that sorting puts together all that end alike ("suffix order").
//   1. Every position of the text gives one record of `order` words (fewer behind <s>). Sorted in suffix order, those that
//      share their last n words are neighbours for every n at once, so one reading gives all orders' adjusted counts.
//   2. Each order, sorted by its contexts, gives discounted counts, and what each context hands down to its shorter one.
//   3. Each order, back in suffix order, is read beside the next lower one, whose probabilities it is mixed with, and beside
//      its own back-off weights, and is written.

#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <queue>
#include <stdexcept>
#include <string>
#include <vector>

#include "module.h"

namespace {

using std::uint32_t;
using std::uint64_t;

// Ids of words. In keys they stand one higher, since 0 is "no word", before <s>.
constexpr uint32_t BEGIN = 1, END = 2;
constexpr int LARGEST_ORDER = 6;
constexpr std::size_t MOST_RUNS = 900;  // files open at once

[[noreturn]] void fail(const std::string& path) { throw std::runtime_error(path + ": " + std::strerror(errno)); }

class File {
  public:
    File(const std::string& path, const char* mode) : path_(path), file_(std::fopen(path.c_str(), mode)) {
        if (file_ == nullptr) fail(path);
        std::setvbuf(file_, nullptr, _IOFBF, 1 << 17);
    }
    ~File() {
        if (file_ != nullptr) std::fclose(file_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    void write(const void* data, std::size_t size) {
        if (std::fwrite(data, 1, size, file_) != size) fail(path_);
    }
    void write(const std::string& text) { write(text.data(), text.size()); }
    template <class T> bool read(T& item) { return std::fread(&item, sizeof(T), 1, file_) == 1; }
    void close() {
        std::FILE* file = file_;
        file_ = nullptr;
        if (std::fclose(file) != 0) fail(path_);
    }

  private:
    std::string path_;
    std::FILE* file_;
};

struct Count {
    uint64_t value;
    void absorb(const Count& other) { value += other.value; }
};
struct Adjusted {
    uint64_t value;
    bool pruned;
    void absorb(const Adjusted&) {}  // each n-gram comes once
};
struct Share {
    double own, below;  // discounted probability, and the weight of the shorter context's
    void absorb(const Share&) {}
};

template <int K, class Value> struct Item {
    uint32_t key[K];
    Value value;
    bool operator<(const Item& other) const {
        for (int i = 0; i < K; ++i)
            if (key[i] != other.key[i]) return key[i] < other.key[i];
        return false;
    }
    bool same(const Item& other) const { return std::equal(key, key + K, other.key); }
};

// Items in the order of their keys, equal keys as one; as many in memory as `bytes` hold, the others in sorted runs on disk.
template <class T> class Sorter {
  public:
    Sorter(std::string prefix, std::size_t bytes)
        : prefix_(std::move(prefix)), capacity_(std::max<std::size_t>(bytes / sizeof(T), 1024)) {}

    void add(const T& item) {
        if (held_.size() == capacity_) {
            settle();
            if (held_.size() > capacity_ / 2) spill();
        }
        if (held_.empty()) held_.reserve(capacity_);
        held_.push_back(item);
    }

    // Calls `take` with each item in order, and forgets them.
    template <class Take> void drain(Take take) {
        settle();
        if (runs_ == 0) {
            for (const T& item : held_) take(item);
        } else {
            if (!held_.empty()) spill();
            merge(take);
        }
        std::vector<T>().swap(held_);
    }

  private:
    void settle() {
        std::sort(held_.begin(), held_.end());
        std::size_t end = 0;
        for (const T& item : held_) {
            if (end > 0 && held_[end - 1].same(item)) {
                held_[end - 1].value.absorb(item.value);
            } else {
                held_[end++] = item;
            }
        }
        held_.resize(end);
    }

    void spill() {
        if (runs_ == MOST_RUNS) throw std::runtime_error("the text is too long for this memory; give more");
        File file(run(runs_++), "wb");
        file.write(held_.data(), held_.size() * sizeof(T));
        file.close();
        held_.clear();
    }

    template <class Take> void merge(Take take) {
        std::vector<T>().swap(held_);
        std::vector<std::unique_ptr<File>> files;
        const auto later = [](const auto& a, const auto& b) { return b.first < a.first; };
        std::priority_queue<std::pair<T, std::size_t>, std::vector<std::pair<T, std::size_t>>, decltype(later)> heads(later);
        T item;
        for (std::size_t i = 0; i < runs_; ++i) {
            files.push_back(std::make_unique<File>(run(i), "rb"));
            if (files[i]->read(item)) heads.emplace(item, i);
        }
        while (!heads.empty()) {
            item = heads.top().first;
            bool first = true;
            while (!heads.empty() && heads.top().first.same(item)) {
                if (!first) item.value.absorb(heads.top().first.value);
                first = false;
                const std::size_t from = heads.top().second;
                heads.pop();
                T next;
                if (files[from]->read(next)) heads.emplace(next, from);
            }
            take(item);
        }
        files.clear();
        for (std::size_t i = 0; i < runs_; ++i) std::remove(run(i).c_str());
        runs_ = 0;
    }

    std::string run(std::size_t number) const { return prefix_ + "." + std::to_string(number); }

    std::string prefix_;
    std::size_t capacity_, runs_ = 0;
    std::vector<T> held_;
};

// What an order's counts of counts say of its discounts (Chen and Goodman 1998, equation 26).
struct Discounts {
    double of[4] = {0, 0.5, 1, 1.5};
    bool estimated = false;

    void estimate(const uint64_t* times) {
        double found[4] = {0};
        const double y = static_cast<double>(times[1]) / (static_cast<double>(times[1]) + 2.0 * static_cast<double>(times[2]));
        for (int k = 1; k <= 3; ++k) {
            if (times[k] == 0 || times[k + 1] == 0) return;
            found[k] = k - (k + 1) * y * static_cast<double>(times[k + 1]) / static_cast<double>(times[k]);
            if (!(found[k] > 0 && found[k] <= k)) return;
        }
        std::copy(found, found + 4, of);
        estimated = true;
    }
    double operator()(uint64_t count) const { return of[std::min<uint64_t>(count, 3)]; }
};

struct Statistics {
    uint64_t all = 0, kept = 0, times[5] = {0};
    Discounts discounts;

    void see(uint64_t count, bool pruned) {
        ++all;
        kept += !pruned;
        if (count < 5) ++times[count];
    }
};

using Words = std::vector<std::string>;

std::string logarithm(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", std::log10(value));
    return text;
}

// One order from 2 up. Its methods are called in the order in which they stand here.
class Level {
  public:
    virtual ~Level() = default;
    virtual void add(const uint32_t* reversed, uint64_t count, bool pruned) = 0;
    virtual void discount() = 0;
    virtual void write(File& arpa, const Words& words, const std::vector<double>& unigrams, bool highest) = 0;
    Statistics statistics;
};

template <int N> class LevelOf : public Level {
    template <int K> using Number = Item<K, double>;

  public:
    LevelOf(const std::string& folder, std::size_t bytes)
        : folder_(folder), contexts_(folder + "/contexts" + std::to_string(N), bytes),
          suffixes_(folder + "/suffixes" + std::to_string(N), bytes) {}

    void add(const uint32_t* reversed, uint64_t count, bool pruned) override {
        statistics.see(count, pruned);
        Item<N, Adjusted> item{};
        std::copy(reversed + 1, reversed + N, item.key);  // the context, then the word
        item.key[N - 1] = reversed[0];
        item.value = {count, pruned};
        contexts_.add(item);
    }

    void discount() override {
        statistics.discounts.estimate(statistics.times);
        File backoffs(path("backoffs", N - 1), "wb");
        std::vector<Item<N, Adjusted>> group;  // of one context: a vocabulary at most
        contexts_.drain([&](const Item<N, Adjusted>& item) {
            if (!group.empty() && !std::equal(item.key, item.key + N - 1, group[0].key)) close(group, backoffs);
            group.push_back(item);
        });
        close(group, backoffs);
        backoffs.close();
    }

    void write(File& arpa, const Words& words, const std::vector<double>& unigrams, bool highest) override {
        std::unique_ptr<File> lower, own, backoffs;
        if (N > 2) lower = std::make_unique<File>(path("probabilities", N - 1), "rb");
        if (!highest) own = std::make_unique<File>(path("probabilities", N), "wb");
        if (!highest) backoffs = std::make_unique<File>(path("backoffs", N), "rb");
        Number<N - 1> parent{};
        Number<N> waiting{}, out{};
        bool more = !highest && backoffs->read(waiting);
        arpa.write("\n\\" + std::to_string(N) + "-grams:\n");
        suffixes_.drain([&](const Item<N, Share>& item) {
            if (N == 2) {
                parent.value = unigrams[item.key[0] - 1];
            } else {
                while (!std::equal(item.key, item.key + N - 1, parent.key))
                    if (!lower->read(parent)) throw std::logic_error("an n-gram without its shorter one");
            }
            std::copy(item.key, item.key + N, out.key);
            out.value = item.value.own + item.value.below * parent.value;
            std::string line = logarithm(out.value);
            for (int i = N; i-- > 0;) line += (i == N - 1 ? '\t' : ' ') + words[item.key[i] - 1];
            if (!highest) {
                own->write(&out, sizeof out);
                while (more && waiting < out) more = backoffs->read(waiting);
                line += "\t" + (more && waiting.same(out) ? logarithm(waiting.value) : "0");
            }
            arpa.write(line + "\n");
        });
        if (!highest) own->close();
    }

  private:
    std::string path(const char* what, int order) const { return folder_ + "/" + what + std::to_string(order); }

    void close(std::vector<Item<N, Adjusted>>& group, File& backoffs) {
        uint64_t sum = 0, pruned = 0, times[4] = {0};
        for (const auto& item : group) {
            sum += item.value.value;
            if (item.value.pruned) pruned += item.value.value;
            else ++times[std::min<uint64_t>(item.value.value, 3)];
        }
        if (times[1] + times[2] + times[3] != 0) {
            const Discounts& d = statistics.discounts;
            const double handed = d.of[1] * static_cast<double>(times[1]) + d.of[2] * static_cast<double>(times[2]) +
                                  d.of[3] * static_cast<double>(times[3]) + static_cast<double>(pruned);
            const double below = handed / static_cast<double>(sum);
            for (const auto& item : group) {
                if (item.value.pruned) continue;
                Item<N, Share> share{};
                share.key[0] = item.key[N - 1];
                std::copy(item.key, item.key + N - 1, share.key + 1);
                share.value = {(static_cast<double>(item.value.value) - d(item.value.value)) / static_cast<double>(sum), below};
                suffixes_.add(share);
            }
            Number<N - 1> context{};
            std::copy(group[0].key, group[0].key + N - 1, context.key);
            context.value = below;
            backoffs.write(&context, sizeof context);
        }
        group.clear();
    }

    std::string folder_;
    Sorter<Item<N, Adjusted>> contexts_;
    Sorter<Item<N, Share>> suffixes_;
};

class Estimator {
  public:
    virtual ~Estimator() = default;
    virtual void add(const uint32_t* ids, std::size_t size) = 0;
    virtual py::list finish(const Words& words, const std::vector<uint64_t>& prune, const std::string& path) = 0;
};

template <int N> class EstimatorOf : public Estimator {
  public:
    EstimatorOf(const std::string& folder, std::size_t bytes) : folder_(folder), counts_(folder + "/counts", bytes / 2) {
        make_levels<2>(bytes / 2 / (N - 1));
        begin();
    }

    // Sentences, each ended by END.
    void add(const uint32_t* ids, std::size_t size) override {
        for (std::size_t i = 0; i < size; ++i) {
            largest_ = std::max(largest_, ids[i]);
            std::copy_backward(at_.key, at_.key + N - 1, at_.key + N);
            at_.key[0] = ids[i] + 1;
            counts_.add(at_);
            if (ids[i] == END) begin();
        }
    }

    py::list finish(const Words& words, const std::vector<uint64_t>& prune, const std::string& path) override {
        if (largest_ >= words.size()) throw std::out_of_range("an id beyond the words");
        {
            py::gil_scoped_release release;
            adjust(prune, words.size());
            for (auto& level : levels_) level->discount();
            const std::vector<double> unigrams = unigram_probabilities();
            write(words, unigrams, path);
        }
        py::list found;
        found.append(as_tuple(unigrams_));
        for (const auto& level : levels_) found.append(as_tuple(level->statistics));
        return found;
    }

  private:
    template <int K> void make_levels(std::size_t bytes) {
        levels_.push_back(std::make_unique<LevelOf<K>>(folder_, bytes));
        if constexpr (K < N) make_levels<K + 1>(bytes);
    }

    void begin() {
        std::fill(at_.key, at_.key + N, 0);
        at_.key[0] = BEGIN + 1;
        at_.value.value = 1;
    }

    // Reads the records in suffix order. `count[n]` and `adjusted[n]` are those of the n-gram that is the last n words.
    void adjust(const std::vector<uint64_t>& prune, std::size_t vocabulary) {
        adjusted_.assign(vocabulary, 0);
        uint32_t key[N] = {0};
        uint64_t count[N + 1] = {0}, adjusted[N + 1] = {0};
        int open = 0;  // orders 1 to `open` are being counted
        const auto close = [&](int down_to) {
            for (; open > down_to; --open) emit(open, key, adjusted[open], count[open] <= prune[open - 1]);
        };
        counts_.drain([&](const Item<N, Count>& item) {
            int shared = 0, length = N;
            while (shared < open && item.key[shared] == key[shared]) ++shared;
            while (item.key[length - 1] == 0) --length;
            close(shared);
            std::copy(item.key, item.key + N, key);
            for (; open < length; ++open) {
                if (open > 0) ++adjusted[open];  // one more word is seen before the last `open` ones
                count[open + 1] = adjusted[open + 1] = 0;
            }
            for (int n = 1; n <= length; ++n) count[n] += item.value.value;
            adjusted[length] = item.value.value;  // the highest order, and what begins with <s>, count as often as they are
        });
        close(0);
    }

    void emit(int order, const uint32_t* reversed, uint64_t adjusted, bool pruned) {
        if (order > 1) {
            levels_[order - 2]->add(reversed, adjusted, pruned);
        } else {
            adjusted_[reversed[0] - 1] = adjusted;
            unigrams_.see(adjusted, false);
        }
    }

    std::vector<double> unigram_probabilities() {
        unigrams_.discounts.estimate(unigrams_.times);
        double sum = 0, handed = 0;
        for (const uint64_t count : adjusted_) {
            sum += static_cast<double>(count);
            if (count > 0) handed += unigrams_.discounts(count);
        }
        const double uniform = handed / sum / static_cast<double>(adjusted_.size() - 1);  // over all words but <s>
        std::vector<double> found;
        for (const uint64_t count : adjusted_) {
            const double left = count > 0 ? static_cast<double>(count) - unigrams_.discounts(count) : 0;
            found.push_back(left / sum + uniform);
        }
        return found;
    }

    void write(const Words& words, const std::vector<double>& unigrams, const std::string& path) {
        File arpa(path, "wb");
        arpa.write("\\data\\\nngram 1=" + std::to_string(words.size()) + "\n");
        for (int n = 2; n <= N; ++n)
            arpa.write("ngram " + std::to_string(n) + "=" + std::to_string(levels_[n - 2]->statistics.kept) + "\n");
        arpa.write("\n\\1-grams:\n");
        File backoffs(folder_ + "/backoffs1", "rb");
        Item<1, double> waiting{};
        bool more = backoffs.read(waiting);
        for (uint32_t id = 0; id < words.size(); ++id) {
            while (more && waiting.key[0] < id + 1) more = backoffs.read(waiting);
            arpa.write((id == BEGIN ? "-99" : logarithm(unigrams[id])) + "\t" + words[id] + "\t" +
                       (more && waiting.key[0] == id + 1 ? logarithm(waiting.value) : "0") + "\n");
        }
        for (int n = 2; n <= N; ++n) levels_[n - 2]->write(arpa, words, unigrams, n == N);
        arpa.write("\n\\end\\\n");
        arpa.close();
    }

    static py::tuple as_tuple(const Statistics& s) {
        const double* d = s.discounts.of;
        return py::make_tuple(s.all, s.kept, py::make_tuple(d[1], d[2], d[3]), s.discounts.estimated);
    }

    std::string folder_;
    Sorter<Item<N, Count>> counts_;
    std::vector<std::unique_ptr<Level>> levels_;
    std::vector<uint64_t> adjusted_;
    Statistics unigrams_;
    Item<N, Count> at_{};
    uint32_t largest_ = END;
};

std::unique_ptr<Estimator> make(int order, const std::string& folder, std::size_t bytes) {
    switch (order) {
        case 2: return std::make_unique<EstimatorOf<2>>(folder, bytes);
        case 3: return std::make_unique<EstimatorOf<3>>(folder, bytes);
        case 4: return std::make_unique<EstimatorOf<4>>(folder, bytes);
        case 5: return std::make_unique<EstimatorOf<5>>(folder, bytes);
        case LARGEST_ORDER: return std::make_unique<EstimatorOf<LARGEST_ORDER>>(folder, bytes);
        default: throw std::invalid_argument("the order is from 2 to 6");
    }
}

}  // namespace

void bind_ngrams(py::module_& m) {
    py::class_<Estimator>(m, "NgramEstimator", "Counts n-grams and smooths them; see corpus/ngrams/estimate.py.")
        .def(py::init(&make), py::arg("order"), py::arg("folder"), py::arg("memory"))
        .def("add",
             [](Estimator& self, const py::object& ids) {
                 const Bytes bytes(ids);
                 if (bytes.size() % 4 != 0) throw std::invalid_argument("ids are unsigned integers of 4 bytes");
                 py::gil_scoped_release release;
                 self.add(reinterpret_cast<const uint32_t*>(bytes.data()), bytes.size() / 4);
             })
        .def("finish", &Estimator::finish, py::arg("words"), py::arg("prune"), py::arg("path"));
}
