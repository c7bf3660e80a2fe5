#include "core/checkpoint/json.h"

#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace kappascope {
namespace {

constexpr std::size_t max_depth = 64;

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
  if (const auto bracket = what.find("] "); bracket != what.npos) what.remove_prefix(bracket + 2);
  if (what.substr(0, 14) == "parse error at") {
    if (const auto colon = what.find(": "); colon != what.npos) what.remove_prefix(colon + 2);
  }
  return std::string(what);
}

// Builds the document from parser events; the parser itself does not recurse.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, std::string_view file)
      : file_(file), begin_(text.data()), furthest_(text.data()) {}

  const char** furthest() { return &furthest_; }
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return add(value) != nullptr;
  }
  bool string(string_t& value) override { return add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
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

  Json* add(Json value) {
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
    require(open_.size() < max_depth, ExitCode::damaged, here(), "nested deeper than ", max_depth,
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
  Json root_;
  std::vector<Json*> open_;  // containers from the root inwards; stable while they are open
  Json* slot_ = nullptr;     // value of the key read last
};

}  // namespace

Json parse_json(std::string_view text, std::string_view file) {
  // The parser takes a NUL for the end of its input.
  const std::size_t nul = text.find('\0');
  require(nul == text.npos, ExitCode::damaged, {file, {}, static_cast<std::int64_t>(nul)},
          "JSON: a NUL byte");
  Builder builder(text, file);
  const CountingIterator begin(text.data(), builder.furthest());
  const CountingIterator end(text.data() + text.size(), builder.furthest());
  Json::sax_parse(begin, end, &builder);
  return builder.take();
}

}  // namespace kappascope
