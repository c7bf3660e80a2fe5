#include "core/checkpoint/json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace kappascope {
namespace {

constexpr std::size_t kMaxDepth = 64;

// Characters of a text that say how far the parser has read: its events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error …" → the rest
// after the place, which stands in front of our message as an offset.
std::string reason(std::string_view what) {
  if (const auto bracket = what.find("] "); bracket != what.npos) {
    what.remove_prefix(bracket + 2);
  }
  if (what.substr(0, 14) == "parse error at") {
    if (const auto colon = what.find(": "); colon != what.npos) { what.remove_prefix(colon + 2); }
  }
  return std::string(what);
}

// A word in place of a number, and where it ends in the text.
struct NotFiniteWord {
  std::ptrdiff_t end = 0;
  double value = 0;
};

// Puts texts of the same length in place of NaN, Infinity and -Infinity, so that offsets stay as
// they are and the parser takes them; ascending by place.
std::vector<NotFiniteWord> replace_not_finite(std::string& text) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr std::array<std::pair<std::string_view, double>, 3> kWords = {
      {{"NaN", std::numeric_limits<double>::quiet_NaN()},
       {"-Infinity", -kInf},
       {"Infinity", kInf}}};
  std::vector<NotFiniteWord> found;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (text[i] == 'N' || text[i] == '-' || text[i] == 'I')) {
      for (const auto& [word, value] : kWords) {
        if (std::string_view(text).substr(i, word.size()) != word) { continue; }
        text.replace(i, word.size(), '"' + std::string(word.size() - 2, '?') + '"');
        i += word.size() - 1;
        found.push_back({static_cast<std::ptrdiff_t>(i + 1), value});
        break;
      }
    }
  }
  return found;
}

// Builds the document from parser events; the parser itself does not recurse.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, std::string_view file, std::vector<NotFiniteWord> words,
          std::size_t most_values)
      : file_(file),
        begin_(text.data()),
        furthest_(text.data()),
        words_(std::move(words)),
        most_values_(most_values) {}

  const char** furthest() { return &furthest_; }
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return add(value) != nullptr;
  }
  bool string(string_t& value) override {
    const NotFiniteWord* word = word_here();
    return add(word == nullptr ? Json(std::move(value)) : Json(word->value)) != nullptr;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    require(word_here() == nullptr, ExitCode::damaged, here(), "a key that is not text");
    const auto [place, is_new] = open_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    require(is_new, ExitCode::damaged, here(), "duplicate key '", name, "'");
    slot_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    fail(ExitCode::damaged, here(), "invalid JSON: ", reason(error.what()));
  }

 private:
  // The last character that was read.
  Place here() const { return {file_, {}, std::max<std::int64_t>(furthest_ - begin_ - 1, 0)}; }

  // The word in whose place the text was that has just been read.
  const NotFiniteWord* word_here() {
    const std::ptrdiff_t end = furthest_ - begin_;
    while (next_word_ < words_.size() && words_[next_word_].end < end) { ++next_word_; }
    const bool here = next_word_ < words_.size() && words_[next_word_].end == end;
    return here ? &words_[next_word_] : nullptr;
  }

  Json* add(Json value) {
    require(++values_ <= most_values_, ExitCode::unsupported, here(), "JSON: more than ",
            most_values_, " values");
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool open(Json container) {
    require(open_.size() < kMaxDepth, ExitCode::damaged, here(), "nested deeper than ", kMaxDepth,
            " levels");
    open_.push_back(add(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view file_;
  const char* begin_;
  const char* furthest_;
  std::vector<NotFiniteWord> words_;
  std::size_t next_word_ = 0;
  std::size_t values_ = 0, most_values_;
  Json root_;
  std::vector<Json*> open_;  // containers from the root inwards; stable while they are open
  Json* slot_ = nullptr;     // value of the key read last
};

}  // namespace

Json parse_json(std::string_view text, std::string_view file, NotFinite not_finite,
                std::size_t most_values) {
  const bool blank = text.find_first_not_of(" \t\r\n") == text.npos;
  require(!blank, ExitCode::damaged, {file}, "the file is empty; expected JSON");
  const bool wide = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  require(!wide, ExitCode::damaged, {file, {}, 0}, "text in UTF-16; save it as UTF-8");
  // The parser takes a NUL for the end of its input.
  const std::size_t nul = text.find('\0');
  require(nul == text.npos, ExitCode::damaged, {file, {}, static_cast<std::int64_t>(nul)},
          "JSON: a NUL byte");
  std::string replaced;
  std::vector<NotFiniteWord> words;
  if (not_finite == NotFinite::numbers) {
    replaced = text;
    words = replace_not_finite(replaced);
    text = replaced;
  }
  Builder builder(text, file, std::move(words), most_values);
  const CountingIterator begin(text.data(), builder.furthest());
  const CountingIterator end(text.data() + text.size(), builder.furthest());
  Json::sax_parse(begin, end, &builder);
  return builder.take();
}

std::string found_text(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const double number = value.get<double>();
    return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  }
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 40) { text = text.substr(0, 37) + "..."; }
  return text;
}

}  // namespace kappascope
