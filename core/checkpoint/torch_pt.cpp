#include "core/checkpoint/torch_pt.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "core/checkpoint/pickle.h"
#include "core/checkpoint/zip.h"

namespace kappascope {
namespace {

using Kind = PickleValue::Kind;

constexpr std::uint64_t max_pickle_bytes = std::uint64_t{64} << 20;
constexpr std::size_t max_tensors = std::size_t{1} << 20;  // the largest models have 10⁵
constexpr std::uint64_t max_order_bytes = 16;
constexpr std::size_t max_dimensions = 64;  // torch's own limit
constexpr std::string_view compile_prefix = "_orig_mod.";

constexpr std::string_view rebuild_tensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view rebuild_parameter = "torch._utils _rebuild_parameter";

// Everything a checkpoint may name.
constexpr std::array<std::string_view, 10> allowed_globals = {
    rebuild_tensor,          rebuild_parameter,   "collections OrderedDict", "torch FloatStorage",
    "torch BFloat16Storage", "torch HalfStorage", "torch LongStorage",       "torch IntStorage",
    "torch ByteStorage",     "torch BoolStorage"};

std::optional<DType> storage_dtype(std::string_view global) {
  constexpr std::array<std::pair<std::string_view, DType>, 7> types = {
      {{"torch FloatStorage", DType::float32},
       {"torch BFloat16Storage", DType::bfloat16},
       {"torch HalfStorage", DType::float16},
       {"torch LongStorage", DType::int64},
       {"torch IntStorage", DType::int32},
       {"torch ByteStorage", DType::uint8},
       {"torch BoolStorage", DType::boolean}}};
  for (const auto& [name, dtype] : types) {
    if (name == global) return dtype;
  }
  return std::nullopt;
}

// Numbers of one dtype in a row, some of which are a tensor.
struct Storage {
  DType dtype = DType::float32;
  std::uint64_t offset = 0;    // in the file
  std::uint64_t elements = 0;  // they lie inside the storage's entry
};

// One .pt file while it is read. Offsets of values in the pickle are offsets in the file.
class Reader {
 public:
  explicit Reader(const InputFile& file)
      : file_(file), zip_(ZipDirectory::read(file)), name_(archive_name()), faults_(file.path()) {}

  std::vector<TensorInfo> read() {
    check_byte_order();
    const ZipEntry& entry = require_entry("data.pkl");
    require(entry.size <= max_pickle_bytes, ExitCode::unsupported, place(),
            "entry 'data.pkl' is too long; expected at most ", max_pickle_bytes, " bytes, found ",
            entry.size);
    const std::uint64_t offset = zip_.data_offset(file_, entry);
    const auto bytes = file_.read(offset, entry.size, "data.pkl");
    check_sum(entry, bytes);
    const Pickle pickle = Pickle::parse(bytes, allowed_globals, file_.path(), offset);
    pickle_ = &pickle;
    std::vector<TensorInfo> tensors = read_root(pickle.root());
    pickle_ = nullptr;
    faults_.throw_if_any();
    return tensors;
  }

 private:
  Place place() const { return {file_.path(), {}, -1}; }

  // Notes what is wrong with the value when it does not hold; reading goes on with the next tensor.
  template <typename... Parts>
  bool expect(bool holds, ExitCode code, const PickleValue& value, const Parts&... what) {
    if (!holds) faults_.add(code, tensor_, "offset ", value.offset, ": ", what...);
    return holds;
  }

  // The folder inside the archive that everything lies in.
  std::string archive_name() const {
    constexpr std::string_view suffix = "/data.pkl";
    std::optional<std::string> name;
    for (const ZipEntry& entry : zip_.entries()) {
      const std::size_t slash = entry.name.find('/');
      if (slash == 0 || slash == std::string::npos || entry.name.substr(slash) != suffix) continue;
      require(!name, ExitCode::damaged, place(), "more than one data.pkl in the archive");
      name = entry.name.substr(0, slash);
    }
    require(name.has_value(), ExitCode::damaged, place(),
            "no data.pkl in the archive; expected a file of torch.save");
    return *name;
  }

  const ZipEntry& require_entry(const std::string& part) const {
    const ZipEntry* entry = zip_.find(name_ + "/" + part);
    require(entry != nullptr, ExitCode::damaged, place(), "entry '", part, "' is missing");
    return *entry;
  }

  // Absent in files of older versions, which are little-endian.
  void check_byte_order() const {
    const ZipEntry* entry = zip_.find(name_ + "/byteorder");
    if (entry == nullptr) return;
    require(entry->size <= max_order_bytes, ExitCode::damaged, place(),
            "entry 'byteorder' is too long; found ", entry->size, " bytes");
    const auto bytes = file_.read(zip_.data_offset(file_, *entry), entry->size, "byteorder");
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    require(order != "big", ExitCode::unsupported, place(), "big-endian tensors are not read");
    require(order == "little", ExitCode::damaged, place(),
            "unknown byte order; expected little, found '", order, "'");
  }

  // torch.save can be told not to compute checksums; it then stores 0.
  void check_sum(const ZipEntry& entry, std::span<const std::byte> bytes) const {
    const auto sum = static_cast<std::uint32_t>(
        ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
    require(entry.crc32 == 0 || entry.crc32 == sum, ExitCode::damaged, place(),
            "entry 'data.pkl' has a wrong checksum; expected ", entry.crc32, ", found ", sum);
  }

  const PickleValue& at(PickleId id) const { return pickle_->at(id); }

  bool expect_kind(Kind kind, const PickleValue& value, std::string_view what) {
    return expect(value.kind == kind, ExitCode::damaged, value, what, ": expected ",
                  kind_name(kind), ", found ", kind_name(value.kind));
  }

  std::vector<TensorInfo> read_root(const PickleValue& root) {
    std::vector<TensorInfo> tensors;
    if (!expect(root.kind == Kind::dict, ExitCode::unsupported, root,
                "the checkpoint is no dict of tensors; expected a dict, found ",
                kind_name(root.kind))) {
      return tensors;
    }
    if (!expect(root.items.size() / 2 <= max_tensors, ExitCode::unsupported, root,
                "too many tensors; expected at most ", max_tensors, ", found ",
                root.items.size() / 2)) {
      return tensors;
    }
    for (std::size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = at(root.items[i]);
      tensor_ = {};
      if (!expect(key.kind == Kind::text, ExitCode::unsupported, key,
                  "a tensor's name must be a text, found ", kind_name(key.kind))) {
        continue;
      }
      tensor_ = key.text;
      if (tensor_.substr(0, compile_prefix.size()) == compile_prefix) {
        tensor_.remove_prefix(compile_prefix.size());
      }
      if (auto tensor = read_tensor(at(root.items[i + 1]))) tensors.push_back(std::move(*tensor));
    }
    return tensors;
  }

  bool is_call(const PickleValue& value, std::string_view function) const {
    return value.kind == Kind::object && value.items.size() == 2 &&
           at(value.items[0]).text == function;
  }

  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks), as it is or
  // inside _rebuild_parameter(tensor, requires_grad, backward_hooks).
  std::optional<TensorInfo> read_tensor(const PickleValue& value) {
    const PickleValue* call = &value;
    if (is_call(value, rebuild_parameter)) {
      const std::vector<PickleId>& arguments = at(value.items[1]).items;
      if (!expect(arguments.size() == 3, ExitCode::damaged, value,
                  "a parameter has 3 arguments, found ", arguments.size())) {
        return std::nullopt;
      }
      call = &at(arguments[0]);
    }
    if (!expect(is_call(*call, rebuild_tensor), ExitCode::unsupported, *call,
                "not a tensor; expected a tensor, found ", kind_name(call->kind))) {
      return std::nullopt;
    }
    const std::vector<PickleId>& arguments = at(call->items[1]).items;
    if (!expect(arguments.size() == 6, ExitCode::damaged, *call,
                "a plain tensor has 6 arguments, found ", arguments.size())) {
      return std::nullopt;
    }
    const auto storage = read_storage(at(arguments[0]));
    const auto shape = read_extents(at(arguments[2]), "shape");
    const auto strides = read_extents(at(arguments[3]), "strides");
    const PickleValue& offset = at(arguments[1]);
    if (!storage || !shape || !strides || !expect_kind(Kind::integer, offset, "storage offset")) {
      return std::nullopt;
    }
    return place_tensor(*storage, offset, *shape, *strides);
  }

  // Elements [offset, offset + product of shape) of the storage.
  std::optional<TensorInfo> place_tensor(const Storage& storage, const PickleValue& offset,
                                         const std::vector<std::int64_t>& shape,
                                         const std::vector<std::int64_t>& strides) {
    const auto elements = count_elements(shape);
    const auto first = static_cast<std::uint64_t>(offset.integer);
    if (!expect(elements && offset.integer >= 0 && first <= storage.elements &&
                    *elements <= storage.elements - first,
                ExitCode::damaged, offset, "lies outside its storage; expected at most ",
                storage.elements, " elements, found shape ", shape_text(shape), " from ",
                offset.integer)) {
      return std::nullopt;
    }
    if (!expect(strides.size() == shape.size(), ExitCode::damaged, offset, "has ", shape.size(),
                " axes; expected as many strides, found ", strides.size()) ||
        !expect(stays_inside(shape, strides, storage.elements - first), ExitCode::damaged, offset,
                "leaves its storage; shape ", shape_text(shape), ", strides ",
                shape_text(strides))) {
      return std::nullopt;
    }
    if (!expect(is_contiguous(shape, strides, *elements), ExitCode::unsupported, offset,
                "not contiguous; shape ", shape_text(shape), ", strides ", shape_text(strides))) {
      return std::nullopt;
    }
    const std::uint64_t width = dtype_bytes(storage.dtype);
    TensorInfo tensor;
    tensor.name = tensor_;
    tensor.dtype = storage.dtype;
    tensor.shape = shape;
    tensor.offset = storage.offset + first * width;
    tensor.bytes = *elements * width;
    // Mapped numbers are read where they lie.
    if (!expect(tensor.offset % width == 0 || tensor.bytes == 0, ExitCode::damaged, offset,
                "data at offset ", tensor.offset, " is not aligned to ", width, " bytes")) {
      return std::nullopt;
    }
    return tensor;
  }

  // Product of the extents; nothing when it passes 2⁶³.
  static std::optional<std::uint64_t> count_elements(const std::vector<std::int64_t>& shape) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
    std::int64_t product = 1;
    for (const std::int64_t extent : shape) {
      if (__builtin_mul_overflow(product, extent, &product)) return std::nullopt;
    }
    return static_cast<std::uint64_t>(product);
  }

  // Whether the strides reach none but the `left` elements from the first one.
  static bool stays_inside(const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides, std::uint64_t left) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return true;
    std::int64_t furthest = 0, reach = 0;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (__builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach) || reach < 0 ||
          __builtin_add_overflow(furthest, reach, &furthest)) {
        return false;
      }
    }
    return static_cast<std::uint64_t>(furthest) < left;
  }

  // Row-major without gaps. An axis of extent 1 may have any stride. The product of the extents
  // fits: count_elements was asked first.
  static bool is_contiguous(const std::vector<std::int64_t>& shape,
                            const std::vector<std::int64_t>& strides, std::uint64_t elements) {
    if (elements == 0) return true;
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] == 1) continue;
      if (strides[axis] != step) return false;
      step *= shape[axis];
    }
    return true;
  }

  std::optional<std::vector<std::int64_t>> read_extents(const PickleValue& value,
                                                        std::string_view what) {
    if (!expect_kind(Kind::tuple, value, what)) return std::nullopt;
    if (!expect(value.items.size() <= max_dimensions, ExitCode::damaged, value, what,
                ": expected at most ", max_dimensions, " axes, found ", value.items.size())) {
      return std::nullopt;
    }
    std::vector<std::int64_t> extents;
    for (const PickleId id : value.items) {
      const PickleValue& extent = at(id);
      if (!expect_kind(Kind::integer, extent, what) ||
          !expect(extent.integer >= 0, ExitCode::damaged, extent, what,
                  ": expected no negative number, found ", extent.integer)) {
        return std::nullopt;
      }
      extents.push_back(extent.integer);
    }
    return extents;
  }

  // The persistent id ("storage", type, key, location, elements).
  std::optional<Storage> read_storage(const PickleValue& value) {
    if (!expect_kind(Kind::persistent, value, "storage")) return std::nullopt;
    const PickleValue& id = at(value.items[0]);
    if (!expect(id.kind == Kind::tuple && id.items.size() == 5 &&
                    at(id.items[0]).kind == Kind::text && at(id.items[0]).text == "storage",
                ExitCode::damaged, id, "unknown persistent id; expected a storage")) {
      return std::nullopt;
    }
    const PickleValue& type = at(id.items[1]);
    const PickleValue& key = at(id.items[2]);
    const PickleValue& elements = at(id.items[4]);
    const auto dtype = type.kind == Kind::global ? storage_dtype(type.text) : std::nullopt;
    if (!expect(dtype.has_value(), ExitCode::damaged, type, "storage of an unknown type") ||
        !expect_kind(Kind::text, key, "storage key") ||
        !expect_kind(Kind::integer, elements, "storage size")) {
      return std::nullopt;
    }
    const ZipEntry* entry = zip_.find(name_ + "/data/" + std::string(key.text));
    if (!expect(entry != nullptr, ExitCode::damaged, key, "storage '", key.text,
                "' is missing in the archive")) {
      return std::nullopt;
    }
    const auto count = static_cast<std::uint64_t>(elements.integer);
    const std::uint64_t capacity = entry->size / dtype_bytes(*dtype);
    if (!expect(elements.integer >= 0 && count <= capacity, ExitCode::damaged, elements,
                "storage '", key.text, "' is too short; expected ", elements.integer,
                " elements of ", dtype_name(*dtype), ", found ", capacity)) {
      return std::nullopt;
    }
    return Storage{*dtype, storage_offset(*entry), count};
  }

  // Each local header is read once, however many tensors share the storage.
  std::uint64_t storage_offset(const ZipEntry& entry) {
    const auto [place_of, is_new] = offsets_.try_emplace(&entry, 0);
    if (is_new) place_of->second = zip_.data_offset(file_, entry);
    return place_of->second;
  }

  const InputFile& file_;
  ZipDirectory zip_;
  std::string name_;
  Faults faults_;
  const Pickle* pickle_ = nullptr;
  std::string_view tensor_;  // the one at work
  std::map<const ZipEntry*, std::uint64_t> offsets_;
};

}  // namespace

TensorFile read_torch_pt(const std::filesystem::path& path) {
  InputFile file = InputFile::open(path);
  std::vector<TensorInfo> tensors = Reader(file).read();
  return TensorFile(std::move(file), std::move(tensors));
}

}  // namespace kappascope
