#include "core/checkpoint/torch_pt.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/checkpoint/deflate.h"
#include "core/checkpoint/other_format.h"
#include "core/checkpoint/pickle.h"
#include "core/checkpoint/tensor_call.h"
#include "core/checkpoint/zip.h"

namespace kappascope {
namespace {

using Kind = PickleValue::Kind;

constexpr std::uint64_t kMaxPickleBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxTensors = std::size_t{1} << 20;  // the largest models have 10⁵
constexpr std::uint64_t kMaxOrderBytes = 16;
constexpr std::size_t kMaxNameBytes = 4096;
constexpr int kMostDictDepth = 8;  // of dicts in dicts
constexpr std::size_t kMaxOthers = 10000;

// Parts that wrappers of PyTorch put into names: compiled, data-parallel, sharded, checkpointed.
constexpr std::array<std::string_view, 5> kWrapperParts = {
    "_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"};

// Numbers of one dtype in a row, some of which are a tensor.
struct Storage {
  DType dtype = DType::float32;
  std::uint64_t offset = 0;    // in the file; of a compressed entry: 0, in its contents
  std::int32_t packed = -1;    // which compressed entry
  std::uint64_t elements = 0;  // they lie inside the storage's entry
};

// One .pt file while it is read. Offsets of values in the pickle are offsets in the file.
class TorchReader {
 public:
  explicit TorchReader(const InputFile& file)
      : file_(file), zip_(ZipDirectory::read(file)), name_(archive_name()), faults_(file.path()) {}

  void read() {
    check_byte_order();
    const ZipEntry& entry = require_entry("data.pkl");
    require(entry.full_size <= kMaxPickleBytes, ExitCode::unsupported, place(),
            "entry 'data.pkl' is too long; expected at most ", kMaxPickleBytes, " bytes, found ",
            entry.full_size);
    const std::uint64_t offset = zip_.stored_offset(file_, entry);
    const auto bytes = contents(entry, offset, "data.pkl");
    check_sum(entry, bytes);
    const Pickle pickle = Pickle::parse_any(bytes, kTorchGlobals, file_.path(), offset);
    pickle_ = &pickle;
    name_bytes_left_ = 4 * bytes.size() + (1U << 20);
    read_root(pickle.root());
    pickle_ = nullptr;
    faults_.throw_if_any();
  }

  std::vector<TensorInfo> tensors;
  std::vector<PackedEntry> packed;
  std::vector<OtherMember> others;  // at most kMaxOthers
  std::set<std::string> wrappers;   // parts left out of names

 private:
  Place place() const { return {file_.path(), {}, -1}; }

  // Notes what is wrong with the value when it does not hold; reading goes on with the next tensor.
  template <typename... Parts>
  bool expect(bool holds, ExitCode code, const PickleValue& value, const Parts&... what) {
    if (!holds) { faults_.add(code, tensor_, "offset ", value.offset, ": ", what...); }
    return holds;
  }

  // The folder inside the archive that everything lies in.
  std::string archive_name() const {
    constexpr std::string_view kSuffix = "/data.pkl";
    std::optional<std::string> name;
    for (const ZipEntry& entry : zip_.entries()) {
      const std::size_t slash = entry.name.find('/');
      if (slash == 0 || slash == std::string::npos || entry.name.substr(slash) != kSuffix) {
        continue;
      }
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
    if (entry == nullptr) { return; }
    require(entry->full_size <= kMaxOrderBytes, ExitCode::damaged, place(),
            "entry 'byteorder' is too long; found ", entry->full_size, " bytes");
    const auto bytes = contents(*entry, zip_.stored_offset(file_, *entry), "byteorder");
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    require(order != "big", ExitCode::unsupported, place(), "big-endian tensors are not read");
    require(order == "little", ExitCode::damaged, place(),
            "unknown byte order; expected little, found '", order, "'");
  }

  // All of an entry, which torch.save stores as it is and other tools compress.
  std::vector<std::byte> contents(const ZipEntry& entry, std::uint64_t offset,
                                  std::string_view what) const {
    if (entry.method == 0) { return file_.read(offset, entry.size, what); }
    check_deflated(entry, place());
    std::vector<std::byte> bytes(entry.full_size);
    inflate(file_, offset, entry, bytes, place());
    return bytes;
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

  void read_root(const PickleValue& root) {
    const bool dict = root.kind == Kind::dict;
    require(dict, ExitCode::unsupported, place(), "the checkpoint is not a dict of tensors; found ",
            description(root), "; save model.state_dict() instead");
    read_dict(root, "", 0);
  }

  // Dicts in dicts become names with dots; each dict is read once, however often it is referred to.
  void read_dict(const PickleValue& dict, const std::string& prefix, int depth) {
    if (!seen_.insert(&dict).second) { return; }
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      tensor_ = {};
      const PickleValue& key = at(dict.items[i]);
      const PickleValue& value = at(dict.items[i + 1]);
      const bool named = key.kind == Kind::text || key.kind == Kind::integer;
      if (!named) { continue; }
      const std::string name = without_wrappers(
          prefix + (key.kind == Kind::text ? std::string(key.text.substr(0, kMaxNameBytes + 1))
                                           : std::to_string(key.integer)));
      if (!room_for(name)) { return; }
      tensor_ = name;
      if (value.kind == Kind::dict && depth < kMostDictDepth) {
        read_dict(value, name + ".", depth + 1);
      } else {
        read_member(value);
      }
    }
  }

  // A few bytes of a pickle may stand for a long name, and for many.
  bool room_for(const std::string& name) {
    const PickleValue& root = pickle_->root();
    const bool fits = name.size() <= kMaxNameBytes && name.size() <= name_bytes_left_;
    if (!expect(fits, ExitCode::unsupported, root, "names too long or too many")) { return false; }
    name_bytes_left_ -= name.size();
    return expect(tensors.size() < kMaxTensors, ExitCode::unsupported, root,
                  "too many tensors; expected at most ", kMaxTensors);
  }

  std::string without_wrappers(std::string name) {
    for (std::size_t begin = 0; begin < name.size();) {
      const std::size_t end = name.find('.', begin);
      if (end == name.npos) { break; }
      const std::string part = name.substr(begin, end - begin);
      if (std::find(kWrapperParts.begin(), kWrapperParts.end(), part) == kWrapperParts.end()) {
        begin = end + 1;
        continue;
      }
      wrappers.insert(part);
      name.erase(begin, part.size() + 1);
    }
    return name;
  }

  void read_member(const PickleValue& value) {
    std::string broken;
    const auto call = read_tensor_call(*pickle_, value, broken);
    if (!expect(broken.empty(), ExitCode::damaged, value, broken)) { return; }
    if (!call) { return add_other(description(value), false); }
    if (!call->other.empty()) { return add_other(std::string(call->other), true); }
    if (auto tensor = read_tensor(*call)) { tensors.push_back(std::move(*tensor)); }
  }

  void add_other(std::string what, bool tensor) {
    if (others.size() < kMaxOthers) {
      others.push_back({std::string(tensor_), std::move(what), tensor});
    }
  }

  static std::string description(const PickleValue& value) {
    if (value.kind == Kind::opaque) { return join_words("an object of class ", value.text); }
    return std::string(kind_name(value.kind));
  }

  // Nothing: a fault was noted, or it has become one of the others.
  std::optional<TensorInfo> read_tensor(const TensorCall& call) {
    const auto storage = read_storage(*call.storage, call.dtype);
    if (!storage) { return std::nullopt; }
    const auto shape = read_extents(*call.shape, "shape");
    const auto strides = read_extents(*call.strides, "strides");
    if (!shape || !strides || !expect_kind(Kind::integer, *call.offset, "storage offset")) {
      return std::nullopt;
    }
    return place_tensor(*storage, *call.offset, *shape, *strides);
  }

  // The elements that shape and strides reach from `offset` on.
  std::optional<TensorInfo> place_tensor(const Storage& storage, const PickleValue& offset,
                                         const std::vector<std::int64_t>& shape,
                                         const std::vector<std::int64_t>& strides) {
    const std::uint64_t width = dtype_bytes(storage.dtype);
    const auto elements = count_elements(shape);
    const auto first = static_cast<std::uint64_t>(offset.integer);
    if (!expect(strides.size() == shape.size(), ExitCode::damaged, offset, "has ", shape.size(),
                " axes; expected as many strides, found ", strides.size()) ||
        !expect(elements && *elements < (std::uint64_t{1} << 63) / width && offset.integer >= 0 &&
                    first <= storage.elements &&
                    stays_inside(shape, strides, storage.elements - first),
                ExitCode::damaged, offset, "leaves its storage; expected at most ",
                storage.elements, " elements, found shape ", shape_text(shape), ", strides ",
                shape_text(strides), " from ", offset.integer)) {
      return std::nullopt;
    }
    TensorInfo tensor;
    tensor.name = tensor_;
    tensor.dtype = storage.dtype;
    tensor.shape = shape;
    tensor.offset = storage.offset + first * width;
    tensor.packed = storage.packed;
    tensor.bytes = *elements * width;
    if (!is_contiguous(shape, strides, *elements)) { tensor.strides = strides; }
    return tensor;
  }

  // Product of the extents; nothing when it passes 2⁶³.
  static std::optional<std::uint64_t> count_elements(const std::vector<std::int64_t>& shape) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) { return 0; }
    std::int64_t product = 1;
    for (const std::int64_t extent : shape) {
      if (__builtin_mul_overflow(product, extent, &product)) { return std::nullopt; }
    }
    return static_cast<std::uint64_t>(product);
  }

  // Whether the strides reach none but the `left` elements from the first one.
  static bool stays_inside(const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides, std::uint64_t left) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) { return true; }
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
    if (elements == 0) { return true; }
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] == 1) { continue; }
      if (strides[axis] != step) { return false; }
      step *= shape[axis];
    }
    return true;
  }

  std::optional<std::vector<std::int64_t>> read_extents(const PickleValue& value,
                                                        std::string_view what) {
    if (!expect_kind(Kind::tuple, value, what)) { return std::nullopt; }
    if (!expect(value.items.size() <= kMaxDimensions, ExitCode::damaged, value, what,
                ": expected at most ", kMaxDimensions, " axes, found ", value.items.size())) {
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

  // The persistent id ("storage", type, key, location, elements). `dtype`: of an untyped storage,
  // whose elements are bytes.
  std::optional<Storage> read_storage(const PickleValue& value, const PickleValue* dtype) {
    if (!expect_kind(Kind::persistent, value, "storage")) { return std::nullopt; }
    const PickleValue& id = at(value.items[0]);
    if (!expect(id.kind == Kind::tuple && id.items.size() >= 5 &&
                    at(id.items[0]).kind == Kind::text && at(id.items[0]).text == "storage",
                ExitCode::damaged, id, "unknown persistent id; expected a storage")) {
      return std::nullopt;
    }
    const PickleValue& type = dtype != nullptr ? *dtype : at(id.items[1]);
    if (!expect(type.kind == Kind::global, ExitCode::damaged, type,
                "storage of an unknown type; expected a class, found ", kind_name(type.kind))) {
      return std::nullopt;
    }
    const auto is = dtype_of(type.text);
    if (!is) {
      add_other("a tensor of " + number_name(type.text), true);
      return std::nullopt;
    }
    return find_storage(*is, at(id.items[2]), at(id.items[4]), dtype != nullptr);
  }

  std::optional<Storage> find_storage(DType dtype, const PickleValue& key,
                                      const PickleValue& elements, bool untyped) {
    const ZipEntry* entry = zip_.find(name_ + "/data/" + std::string(key.text));
    if (!expect_kind(Kind::text, key, "storage key") ||
        !expect_kind(Kind::integer, elements, "storage size") ||
        !expect(entry != nullptr, ExitCode::damaged, key, "storage '", key.text,
                "' is missing in the archive")) {
      return std::nullopt;
    }
    const auto said = static_cast<std::uint64_t>(elements.integer);
    const std::uint64_t width = dtype_bytes(dtype), capacity = entry->full_size / width;
    const std::uint64_t count = said / (untyped ? width : 1), bytes = said * (untyped ? 1 : width);
    if (!expect(elements.integer >= 0 && count <= capacity, ExitCode::damaged, elements,
                "storage '", key.text, "' is too short; expected ", elements.integer,
                " elements of ", dtype_name(dtype), ", found ", capacity) ||
        !expect(entry->full_size == bytes, ExitCode::damaged, elements, "storage '", key.text,
                "' is too long; expected ", bytes, " bytes, found ", entry->full_size)) {
      return std::nullopt;
    }
    if (entry->method != 0) { return Storage{dtype, 0, packed_index(*entry), count}; }
    return Storage{dtype, storage_offset(*entry), -1, count};
  }

  // Each local header is read once, however many tensors share the storage.
  std::uint64_t storage_offset(const ZipEntry& entry) {
    const auto [place_of, is_new] = offsets_.try_emplace(&entry, 0);
    if (is_new) { place_of->second = zip_.data_offset(file_, entry); }
    return place_of->second;
  }

  std::int32_t packed_index(const ZipEntry& entry) {
    const auto index = static_cast<std::int32_t>(packed.size());
    const auto [place_of, is_new] = packed_.try_emplace(&entry, index);
    if (is_new) {
      check_deflated(entry, place());
      packed.push_back({entry, zip_.stored_offset(file_, entry)});
    }
    return place_of->second;
  }

  const InputFile& file_;
  ZipDirectory zip_;
  std::string name_;
  Faults faults_;
  const Pickle* pickle_ = nullptr;
  std::string_view tensor_;  // the one at work
  std::map<const ZipEntry*, std::uint64_t> offsets_;
  std::map<const ZipEntry*, std::int32_t> packed_;
  std::set<const PickleValue*> seen_;  // dicts
  std::uint64_t name_bytes_left_ = 0;
};

}  // namespace

TensorFile read_torch_pt(const std::filesystem::path& path) {
  InputFile file = InputFile::open(path);
  std::optional<TorchReader> reader;
  with_format(file, Expected::torch_archive, [&] { reader.emplace(file).read(); });
  return TensorFile(std::move(file), std::move(reader->tensors), std::move(reader->packed),
                    std::move(reader->others), std::move(reader->wrappers));
}

}  // namespace kappascope
