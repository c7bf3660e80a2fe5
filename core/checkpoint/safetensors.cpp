#include "core/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/checkpoint/byte_cursor.h"
#include "core/checkpoint/json.h"
#include "core/checkpoint/other_format.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLengthBytes = 8;                       // in front of the header
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;          // the format's own limit
constexpr std::size_t kMaxValues = std::size_t{1} << 22;        // a tensor takes about nine
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 56;  // × 64 bits is less than 2⁶³

struct Row {
  std::string_view name;  // in the file
  std::uint64_t bits;     // of an element
  std::optional<DType> dtype;
};
constexpr std::array<Row, 22> kElementTypes = {{{"F32", 32, DType::float32},
                                                {"BF16", 16, DType::bfloat16},
                                                {"F16", 16, DType::float16},
                                                {"F64", 64, DType::float64},
                                                {"I64", 64, DType::int64},
                                                {"I32", 32, DType::int32},
                                                {"I16", 16, DType::int16},
                                                {"I8", 8, DType::int8},
                                                {"U64", 64, DType::uint64},
                                                {"U32", 32, DType::uint32},
                                                {"U16", 16, DType::uint16},
                                                {"U8", 8, DType::uint8},
                                                {"BOOL", 8, DType::boolean},
                                                {"F8_E4M3", 8, DType::float8_e4m3},
                                                {"F8_E5M2", 8, DType::float8_e5m2},
                                                {"F8_E8M0", 8, DType::float8_e8m0},
                                                {"F4", 4, {}},
                                                {"F6_E2M3", 6, {}},
                                                {"F6_E3M2", 6, {}},
                                                {"C64", 64, {}},
                                                {"F8_E4M3FNUZ", 8, {}},
                                                {"F8_E5M2FNUZ", 8, {}}}};

std::string dtype_names() {
  std::string names;
  for (const Row& row : kElementTypes) {
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names;
}

// Bytes of the data, counted from the end of the header.
struct Range {
  std::uint64_t begin = 0, end = 0;
  const std::string* name = nullptr;
};

class Reader {
 public:
  explicit Reader(const InputFile& file) : file_(file), faults_(file.path()) {}

  void read() {
    const Json header = parse_header();
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        check_metadata(entry);
      } else {
        read_tensor(name, entry);
      }
    }
    faults_.throw_if_any();
    check_ranges();
    faults_.throw_if_any();
  }

  std::vector<TensorInfo> tensors;
  std::vector<OtherMember> others;

 private:
  Place place(std::int64_t offset = -1) const { return {file_.path(), {}, offset}; }

  Json parse_header() {
    require(file_.size() >= kLengthBytes, ExitCode::damaged, place(),
            "too short for a safetensors file; expected at least ", kLengthBytes, " bytes, found ",
            file_.size());
    const auto length_bytes = file_.read(0, kLengthBytes, "length of the header");
    const std::uint64_t length =
        ByteCursor(length_bytes, file_.path(), 0, "length of the header").number(kLengthBytes);
    require(length <= kMaxHeaderBytes, ExitCode::damaged, place(0),
            "the length of the header is too large; expected at most ", kMaxHeaderBytes,
            " bytes, found ", length, ": no safetensors file, or damaged: download it again");
    const std::uint64_t left = file_.size() - kLengthBytes;
    require(length <= left, ExitCode::damaged, place(kLengthBytes),
            "truncated inside the header; expected ", length, " bytes, found ", left,
            ": download it again");
    data_ = kLengthBytes + length;
    std::string text(kLengthBytes, ' ');  // so that offsets in messages are those of the file
    text.resize(data_);
    file_.read(kLengthBytes, std::as_writable_bytes(std::span(text)).subspan(kLengthBytes),
               "header");
    require(length > 0 && text[kLengthBytes] == '{', ExitCode::damaged, place(kLengthBytes),
            "the header does not begin with {");
    return parse_json(text, file_.path(), NotFinite::refused, kMaxValues);
  }

  void check_metadata(const Json& metadata) {
    if (metadata.is_null()) { return; }
    const auto is_text = [](const Json& value) { return value.is_string(); };
    if (!metadata.is_object() || !std::all_of(metadata.begin(), metadata.end(), is_text)) {
      faults_.add(ExitCode::damaged, "", "__metadata__: expected texts by name, found ",
                  found_text(metadata));
    }
  }

  // A member of a tensor's entry; nullptr: a fault was noted.
  const Json* member(const std::string& name, const Json& entry, const char* what) {
    const auto found = entry.find(what);
    if (found != entry.end()) { return &*found; }
    faults_.add(ExitCode::damaged, name, what, " is missing");
    return nullptr;
  }

  void read_tensor(const std::string& name, const Json& entry) {
    if (!entry.is_object()) {
      return faults_.add(ExitCode::damaged, name, "expected an object, found ", found_text(entry));
    }
    const Json* dtype = member(name, entry, "dtype");
    const Json* shape = member(name, entry, "shape");
    const Json* offsets = member(name, entry, "data_offsets");
    if (dtype == nullptr || shape == nullptr || offsets == nullptr) { return; }
    const Row* row = read_dtype(name, *dtype);
    const auto extents = numbers(*shape);
    if (!extents || extents->size() > kMaxDimensions) {
      return faults_.add(ExitCode::damaged, name, "shape: expected at most ", kMaxDimensions,
                         " whole numbers, found ", found_text(*shape));
    }
    const auto range = numbers(*offsets);
    if (!range || range->size() != 2 || (*range)[0] > (*range)[1]) {
      return faults_.add(ExitCode::damaged, name,
                         "data_offsets: expected two ascending whole numbers, found ",
                         found_text(*offsets));
    }
    if (row != nullptr) { place_tensor(name, *row, *extents, (*range)[0], (*range)[1]); }
  }

  const Row* read_dtype(const std::string& name, const Json& dtype) {
    if (!dtype.is_string()) {
      faults_.add(ExitCode::damaged, name, "dtype: expected a text, found ", found_text(dtype));
      return nullptr;
    }
    const auto row =
        std::find_if(kElementTypes.begin(), kElementTypes.end(), [&](const Row& candidate) {
          return candidate.name == dtype.get_ref<const std::string&>();
        });
    if (row != kElementTypes.end()) { return &*row; }
    faults_.add(ExitCode::unsupported, name, "unknown dtype; expected one of ", dtype_names(),
                ", found ", found_text(dtype));
    return nullptr;
  }

  // Whole numbers less than 2⁶³; nothing when it is anything else.
  static std::optional<std::vector<std::uint64_t>> numbers(const Json& list) {
    if (!list.is_array()) { return std::nullopt; }
    std::vector<std::uint64_t> values;
    for (const Json& value : list) {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) {
        return std::nullopt;
      }
      values.push_back(value.get<std::uint64_t>());
    }
    return values;
  }

  // Product of the extents; nothing when it passes kMaxElements.
  static std::optional<std::uint64_t> count(const std::vector<std::uint64_t>& extents) {
    if (std::find(extents.begin(), extents.end(), 0U) != extents.end()) { return 0; }
    std::uint64_t product = 1;
    for (const std::uint64_t extent : extents) {
      if (extent > kMaxElements / product) { return std::nullopt; }
      product *= extent;
    }
    return product;
  }

  void place_tensor(const std::string& name, const Row& row,
                    const std::vector<std::uint64_t>& extents, std::uint64_t begin,
                    std::uint64_t end) {
    const auto elements = count(extents);
    const std::vector<std::int64_t> shape(extents.begin(), extents.end());
    const std::uint64_t bits = elements.value_or(0) * row.bits;
    if (!elements || bits % 8 != 0 || bits / 8 != end - begin) {
      return faults_.add(ExitCode::damaged, name, row.name, " of shape ", shape_text(shape),
                         !elements       ? std::string(" is too large")
                         : bits % 8 != 0 ? std::string(" is not a whole number of bytes")
                                         : join_words(" takes ", bits / 8, " bytes"),
                         "; found data_offsets [", begin, ", ", end, "], ", end - begin, " bytes");
    }
    ranges_.push_back({begin, end, &name});
    if (!row.dtype) {
      others.push_back({name, join_words("a tensor of ", row.name), true});
      return;
    }
    TensorInfo& tensor = tensors.emplace_back();
    tensor.name = name;
    tensor.dtype = *row.dtype;
    tensor.shape = shape;
    tensor.offset = data_ + begin;
    tensor.bytes = end - begin;
  }

  // Each tensor begins where the one before it ends, the first at 0, and the last ends the file.
  void check_ranges() {
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t end = 0;
    const std::string* before = nullptr;
    for (const Range& range : ranges_) {
      if (range.begin != end) {
        faults_.add(ExitCode::damaged, *range.name,
                    range.begin < end ? "overlaps the tensor before it" : "leaves a hole before it",
                    before == nullptr ? "" : " (" + *before + ")", "; expected offset ", end,
                    ", found ", range.begin);
      }
      end = std::max(end, range.end);
      before = range.name;
    }
    if (!faults_.empty()) { return; }
    const std::uint64_t found = file_.size() - data_;
    require(end <= found, ExitCode::damaged, place(), "truncated; expected ", data_ + end,
            " bytes, found ", file_.size(), ": download it again");
    require(end == found, ExitCode::damaged, place(static_cast<std::int64_t>(data_ + end)),
            "bytes after the last tensor; expected ", data_ + end, " bytes, found ", file_.size());
  }

  const InputFile& file_;
  Faults faults_;
  std::uint64_t data_ = 0;  // where the data begins in the file
  std::vector<Range> ranges_;
};

}  // namespace

TensorFile read_safetensors(const std::filesystem::path& path) {
  InputFile file = InputFile::open(path);
  Reader reader(file);
  with_format(file, Expected::safetensors, [&] { reader.read(); });
  return {std::move(file), std::move(reader.tensors), {}, std::move(reader.others)};
}

}  // namespace kappascope
