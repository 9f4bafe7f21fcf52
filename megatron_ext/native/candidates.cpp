// One pass over a text that proposes where personal data may stand, by form alone. Its twin, with the forms as regular
// expressions: corpus/sensitive/candidates.py. Offsets are characters: the pass reads Python's own str, whatever its width.

#include <string>
#include <utility>
#include <vector>

#include "characters.h"
#include "module.h"

namespace {

enum Form { EMAIL, PHONE, ADDRESS, CARD, IBAN, CHINESE_ID, SSN, SECRET, FORMS };  // the order of candidates.FORMS

enum Class : std::uint8_t {
    UPPER = 1, LOWER = 2, FIGURE = 4, HEX = 8,
    LOCAL = 16,   // of an e-mail address before the @
    NAME = 32,    // of a name that something is assigned to
    VALUE = 64,   // of what is assigned to it, where no quotes say its end
    TRIGGER = 128,  // where a form may begin
    LETTER = UPPER | LOWER, ALNUM = LETTER | FIGURE,
};

constexpr std::array<std::uint8_t, 128> classes() {
    std::array<std::uint8_t, 128> table{};
    for (int c = 33; c < 127; ++c) {
        if (c >= 'A' && c <= 'Z') table[c] |= UPPER | TRIGGER | LOCAL | NAME;
        if (c >= 'a' && c <= 'z') table[c] |= LOWER | TRIGGER | LOCAL | NAME;
        if (c >= '0' && c <= '9') table[c] |= FIGURE | HEX | TRIGGER | LOCAL | NAME;
        if ((c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f')) table[c] |= HEX;
        table[c] |= VALUE;
    }
    for (const char* c = "._%+-"; *c; ++c) table[static_cast<int>(*c)] |= LOCAL;
    for (const char* c = "_.-"; *c; ++c) table[static_cast<int>(*c)] |= NAME;
    for (const char* c = "\"'`,;()<>[]{}\\"; *c; ++c) table[static_cast<int>(*c)] &= static_cast<std::uint8_t>(~VALUE);
    for (const char* c = "@:=+(-"; *c; ++c) table[static_cast<int>(*c)] |= TRIGGER;
    return table;
}
constexpr auto CLASS = classes();

using Index = std::ptrdiff_t;

// Full-width and typographic forms as what they stand for; everything else as it is.
INLINE std::uint32_t fold(std::uint32_t c) {
    if (c < 0xa0 || (c > 0xa0 && c < 0x2009) || (c > 0x3000 && c < 0xff08) || c > 0xff5a) return c;
    if (c == 0xa0 || c == 0x2009 || c == 0x202f || c == 0x3000) return ' ';
    if (c >= 0x2010 && c <= 0x2013) return '-';
    if (c < 0xff08) return c;
    const std::uint32_t plain = c - 0xfee0;
    const bool stands = (CLASS[plain] & ALNUM) || plain == '(' || plain == ')' || plain == '+' || plain == '-' || plain == '.' ||
                        plain == ':' || plain == '=' || plain == '@' || plain == '_';
    return stands ? plain : c;
}

struct Proposal { Form form; Index start, end; };

struct Cues {
    explicit Cues(std::vector<std::u32string> given) : words(std::move(given)) {
        for (const auto& word : words) (word[0] < 0x80 ? first[word[0]] : others) = true;
    }
    std::vector<std::u32string> words;
    std::array<bool, 128> first{};  // of which ASCII characters one begins with
    bool others = false;            // does one begin with another?
};

struct Words {
    Cues phone, ssn;
    std::vector<std::u32string> names, prefixes;
};

template <class Char>
class Pass {
  public:
    Pass(const Char* text, Index size, unsigned forms, const Words& words, std::vector<Proposal>& out)
        : text_(text), size_(size), forms_(forms), words_(words), out_(out) {}

    void run() {
        for (Index i = 0; i < size_; ++i) {
            std::uint32_t c = text_[i];
            if (c >= 0x80) {
                if (c < 0xff08 || c > 0xff5a) continue;
                if ((c = fold(c)) >= 0x80) continue;
            }
            const std::uint8_t kind = CLASS[c];
            if (!(kind & TRIGGER)) continue;
            if (kind & ALNUM) {
                if (in_word(i - 1)) continue;
                if (kind & FIGURE) number(i);
                else letters(i, c);
            } else if (c == '@') {
                if (wanted(EMAIL, i)) email(i);
            } else if (c == '+' || c == '(') {
                if (wanted(PHONE, i)) c == '+' ? international(i) : bracketed(i);
            } else if (c == '-') {
                if (wanted(SECRET, i) && starts(i, "-----BEGIN ")) propose(SECRET, i, i + 11);
            } else {
                if (c == ':' && (forms_ >> ADDRESS & 1)) address6(i);
                if (forms_ >> SECRET & 1) assigned(i, c);
            }
        }
    }

  private:
    std::uint32_t at(Index i) const { return i >= 0 && i < size_ ? fold(text_[i]) : 0; }
    std::uint8_t kind(Index i) const { const std::uint32_t c = at(i); return c < 0x80 ? CLASS[c] : 0; }
    bool digit(Index i) const { return kind(i) & FIGURE; }
    bool in_word(Index i) const { return (kind(i) & ALNUM) || at(i) == '_'; }
    bool wanted(Form form, Index i) const { return (forms_ >> form & 1) && i >= done_[form]; }
    bool starts(Index i, const char* word) const {
        for (; *word; ++word, ++i)
            if (at(i) != static_cast<std::uint32_t>(*word)) return false;
        return true;
    }
    bool propose(Form form, Index start, Index end) {
        out_.push_back({form, start, end});
        done_[form] = end;
        return true;
    }
    Index run_of(Index i, std::uint8_t kinds, Index most) const {
        Index end = i;
        while (end - i < most && (kind(end) & kinds)) ++end;
        return end;
    }

    // Does a number end at `end`: no letter, no digit, no further part behind "." or "-"?
    bool closed(Index end) const {
        const std::uint32_t c = at(end);
        return !in_word(end) && !((c == '.' || c == '-') && digit(end + 1));
    }
    // The same behind groups with `separator` between them: no further group of three digits or more.
    bool closed(Index end, std::uint32_t separator) const {
        return closed(end) && !(separator && at(end) == separator && digit(end + 1) && digit(end + 2) && digit(end + 3));
    }
    bool open_before(Index i) const { const std::uint32_t c = at(i - 1); return (c == '.' || c == '-') && digit(i - 2); }
    bool group_before(Index i, std::uint32_t separator) const { return separator && at(i - 1) == separator && digit(i - 2); }

    // Groups of digits, as long as `lengths` says, all with `separator` between them (0: one run). 0, or where they end.
    Index groups(Index i, std::uint32_t separator, std::initializer_list<int> lengths) const {
        bool first = true;
        for (const int length : lengths) {
            if (!first && separator && at(i++) != separator) return 0;
            for (int n = 0; n < length; ++n)
                if (!digit(i++)) return 0;
            if (separator && digit(i)) return 0;
            first = false;
        }
        return digit(i) ? 0 : i;
    }

    // Does one of the words stand in the 32 characters before i, and not as the end of another word?
    bool cue(Index i, const Cues& cues) const {
        for (Index p = i > 32 ? i - 32 : 0; p < i; ++p) {
            const std::uint32_t first = lower(p);
            if (first < 0x80 ? !cues.first[first] || ((CLASS[first] & LETTER) && (kind(p - 1) & LETTER)) : !cues.others) continue;
            for (const auto& word : cues.words) {
                const Index length = static_cast<Index>(word.size());
                if (word[0] != first || p + length > i) continue;
                Index n = 1;
                while (n < length && lower(p + n) == word[n]) ++n;
                if (n == length) return true;
            }
        }
        return false;
    }
    std::uint32_t lower(Index i) const { const std::uint32_t c = at(i); return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }

    void number(Index i) {
        const Index end = run_of(i, FIGURE, 24), length = end - i;
        if (length <= 3 && at(end) == '.' && wanted(ADDRESS, i)) address4(i);
        if (wanted(SSN, i)) ssn(i, end);
        if (length < 3 && !(length <= 2 && digit(end + 1))) return;
        if (wanted(CARD, i)) card(i, end);
        if (wanted(CHINESE_ID, i)) chinese_id(i, end);
        if (wanted(PHONE, i) && at(i - 1) != '+') phone(i, end);
    }

    void address4(Index i) {
        if (at(i - 1) == '.' && digit(i - 2)) return;
        const Index start = i;
        for (int part = 0; part < 4; ++part) {
            if (part && at(i++) != '.') return;
            const Index end = run_of(i, FIGURE, 4);
            int value = 0;
            for (Index p = i; p < end; ++p) value = 10 * value + static_cast<int>(at(p) - '0');
            if (end == i || end - i > 3 || value > 255 || (end - i > 1 && at(i) == '0')) return;
            i = end;
        }
        if (!in_word(i) && !(at(i) == '.' && digit(i + 1))) propose(ADDRESS, start, i);
    }

    void ssn(Index i, Index end) {
        if (open_before(i)) return;
        if (end - i == 3) {
            const std::uint32_t s = at(end);
            if ((s != '-' && s != ' ') || group_before(i, s)) return;
            const Index stop = groups(i, s, {3, 2, 4});
            if (stop && closed(stop, s)) propose(SSN, i, stop);
        } else if (end - i == 9 && closed(end) && cue(i, words_.ssn)) {
            propose(SSN, i, end);
        }
    }

    bool luhn(Index i, Index end) const {
        int sum = 0, place = 0;
        for (Index p = end - 1; p >= i; --p) {
            if (!digit(p)) continue;
            const int value = static_cast<int>(at(p) - '0') << (place & 1);
            sum += value > 9 ? value - 9 : value;
            ++place;
        }
        return sum % 10 == 0;
    }

    void card(Index i, Index end) {
        const std::uint32_t first = at(i), s = at(end);
        if (first < '2' || first == '7' || first == '8' || open_before(i)) return;
        if (end - i >= 14 && end - i <= 19) {
            if (closed(end) && luhn(i, end)) propose(CARD, i, end);
        } else if ((end - i == 4 || end - i == 6) && (s == ' ' || s == '-') && !group_before(i, s)) {
            const Index stops[] = {groups(i, s, {4, 4, 4, 4, 3}), groups(i, s, {4, 4, 4, 4}), groups(i, s, {4, 6, 5}),
                                   groups(i, s, {4, 6, 4}), groups(i, s, {6, 13})};
            for (const Index stop : stops)
                if (stop && closed(stop, s) && luhn(i, stop)) { propose(CARD, i, stop); return; }
        }
    }

    void chinese_id(Index i, Index end) {
        const Index length = end - i;
        if (at(i) == '0' || open_before(i) || (length != 17 && length != 18 && length != 6)) return;
        Index date = i + 6, tail = i + 14;
        if (length == 6) {
            const std::uint32_t s = at(end);
            if ((s != ' ' && s != '-') || group_before(i, s) || at(i + 15) != s) return;
            date = i + 7, tail = i + 16;
        }
        for (Index p = date; p < date + 8; ++p)
            if (!digit(p)) return;
        for (Index p = tail; p < tail + 3; ++p)
            if (!digit(p)) return;
        const std::uint32_t last = lower(tail + 3);
        const int century = two(date), month = two(date + 4), day = two(date + 6);
        if ((digit(tail + 3) || last == 'x') && closed(tail + 4) && (century == 19 || century == 20) && month >= 1 && month <= 12 &&
            day >= 1 && day <= 31)
            propose(CHINESE_ID, i, tail + 4);
    }
    int two(Index i) const { return static_cast<int>(10 * (at(i) - '0') + (at(i + 1) - '0')); }

    bool phone(Index i, Index end) {
        const Index length = end - i;
        if (open_before(i)) return false;
        const std::uint32_t first = at(i), s = at(end);
        if (first == '0') return chain(i, i, end, length >= 3 && length <= 15, 9);
        const bool separated = (s == '-' || s == '.' || s == ' ') && !group_before(i, s);
        Index stop = 0;
        if (separated && length == 1 && first == '1') {
            const std::uint32_t t = at(i + 5);
            if ((t == '-' || t == '.' || t == ' ') && at(i + 2) >= '2') stop = groups(i + 2, t, {3, 3, 4});
            if (stop && called(stop, t)) return propose(PHONE, i, stop);
        }
        if (separated && length == 3 && first >= '2') {
            if ((stop = groups(i, s, {3, 3, 4})) && called(stop, s)) return propose(PHONE, i, stop);
            if ((first == '4' || first == '8') && at(i + 1) == '0' && at(i + 2) == '0' && s != '.' &&
                (stop = groups(i, s, {3, 4, 3})) && called(stop, s))
                return propose(PHONE, i, stop);
        }
        Index mobile = i;
        if (first == '8' && at(i + 1) == '6') mobile += at(i + 2) == ' ' || at(i + 2) == '-' ? 3 : 2;
        if (at(mobile) == '1' && at(mobile + 1) >= '3' && digit(mobile + 1)) {
            const std::uint32_t t = at(mobile + 3);
            stop = t == ' ' || t == '-' ? groups(mobile, t, {3, 4, 4}) : groups(mobile, 0, {11});
            if (stop && !group_before(i, t) && called(stop, t == ' ' ? t : 0)) return propose(PHONE, i, stop);
        }
        const bool bare = (length == 10 && first >= '2') || (length == 11 && first == '1' && at(i + 1) >= '2');
        return bare && closed(end) && cue(i, words_.phone) && propose(PHONE, i, end);
    }
    // As `closed`; an extension may follow ("x123").
    bool called(Index end, std::uint32_t separator) const {
        return (lower(end) == 'x' && digit(end + 1)) || closed(end, separator == ' ' ? separator : 0);
    }

    // Further groups of digits behind the one that ends at `end`; one to be called has at least `least` digits in all.
    bool chain(Index start, Index first, Index end, bool sound, int least) {
        if (!sound) return false;
        Index stop = ends(end) ? end : 0;
        int digits = 0, count = 0;
        for (Index p = first; p < end; ++p) digits += digit(p);
        int upto = stop ? digits : 0;
        const bool brackets = start != first || at(start) == '(';
        for (Index p = end; count < 6; ++count) {
            Index q = p;
            while (q - p < (brackets ? 2 : 1) && between(at(q), brackets)) ++q;
            const Index r = run_of(q, FIGURE, 13);
            if (q == p || r == q || r - q > 12) break;
            digits += static_cast<int>(r - q);
            if (ends(r)) stop = r, upto = digits;
            p = r;
        }
        return stop && upto >= least && propose(PHONE, start, stop);
    }
    bool between(std::uint32_t c, bool brackets) const {
        return c == ' ' || c == '-' || c == '.' || (brackets && (c == '(' || c == ')' || c == '/'));
    }
    bool ends(Index end) const { return !in_word(end) || (lower(end) == 'x' && digit(end + 1)); }

    void international(Index i) {
        if (in_word(i - 1) || at(i - 1) == '+') return;
        const Index first = at(i + 1) == '(' ? i + 2 : i + 1, end = run_of(first, FIGURE, 16);
        chain(i, first, end, end > first && end - first <= 15, 7);
    }
    void bracketed(Index i) {
        if (in_word(i - 1) || at(i - 1) == ')') return;
        const Index end = run_of(i + 1, FIGURE, 6), length = end - i - 1;
        if (at(end) == ')') chain(i, i + 1, end, length >= 2 && length <= 5, 9);
    }

    void letters(Index i, std::uint32_t c) {
        if ((CLASS[c] & UPPER) && (kind(i + 1) & UPPER) && digit(i + 2) && digit(i + 3) && wanted(IBAN, i)) iban(i);
        if (!wanted(SECRET, i)) return;
        for (const auto& prefix : words_.prefixes) {
            if (prefix[0] != c) continue;
            Index n = 1;
            while (n < static_cast<Index>(prefix.size()) && at(i + n) == prefix[n]) ++n;
            if (n < static_cast<Index>(prefix.size())) continue;
            Index end = i + n;
            while ((kind(end) & ALNUM) || at(end) == '_' || at(end) == '-' || at(end) == '.') ++end;
            if (end - i >= 16) { propose(SECRET, i, end); return; }
        }
    }

    void iban(Index i) {
        Index end = i + 4;
        if (kind(end) & (UPPER | FIGURE)) {
            end = run_of(end, UPPER | FIGURE, 31);
            if (end - i < 15 || end - i > 34) return;
        } else {
            for (int n = 0; n < 8 && at(end) == ' '; ++n) {
                const Index stop = run_of(end + 1, UPPER | FIGURE, 5);
                if (stop == end + 1 || stop > end + 5 || in_word(stop)) break;
                const bool last = stop < end + 5;
                end = stop;
                if (last) break;
            }
            if (end - i < 14) return;
        }
        if (!in_word(end)) propose(IBAN, i, end);
    }

    bool local(Index i) const { const std::uint32_t c = at(i); return c < 0x80 ? CLASS[c] & LOCAL : c >= 0xc0 && c < 0x250; }
    bool domain(Index i) const {
        const std::uint32_t c = at(i);
        return c < 0x80 ? (CLASS[c] & ALNUM) || c == '-' || c == '.' : c >= 0xc0 && c < 0x250;
    }
    void email(Index i) {
        Index start = i, end = i + 1;
        while (start > done_[EMAIL] && i - start < 65 && local(start - 1)) --start;
        bool dot = false;
        for (; domain(end) && end - i < 256; ++end) dot |= at(end) == '.' && end > i + 1;
        if (start < i && i - start < 65 && dot) propose(EMAIL, start, end);
    }

    bool of_address(Index i) const { return (kind(i) & HEX) || at(i) == ':' || at(i) == '.'; }
    void address6(Index i) {
        if (i < looked6_) return;
        if (at(i + 1) != ':' && !(kind(i + 1) & HEX)) return;
        Index start = i, end = i;
        while (start > looked6_ && i - start < 5 && of_address(start - 1)) --start;
        int colons = 0;
        bool twice = false;
        for (; of_address(end) && end - start < 50; ++end) {
            colons += at(end) == ':';
            twice |= at(end) == ':' && at(end + 1) == ':';
        }
        looked6_ = end;
        if (at(start) == ':' && at(start + 1) != ':') ++start;
        if ((twice || colons >= 6) && !in_word(start - 1) && !in_word(end) && i >= done_[ADDRESS]) propose(ADDRESS, start, end);
    }

    static bool shown(std::uint32_t c) { return c > 0x20 && c < 0x7f; }
    bool quote(Index i) const { const std::uint32_t c = at(i); return c == '"' || c == '\'' || c == '`'; }

    void assigned(Index i, std::uint32_t c) {
        if (c == ':' && at(i + 1) == '/' && at(i + 2) == '/') { password_in_url(i + 3); return; }
        if (c == ':' && (at(i + 1) == ':' || at(i - 1) == ':')) return;
        Index right = i + 1;
        if (at(right) == '=' || at(right) == '>') { if (c == at(right)) return; ++right; }
        Index left = i;
        if (c == '=' && (at(i - 1) == '=' || at(i - 1) == '!' || at(i - 1) == '<' || at(i - 1) == '>')) return;
        if (c == '=' && at(i - 1) == ':') return;  // `:=` was looked at from its colon
        while (left > 0 && i - left < 4 && (at(left - 1) == ' ' || at(left - 1) == '\t')) --left;
        if (at(left - 1) == ']') --left;
        if (quote(left - 1)) --left;
        if (!named(left)) return;
        for (int n = 0; n < 4 && (at(right) == ' ' || at(right) == '\t'); ++n) ++right;
        if (quote(right)) ++right;
        if (right < done_[SECRET]) return;
        const Index end = run_of(right, VALUE, 201);
        if (end - right >= 8 && end - right <= 200) propose(SECRET, right, end);
    }
    // Is what ends before `end` a name with one of the words of secrets in it? `_`, `-` and `.` do not count.
    bool named(Index end) const {
        std::uint32_t name[40];
        Index size = 0;
        for (Index p = end - 1; p >= 0 && end - p <= 40; --p) {
            const std::uint32_t c = lower(p);
            if (!(c < 0x80 ? CLASS[c] & NAME : is_han(c))) break;
            if (c != '_' && c != '-' && c != '.') name[size++] = c;  // backwards
        }
        for (const auto& word : words_.names) {
            const Index length = static_cast<Index>(word.size());
            for (Index p = 0; p + length <= size; ++p) {
                Index n = 0;
                while (n < length && name[p + length - 1 - n] == word[n]) ++n;
                if (n == length) return true;
            }
        }
        return false;
    }
    void password_in_url(Index i) {
        const auto stops = [](std::uint32_t c) {
            return !shown(c) || c == '/' || c == '@' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`';
        };
        Index p = i;
        while (p - i < 101 && at(p) != ':' && !stops(at(p))) ++p;
        if (at(p) != ':' || p - i > 100) return;
        Index end = ++p;
        while (end - p < 201 && !stops(at(end))) ++end;
        if (at(end) == '@' && end > p && end - p <= 200 && p >= done_[SECRET] && (kind(end + 1) & ALNUM)) propose(SECRET, p, end);
    }

    const Char* text_;
    Index size_;
    unsigned forms_;
    const Words& words_;
    std::vector<Proposal>& out_;
    Index done_[FORMS] = {};
    Index looked6_ = 0;
};

std::vector<std::u32string> u32(const py::iterable& words) {
    std::vector<std::u32string> found;
    for (const auto& word : words) found.push_back(word.cast<std::u32string>());
    return found;
}

class Proposer {
  public:
    Proposer(const py::iterable& phone, const py::iterable& ssn, const py::iterable& names, const py::iterable& prefixes)
        : words_{Cues(u32(phone)), Cues(u32(ssn)), u32(names), u32(prefixes)} {}

    py::list operator()(const py::str& text, unsigned forms) const {
        std::vector<Proposal> found;
        const Index size = PyUnicode_GET_LENGTH(text.ptr());
        if (size < 1 << 16) {
            pass(text, size, forms, found);
        } else {
            py::gil_scoped_release release;  // a str does not change, and the caller holds it
            pass(text, size, forms, found);
        }
        py::list out(found.size());
        for (std::size_t n = 0; n < found.size(); ++n)
            out[n] = py::make_tuple(static_cast<int>(found[n].form), found[n].start, found[n].end);
        return out;
    }

  private:
    void pass(const py::str& text, Index size, unsigned forms, std::vector<Proposal>& found) const {
        const void* data = PyUnicode_DATA(text.ptr());
        switch (PyUnicode_KIND(text.ptr())) {
            case PyUnicode_1BYTE_KIND: Pass<Py_UCS1>(static_cast<const Py_UCS1*>(data), size, forms, words_, found).run(); break;
            case PyUnicode_2BYTE_KIND: Pass<Py_UCS2>(static_cast<const Py_UCS2*>(data), size, forms, words_, found).run(); break;
            default: Pass<Py_UCS4>(static_cast<const Py_UCS4*>(data), size, forms, words_, found).run();
        }
    }
    Words words_;
};

}  // namespace

void bind_candidates(py::module_& m) {
    py::class_<Proposer>(m, "Proposer", "Where personal data may stand in a text; see corpus/sensitive/candidates.py.")
        .def(py::init<py::iterable, py::iterable, py::iterable, py::iterable>(), py::arg("phone_cues"), py::arg("ssn_cues"),
             py::arg("secret_names"), py::arg("secret_prefixes"))
        .def("__call__", &Proposer::operator(), py::arg("text"), py::arg("forms"));
}
