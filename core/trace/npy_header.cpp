#include "core/trace/npy_header.h"

#include <array>
#include <limits>
#include <optional>

namespace kappascope {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::int64_t kMaxTextWidth = 1 << 28;  // code points an item: 1 GiB

struct TypeName {
  NpyType type;
  std::string_view descr;
};
constexpr std::array<TypeName, 7> kTypes{{{NpyType::boolean, "|b1"},
                                          {NpyType::int8, "|i1"},
                                          {NpyType::int16, "<i2"},
                                          {NpyType::int32, "<i4"},
                                          {NpyType::int64, "<i8"},
                                          {NpyType::float32, "<f4"},
                                          {NpyType::float64, "<f8"}}};

std::string descr_of(const NpyArray& array) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == array.type) { return std::string(entry.descr); }
  }
  return join_words("<U", array.item_bytes() / 4);
}

// Reads the dict literal: three known keys, each once, in any order.
class DictParser {
 public:
  DictParser(std::string_view text, const Place& place) : text_(text), place_(place) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      parse_item();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    demand(at_ == text_.size(), "text after the header's dict");
    demand(descr && fortran && shape, "header without all of descr, fortran_order, shape");
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  void demand(bool holds, std::string_view what) const {
    require(holds, ExitCode::damaged, place_, "broken .npy header: ", what);
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) { ++at_; }
  }

  bool accept(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) { return false; }
    ++at_;
    return true;
  }

  void expect(char wanted) {
    demand(accept(wanted), join_words("expected '", wanted, "' at its character ", at_));
  }

  std::string quoted() {
    skip_space();
    demand(at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"'), "expected a string");
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    demand(end != std::string_view::npos, "string without an end");
    const std::string_view value = text_.substr(at_ + 1, end - at_ - 1);
    demand(value.find('\\') == std::string_view::npos, "escape in a string");
    at_ = end + 1;
    return std::string(value);
  }

  void parse_item() {
    const std::string key = quoted();
    expect(':');
    if (key == "descr") {
      demand(!descr, "descr twice");
      skip_space();
      const bool structured = at_ < text_.size() && text_[at_] == '[';
      require(!structured, ExitCode::unsupported, place_, "structured array");
      descr = quoted();
    } else if (key == "fortran_order") {
      demand(!fortran, "fortran_order twice");
      fortran = truth();
    } else if (key == "shape") {
      demand(!shape, "shape twice");
      shape = extents();
    } else {
      demand(false, join_words("unknown key '", key, "'"));
    }
  }

  bool truth() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    }
    demand(false, "fortran_order is neither True nor False");
    return false;
  }

  std::vector<std::int64_t> extents() {
    std::vector<std::int64_t> result;
    expect('(');
    while (!accept(')')) {
      result.push_back(extent());
      if (!accept(',')) {
        demand(result.size() > 1, "shape of one number without a comma");
        expect(')');
        break;
      }
    }
    return result;
  }

  std::int64_t extent() {
    skip_space();
    std::int64_t value = 0;
    const std::size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const bool fits = !__builtin_mul_overflow(value, std::int64_t{10}, &value) &&
                        !__builtin_add_overflow(value, std::int64_t{text_[at_] - '0'}, &value);
      demand(fits, "extent over 2^63");
    }
    demand(at_ > begin, "expected a number in the shape");
    return value;
  }

  std::string_view text_;
  Place place_;
  std::size_t at_ = 0;
};

std::int64_t text_width(std::string_view descr, const Place& place) {
  std::int64_t width = 0;
  bool valid = descr.size() > 2 && descr.size() < 12;
  for (const char digit : descr.substr(2)) {
    valid = valid && digit >= '0' && digit <= '9';
    if (valid) { width = 10 * width + (digit - '0'); }
  }
  require(valid && width >= 1 && width <= kMaxTextWidth, ExitCode::damaged, place,
          "broken .npy header: expected a text width of 1 to ", kMaxTextWidth, ", found ", descr);
  return width;
}

void set_type(NpyArray& array, std::string_view descr, const Place& place) {
  for (const TypeName& entry : kTypes) {
    if (entry.descr == descr) {
      array.type = entry.type;
      return;
    }
  }
  if (descr.substr(0, 2) == "<U") {
    array.type = NpyType::text;
    array.text_width = text_width(descr, place);
    return;
  }
  require(descr != "|O", ExitCode::unsupported, place, "array of Python objects");
  require(
      descr.empty() || descr[0] != '>', ExitCode::unsupported, place,
      "big-endian array; expected little-endian: save array.astype(array.dtype.newbyteorder('<'))");
  fail(ExitCode::unsupported, place, "array type; expected bool, i2, i4, i8, f4, f8 or U, found ",
       descr);
}

// True when the bytes of the whole array fit in 63 bits.
bool fits(const NpyArray& array) {
  std::int64_t bytes = array.item_bytes();
  for (const std::int64_t extent : array.shape) {
    if (extent == 0) { return true; }
  }
  for (const std::int64_t extent : array.shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) { return false; }
  }
  return true;
}

}  // namespace

std::string npy_header(const NpyArray& array) {
  std::string text =
      join_words("{'descr': '", descr_of(array), "', 'fortran_order': False, 'shape': (");
  for (std::size_t i = 0; i < array.shape.size(); ++i) {
    text += join_words(i == 0 ? "" : " ", array.shape[i]);
    if (i + 1 < array.shape.size() || i == 0) { text += ','; }
  }
  text += "), }";
  const std::size_t total = (10 + text.size() + 1 + 63) / 64 * 64;
  text.resize(total - 11, ' ');
  text += '\n';
  std::string header(kMagic);
  header +=
      {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

NpyPreamble parse_npy_preamble(std::string_view bytes, const Place& place) {
  require(bytes.size() >= 10 && bytes.substr(0, kMagic.size()) == kMagic, ExitCode::damaged, place,
          "not a .npy array");
  const auto byte = [&](std::size_t i) {
    return std::uint64_t{static_cast<unsigned char>(bytes[i])};
  };
  const std::uint64_t version = byte(6);
  require(version >= 1 && version <= 3 && byte(7) == 0, ExitCode::damaged, place,
          ".npy version; expected 1.0 to 3.0, found ", version, ".", byte(7));
  if (version == 1) { return {10, byte(8) | byte(9) << 8}; }
  require(bytes.size() >= 12, ExitCode::damaged, place, "not a .npy array");
  return {12, byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24};
}

NpyDict parse_npy_text(std::string_view text, const Place& place) {
  DictParser dict(text, place);
  dict.parse();
  return {std::move(*dict.descr), *dict.fortran, std::move(*dict.shape)};
}

NpyArray parse_npy_dict(std::string_view text, std::string_view name, const Place& place) {
  NpyDict dict = parse_npy_text(text, place);
  NpyArray array;
  array.name = name;
  array.shape = std::move(dict.shape);
  set_type(array, dict.descr, place);
  require(fits(array), ExitCode::damaged, place, "broken .npy header: array over 2^63 bytes");
  require(!dict.fortran, ExitCode::unsupported, place,
          "array in Fortran order; save numpy.ascontiguousarray of it");
  return array;
}

}  // namespace kappascope
