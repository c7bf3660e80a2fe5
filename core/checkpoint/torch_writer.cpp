#include "core/checkpoint/torch_writer.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

namespace kappascope {
namespace {

constexpr std::uint64_t kFull32 = 0xffffffff;
constexpr std::uint64_t kAlignment = 64;

// Little-endian numbers and texts, one after another.
class Packed {
 public:
  Packed& u16(std::uint64_t value) { return little(value, 2); }
  Packed& u32(std::uint64_t value) { return little(value, 4); }
  Packed& u64(std::uint64_t value) { return little(value, 8); }
  Packed& text(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Packed& little(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) { bytes_ += static_cast<char>(value >> (8 * i) & 0xff); }
    return *this;
  }
  std::string bytes_;
};

// A ZIP archive in the making. (PKWARE APPNOTE 6.3.10; the order of fields is that of torch.save.)
class Archive {
 public:
  explicit Archive(const std::filesystem::path& path)
      : path_(path.string()), file_(std::fopen(path_.c_str(), "wb"), &std::fclose) {
    if (!file_) { io_error("cannot be created"); }
  }

  void begin(const std::string& name, std::uint64_t size) {
    entry_ = Entry{name, offset_, size, 0};
    Packed extra;  // of sizes past 32 bits, then 'FB' padding up to the boundary
    if (entry_.wide()) {
      extra.u16(1).u16(entry_.wide_bytes());
      if (size >= kFull32) { extra.u64(size).u64(size); }
      if (entry_.offset >= kFull32) { extra.u64(entry_.offset); }
    }
    const std::uint64_t start = offset_ + 30 + name.size() + extra.bytes().size() + 4;
    const std::uint64_t padding = (kAlignment - start % kAlignment) % kAlignment;
    extra.text("FB").u16(padding).text(std::string(padding, 'Z'));
    Packed header;  // sizes and checksum follow the data: flag bit 3
    header.u32(0x04034b50).u16(0).u16(kFlags).u16(0).u16(0).u16(0).u32(0).u32(0).u32(0);
    header.u16(name.size()).u16(extra.bytes().size()).text(name).text(extra.bytes());
    write(header.bytes());
    left_ = size;
  }

  void data(Bytes piece) {
    require(piece.size() <= left_, ExitCode::internal, Place{path_, entry_.name, -1},
            "more data than the entry holds");
    left_ -= piece.size();
    const auto* first = reinterpret_cast<const Bytef*>(piece.data());
    entry_.crc = ::crc32_z(entry_.crc, first, piece.size());
    write({reinterpret_cast<const char*>(piece.data()), piece.size()});
  }

  // Leaves the rest of the entry as a hole.
  void skip() {
    offset_ += left_;
    left_ = 0;
    if (::fseeko(file_.get(), static_cast<off_t>(offset_), SEEK_SET) != 0) {
      io_error("seek failed");
    }
  }

  void end() {
    require(left_ == 0, ExitCode::internal, Place{path_, entry_.name, -1},
            "less data than the entry holds");
    Packed descriptor;
    descriptor.u32(0x08074b50).u32(entry_.crc);
    if (entry_.wide()) {
      descriptor.u64(entry_.size).u64(entry_.size);
    } else {
      descriptor.u32(entry_.size).u32(entry_.size);
    }
    write(descriptor.bytes());
    entries_.push_back(std::move(entry_));
  }

  void whole(const std::string& name, std::string_view content) {
    begin(name, content.size());
    data(std::as_bytes(std::span(content)));
    end();
  }

  void finish() {
    const std::uint64_t directory = offset_;
    for (const Entry& entry : entries_) { write(directory_record(entry)); }
    const std::uint64_t size = offset_ - directory, count = entries_.size();
    if (directory >= kFull32 || size >= kFull32 || count >= 0xffff) {
      const std::uint64_t record = offset_;
      Packed wide;
      wide.u32(0x06064b50).u64(44).u16(0x031e).u16(45).u32(0).u32(0);
      wide.u64(count).u64(count).u64(size).u64(directory);
      wide.u32(0x07064b50).u32(0).u64(record).u32(1);
      write(wide.bytes());
    }
    const auto short_count = std::min<std::uint64_t>(count, 0xffff);
    Packed end;
    end.u32(0x06054b50).u16(0).u16(0).u16(short_count).u16(short_count);
    end.u32(std::min(size, kFull32)).u32(std::min(directory, kFull32)).u16(0);
    write(end.bytes());
    if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) {
      io_error("cannot be written");
    }
  }

 private:
  static constexpr std::uint64_t kFlags = 0x0808;  // sizes after the data; names are UTF-8

  struct Entry {
    std::string name;
    std::uint64_t offset = 0, size = 0;
    unsigned long crc = 0;
    bool wide() const { return size >= kFull32 || offset >= kFull32; }
    std::uint64_t wide_bytes() const {
      return (size >= kFull32 ? 16u : 0u) + (offset >= kFull32 ? 8u : 0u);
    }
  };

  static std::string directory_record(const Entry& entry) {
    Packed extra;
    if (entry.wide()) {
      extra.u16(1).u16(entry.wide_bytes());
      if (entry.size >= kFull32) { extra.u64(entry.size).u64(entry.size); }
      if (entry.offset >= kFull32) { extra.u64(entry.offset); }
    }
    const std::uint64_t size = std::min(entry.size, kFull32);
    Packed record;
    record.u32(0x02014b50).u16(0).u16(0).u16(kFlags).u16(0).u16(0).u16(0).u32(entry.crc);
    record.u32(size).u32(size).u16(entry.name.size()).u16(extra.bytes().size()).u16(0);
    record.u16(0).u16(0).u32(0).u32(std::min(entry.offset, kFull32));
    return record.text(entry.name).text(extra.bytes()).bytes();
  }

  void write(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
      io_error("cannot be written");
    }
    offset_ += bytes.size();
  }

  [[noreturn]] void io_error(const char* what) const {
    fail(ExitCode::io, Place{path_, {}, -1}, what, ": ", std::strerror(errno));
  }

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::uint64_t offset_ = 0, left_ = 0;
  Entry entry_;
  std::vector<Entry> entries_;
};

// Opcodes of one pickle. Values that come again are fetched from the memo.
class Pickler {
 public:
  Packed out;

  void op(char code) { out.text({&code, 1}); }
  void text(std::string_view value) {
    op('X');
    out.u32(value.size()).text(value);
  }
  void integer(std::int64_t value) {
    if (value < 256) {
      op('K');
      out.text(std::string(1, static_cast<char>(value)));
    } else if (value < 65536) {
      op('M');
      out.u16(static_cast<std::uint64_t>(value));
    } else if (value <= 0x7fffffff) {
      op('J');
      out.u32(static_cast<std::uint64_t>(value));
    } else {
      out.text("\x8a\x08").u64(static_cast<std::uint64_t>(value));
    }
  }
  void tuple(const std::vector<std::int64_t>& values) {
    op('(');
    for (const std::int64_t value : values) { integer(value); }
    op('t');
  }
  // `make` puts the value on the stack; `key` names it the next time.
  void shared(const std::string& key, const std::function<void()>& make) {
    const auto [place, fresh] = memo_.emplace(key, memo_.size());
    if (fresh) { make(); }
    op(fresh ? 'q' : 'h');
    out.text(std::string(1, static_cast<char>(place->second)));
  }
  void global(const std::string& module, const std::string& name) {
    shared(module + name, [&] { out.text("c" + module + "\n" + name + "\n"); });
  }
  void shared_text(const std::string& value) {
    shared("text " + value, [&] { text(value); });
  }

 private:
  std::map<std::string, std::size_t> memo_;
};

const char* storage_class(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "FloatStorage";
    case DType::bfloat16:
      return "BFloat16Storage";
    case DType::float16:
      return "HalfStorage";
    case DType::int64:
      return "LongStorage";
    case DType::int32:
      return "IntStorage";
    case DType::uint8:
      return "ByteStorage";
    case DType::boolean:
      return "BoolStorage";
    case DType::float64:
      return "DoubleStorage";
    case DType::int8:
      return "CharStorage";
    case DType::int16:
      return "ShortStorage";
    default:
      fail(ExitCode::internal, {}, dtype_name(dtype), ": no storage of torch.save");
  }
}

std::int64_t elements(const TorchTensor& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.shape) { count *= extent; }
  return count;
}

// _rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())
void pickle_tensor(Pickler& pickler, const TorchTensor& tensor, std::size_t key) {
  std::vector<std::int64_t> stride(tensor.shape.size(), 1);
  for (std::size_t axis = stride.size(); axis-- > 1;) {
    stride[axis - 1] = stride[axis] * tensor.shape[axis];
  }
  pickler.global("torch._utils", "_rebuild_tensor_v2");
  pickler.out.text("((");
  pickler.shared_text("storage");
  pickler.global("torch", storage_class(tensor.dtype));
  pickler.text(std::to_string(key));
  pickler.shared_text("cpu");
  pickler.integer(elements(tensor));
  pickler.out.text("tQ");
  pickler.integer(0);
  pickler.tuple(tensor.shape);
  pickler.tuple(stride);
  pickler.op('\x89');
  pickler.global("collections", "OrderedDict");
  pickler.out.text(")RtR");
}

void write_archive(const std::filesystem::path& path, const std::string& pickle,
                   const std::vector<TorchTensor>& tensors, const TensorBytes& bytes) {
  Archive archive(path);
  const std::string head = path.stem().string() + "/";
  archive.whole(head + "data.pkl", pickle);
  archive.whole(head + ".format_version", "1");
  archive.whole(head + ".storage_alignment", "64");
  archive.whole(head + "byteorder", "little");
  for (std::size_t key = 0; key < tensors.size(); ++key) {
    const TorchTensor& tensor = tensors[key];
    archive.begin(head + "data/" + std::to_string(key),
                  static_cast<std::uint64_t>(elements(tensor)) * dtype_bytes(tensor.dtype));
    if (bytes) {
      bytes(tensor, [&](Bytes piece) { archive.data(piece); });
    } else {
      archive.skip();
    }
    archive.end();
  }
  archive.whole(head + "version", "3\n");
  archive.whole(head + ".data/serialization_id", std::string(40, '0'));
  archive.finish();
}

}  // namespace

std::string torch_pickle(const std::vector<TorchTensor>& tensors) {
  Pickler pickler;
  pickler.out.text("\x80\x02}(");
  for (std::size_t key = 0; key < tensors.size(); ++key) {
    pickler.text(tensors[key].name);
    pickle_tensor(pickler, tensors[key], key);
  }
  pickler.out.text("u.");
  return pickler.out.bytes();
}

void write_torch_pt(const std::filesystem::path& path, const std::vector<TorchTensor>& tensors,
                    const TensorBytes& bytes) {
  write_archive(path, torch_pickle(tensors), tensors, bytes);
}

void write_torch_tensor(const std::filesystem::path& path, const TorchTensor& tensor,
                        const TensorBytes& bytes) {
  Pickler pickler;
  pickler.out.text("\x80\x02");
  pickle_tensor(pickler, tensor, 0);
  pickler.op('.');
  write_archive(path, pickler.out.bytes(), {tensor}, bytes);
}

}  // namespace kappascope
