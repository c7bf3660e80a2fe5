// Files of torch.save: archives that lie, pickles that are programs, storages and views of them.
#include "core/checkpoint/torch_pt.h"
#include "tests/refused/refused.h"
#include "tests/unit/packed.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope::refused {
namespace {

using namespace testing::pickled;
using testing::checkpoint_entries;
using testing::checkpoint_of;
using testing::checkpoint_pickle;
using testing::number;
using testing::tiny_checkpoint;
using testing::tiny_zip;
using testing::TinyEntry;

auto archive(const std::string& bytes) {
  return file_row("model.pt", bytes, read_torch_pt);
}
auto archive(const testing::TinyZip& zip) {
  return archive(zip.flat());
}
// An archive that is sound but for one entry.
template <typename Change>
auto entry(std::size_t index, const Change& change) {
  return [=](const TempFolder& folder) {
    std::vector<TinyEntry> entries = checkpoint_entries(checkpoint_pickle());
    change(entries[index]);
    return archive(tiny_zip(entries))(folder);
  };
}
// One that is sound but for `bytes` at `offset` from its end.
auto patched(std::size_t from_end, const std::string& bytes) {
  std::string whole = tiny_checkpoint().flat();
  return archive(whole.replace(whole.size() - from_end, bytes.size(), bytes));
}
auto cut(std::size_t from_end) {
  const std::string whole = tiny_checkpoint().flat();
  return archive(whole.substr(0, whole.size() - from_end));
}
auto pickle(const std::string& opcodes) {
  return archive(tiny_checkpoint("\x80\x02" + opcodes + "."));
}
auto tensor_of(const Tensor& tensor) {
  return archive(checkpoint_of(testing::pickled::tensor(tensor)));
}
// The same tensor under two names.
auto twice(const std::string& first, const std::string& second) {
  const std::string tensor = testing::pickled::tensor({});
  return pickle(dict({text(first), tensor, text(second), tensor}));
}
// A tensor whose storage is of these opcodes.
auto storage_of(const std::string& storage) {
  return archive(checkpoint_of(
      call(global("torch._utils", "_rebuild_tensor_v2"),
           tuple({storage, integer(0), integers({1}), integers({1}), "\x89", ordered_dict()}))));
}

// A deflated entry that says it holds `said` bytes and holds `held`.
TinyEntry deflated(const std::string& name, const std::string& contents) {
  TinyEntry made;
  made.name = name;
  made.data = testing::deflated_of(contents, -MAX_WBITS);
  made.method = 8;
  return made;
}

Rows archive_rows() {
  return {
      {"empty archive", archive(std::string()),
       "3 DIR/model.pt: zip: too short for an end record; expected 22 bytes, found 0"},
      {"one byte of an archive", archive(std::string("P")),
       "3 DIR/model.pt: zip: too short for an end record; expected 22 bytes, found 1"},
      {"cut in the end record", cut(1),
       "3 DIR/model.pt: offset 1385: zip: no end record; the file is truncated or no ZIP: make or "
       "download it again"},
      {"cut in the long end record", cut(60),
       "3 DIR/model.pt: offset 1326: zip: no end record; the file is truncated or no ZIP: make or "
       "download it again"},
      {"cut in the data", archive(tiny_checkpoint().flat().substr(0, 300)),
       "3 DIR/model.pt: offset 278: zip: no end record; the file is truncated or no ZIP: make or "
       "download it again"},
      {"bytes after the archive", archive(tiny_checkpoint().flat() + "x"),
       "3 DIR/model.pt: offset 1387: zip: no end record; the file is truncated or no ZIP: make or "
       "download it again"},
      {"comment in the end record", patched(2, number(1, 2)),
       "3 DIR/model.pt: offset 1386: zip: an archive comment is not expected"},
      {"another disk", patched(18, number(1, 2)),
       "3 DIR/model.pt: offset 1386: zip: archives of several disks are not read"},
      {"number of entries is a lie", patched(12, number(9, 2)),
       "3 DIR/model.pt: offset 1386: zip: the two end records disagree"},
      {"directory beyond the file", patched(6, number(0xFFFFFF00, 4)),
       "3 DIR/model.pt: offset 1386: zip: the two end records disagree"},
      {"directory of 4 GB", patched(10, number(0xFFFFFF00, 4)),
       "3 DIR/model.pt: offset 1386: zip: the two end records disagree"},
      {"long directory near 2^64", patched(22 + 20 + 8, number(~std::uint64_t{7}, 8)),
       "3 DIR/model.pt: offset 1386: zip: the two end records disagree"},
      {"locator that points elsewhere", patched(22 + 12, number(3, 8)),
       "3 DIR/model.pt: offset 1366: zip: the ZIP64 end record is out of place"},
      {"entry larger than its place", entry(2, [](TinyEntry& e) { e.size = 1000; }),
       "3 DIR/model.pt: zip: entry 'tiny/data/0' overlaps what follows it; expected at most 728, "
       "found 646 + 1000"},
      {"entry near 2^63", entry(2, [](TinyEntry& e) { e.size = (std::uint64_t{1} << 63) - 1; }),
       "3 DIR/model.pt: zip: entry 'tiny/data/0' overlaps what follows it; expected at most 728, "
       "found 646 + 9223372036854775807"},
      {"entry of 2^64 - 40", entry(2, [](TinyEntry& e) { e.size = ~std::uint64_t{39}; }),
       "3 DIR/model.pt: zip: entry 'tiny/data/0' overlaps what follows it; expected at most 728, "
       "found 646 + 18446744073709551576"},
      {"local header beyond the file", entry(2, [](TinyEntry& e) { e.header_offset = 1U << 30; }),
       "3 DIR/model.pt: zip: entry 'tiny/data/0' overlaps what follows it; expected at most 962, "
       "found 1073741824 + 24"},
      {"local header of another entry", entry(2, [](TinyEntry& e) { e.header_offset = 64; }),
       "3 DIR/model.pt: zip: entry 'tiny/data.pkl' overlaps what follows it; expected at most 64, "
       "found 0 + 509"}};
}

Rows archive_entry_rows() {
  const auto name = [](const char* text) { return [=](TinyEntry& e) { e.name = text; }; };
  const auto data = [](const char* text) { return [=](TinyEntry& e) { e.data = text; }; };
  return {
      {"encrypted entry", entry(2, [](TinyEntry& e) { e.flags |= 1; }),
       "3 DIR/model.pt: offset 1081: zip: entry 'tiny/data/0' is encrypted or on another disk"},
      {"unknown compression", entry(2, [](TinyEntry& e) { e.method = 99; }),
       "4 DIR/model.pt: compression of 'tiny/data/0'; expected method 0 (stored) or 8 (deflate), "
       "found 99"},
      {"wrong checksum of the pickle", entry(0, [](TinyEntry& e) { e.crc = 1; }),
       "3 DIR/model.pt: entry 'data.pkl' has a wrong checksum; expected 1, found 2718475150"},
      {"duplicate entry", entry(3, name("tiny/data/0")),
       "3 DIR/model.pt: zip: duplicate entry 'tiny/data/0'"},
      {"entry without a name", entry(5, name("")),
       "3 DIR/model.pt: offset 1252: zip: an entry name that is not valid UTF-8"},
      {"entry name that is no UTF-8", entry(5, name("tiny/\xff")),
       "3 DIR/model.pt: offset 1252: zip: an entry name that is not valid UTF-8"},
      {"no data.pkl", entry(0, name("tiny/other.pkl")),
       "3 DIR/model.pt: no data.pkl in the archive; expected a file of torch.save"},
      {"two pickles", entry(5, name("other/data.pkl")),
       "3 DIR/model.pt: more than one data.pkl in the archive"},
      {"big-endian tensors", entry(1, data("big")),
       "4 DIR/model.pt: big-endian tensors are not read"},
      {"unknown byte order", entry(1, data("odd")),
       "3 DIR/model.pt: unknown byte order; expected little, found 'odd'"},
      {"long byte order", entry(1, data("little and long beyond all use")),
       "3 DIR/model.pt: entry 'byteorder' is too long; found 30 bytes"},
      {"pickle of 65 MB", entry(0, [](TinyEntry& e) { e.hole = 65U << 20; }),
       "4 DIR/model.pt: entry 'data.pkl' is too long; expected at most 67108864 bytes, found "
       "68157949"},
      {"storage that is not there", entry(2, name("tiny/data/7")),
       "3 DIR/model.pt: tensor weight: offset 146: storage '0' is missing in the archive"},
      {"deflate bomb",
       entry(0, [](TinyEntry& e) { e = deflated("tiny/data.pkl", std::string(48U << 20, '\0')); }),
       "3 DIR/model.pt: compressed entry 'tiny/data.pkl'; expected 48924 bytes, found more"},
      {"deflate that is none", entry(0, [](TinyEntry& e) { e.method = 8; }),
       "3 DIR/model.pt: compressed entry 'tiny/data.pkl'; expected 509 bytes in a whole stream, "
       "found 0"},
      {"deflated pickle that ends early",
       entry(0,
             [](TinyEntry& e) {
               e = deflated("tiny/data.pkl", checkpoint_pickle());
               e.data.resize(e.data.size() - 5);
             }),
       "3 DIR/model.pt: compressed entry 'tiny/data.pkl'; expected 193 bytes, found more"}};
}

Rows pickle_rows() {
  const std::string run = tuple({text("id")}) + "R";
  return {
      {"system", pickle("cos\nsystem\n" + run),
       "3 DIR/model.pt: offset 66: pickle: global 'os system' is not allowed"},
      {"posix system", pickle("cposix\nsystem\n0}"),
       "3 DIR/model.pt: offset 66: pickle: global 'posix system' is not allowed"},
      {"eval", pickle("cbuiltins\neval\n"),
       "3 DIR/model.pt: offset 66: pickle: global 'builtins eval' is not allowed"},
      {"system by two texts", pickle("\x8c\2os\x8c\6system\x93"),
       "3 DIR/model.pt: offset 78: pickle: global 'os system' is not allowed"},
      {"subprocess", pickle(global("subprocess", "Popen") + run),
       "3 DIR/model.pt: offset 66: pickle: global 'subprocess Popen' is not allowed"},
      {"a class within a class", pickle("ctorch\n_utils.os.system\n" + run),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found an object of class torch "
       "_utils.os.system; save model.state_dict() instead"},
      {"tensor name with terminal codes",
       pickle(dict({text("w\x1b[2J\n"), testing::pickled::tensor({.key = "9"})})),
       "3 DIR/model.pt: tensor w\\x1b[2J\\x0a: offset 146: storage '9' is missing in the archive"},
      {"INST", pickle("(ios\nsystem\n"),
       "3 DIR/model.pt: offset 67: pickle: opcode INST is not allowed"},
      {"OBJ", pickle("(o"), "3 DIR/model.pt: offset 67: pickle: opcode OBJ is not allowed"},
      {"extension registry", pickle("\x82\1"),
       "3 DIR/model.pt: offset 66: pickle: opcode EXT1 is not allowed"},
      {"STACK_GLOBAL of numbers", pickle("K\1K\2\x93"),
       "3 DIR/model.pt: offset 70: pickle: STACK_GLOBAL without two texts"},
      {"name that does not end", archive(tiny_checkpoint("\x80\2cos")),
       "3 DIR/model.pt: offset 67: pickle: ends inside a name"},
      {"empty pickle", archive(tiny_checkpoint("")),
       "3 DIR/model.pt: offset 64: pickle: ends without STOP"},
      {"pickle without its end", archive(tiny_checkpoint("\x80\2}")),
       "3 DIR/model.pt: offset 67: pickle: ends without STOP"},
      {"protocol 9", archive(tiny_checkpoint("\x80\x09}.")),
       "3 DIR/model.pt: offset 64: pickle: unknown protocol; expected 2 to 5, found 9"},
      {"text longer than the pickle", pickle("X" + number(0xFFFFFFFF, 4)),
       "3 DIR/model.pt: offset 71: pickle: ends too early; expected 4294967295 bytes, found 1"},
      {"bytes near 2^64", pickle("\x8e" + number(~std::uint64_t{0}, 8)),
       "3 DIR/model.pt: offset 75: pickle: ends too early; expected 18446744073709551615 bytes, "
       "found 1"},
      {"frame longer than the pickle", pickle("\x95" + number(1U << 30, 8) + "}"),
       "3 DIR/model.pt: offset 66: pickle: a frame is longer than the pickle"},
      {"text that is no UTF-8", pickle("X" + number(1, 4) + "\xff"),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found bytes; save "
       "model.state_dict() instead"},
      {"integer of 9 bytes", pickle("\x8a\x09" + std::string(9, 1)),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found an object of class builtins "
       "int; save model.state_dict() instead"},
      {"empty stack", pickle("a"),
       "3 DIR/model.pt: offset 66: pickle: stack underflow; expected 1 values, found 0"},
      {"value that was never kept", pickle("h\7"),
       "3 DIR/model.pt: offset 66: pickle: memo entry 7 was never set"},
      {"marks alone", pickle("(((("),
       "3 DIR/model.pt: offset 70: pickle: STOP with values left over; expected 1, found 0"},
      {"dict of three parts", pickle("}(K\1K\2K\3u"),
       "3 DIR/model.pt: offset 74: pickle: a dict key without a value"},
      {"a list that contains itself", pickle(std::string("]q\0h\0a", 6)),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found a list; save "
       "model.state_dict() instead"},
      {"root is a list", pickle("]"),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found a list; save "
       "model.state_dict() instead"},
      {"root is a number", pickle("K\7"),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found an integer; save "
       "model.state_dict() instead"},
      {"deep lists", pickle(std::string(100'000, ']') + std::string(99'999, 'a')),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found a list; save "
       "model.state_dict() instead"},
      {"call of a text", pickle(call(text("os.system"), tuple({text("id")}))),
       "3 DIR/model.pt: offset 89: pickle: a call of a text"},
      {"ten billion by memo", pickle([] {
         std::string bomb = std::string("]q\0", 3);
         for (char i = 0; i < 40; ++i) {
           bomb += std::string("](h") + i + "h" + i + "h" + i + "eq" + char(i + 1) + "0";
         }
         return bomb + "0h\x28";
       }()),
       "4 DIR/model.pt: the checkpoint is not a dict of tensors; found a list; save "
       "model.state_dict() instead"}};
}

Rows storage_rows() {
  const std::int64_t half = std::int64_t{1} << 62;
  return {
      {"storage shorter than it says", tensor_of({.storage_elements = 7}),
       "3 DIR/model.pt: tensor w: offset 155: storage '0' is too short; expected 7 elements of "
       "float32, found 6"},
      {"storage of -1 elements", tensor_of({.storage_elements = -1}),
       "3 DIR/model.pt: tensor w: offset 155: storage '0' is too short; expected -1 elements of "
       "float32, found 6"},
      {"storage of 2^63 - 1 elements", tensor_of({.storage_elements = INT64_MAX}),
       "3 DIR/model.pt: tensor w: offset 155: storage '0' is too short; expected "
       "9223372036854775807 elements of float32, found 6"},
      {"storage longer than it says", tensor_of({.storage_elements = 5, .shape = {2, 2}}),
       "3 DIR/model.pt: tensor w: offset 155: storage '0' is too long; expected 20 bytes, found "
       "24"},
      {"storage of an unknown key", tensor_of({.key = "9"}),
       "3 DIR/model.pt: tensor w: offset 141: storage '9' is missing in the archive"},
      {"view past its storage", tensor_of({.shape = {3, 3}}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [3, 3], strides [3, 1] from 0"},
      {"view that starts late", tensor_of({.offset = 1}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [2, 3], strides [3, 1] from 1"},
      {"negative start", tensor_of({.offset = -1}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [2, 3], strides [3, 1] from -1"},
      {"start of 2^62", tensor_of({.offset = half}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [2, 3], strides [3, 1] from 4611686018427387904"},
      {"shape whose product wraps", tensor_of({.shape = {half, 4}}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [4611686018427387904, 4], strides [3, 1] from 0"},
      {"negative shape", tensor_of({.shape = {-1}, .strides = {1}}),
       "3 DIR/model.pt: tensor w: offset 178: shape: expected no negative number, found -1"},
      {"negative step", tensor_of({.shape = {2, 3}, .strides = {-3, 1}}),
       "3 DIR/model.pt: tensor w: offset 200: strides: expected no negative number, found -3"},
      {"step of 2^62", tensor_of({.shape = {2, 3}, .strides = {half, 1}}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [2, 3], strides [4611686018427387904, 1] from 0"},
      {"steps of other axes", tensor_of({.shape = {2, 3}, .strides = {1}}),
       "3 DIR/model.pt: tensor w: offset 167: has 2 axes; expected as many strides, found 1"},
      {"expanded to terabytes", tensor_of({.shape = {half, 1}, .strides = {0, 0}}),
       "3 DIR/model.pt: tensor w: offset 167: leaves its storage; expected at most 6 elements, "
       "found shape [4611686018427387904, 1], strides [0, 0] from 0"}};
}

Rows storage_id_rows() {
  const std::string type = global("torch", "FloatStorage");
  return {
      {"tensor without arguments",
       archive(checkpoint_of(call(global("torch._utils", "_rebuild_tensor_v2"), ")"))),
       "3 DIR/model.pt: tensor w: offset 108: a plain tensor has 6 arguments, found 0"},
      {"parameter without arguments",
       archive(checkpoint_of(call(global("torch._utils", "_rebuild_parameter"), ")"))),
       "3 DIR/model.pt: tensor w: offset 108: a parameter has 3 arguments, found 0"},
      {"storage is None", storage_of("N"),
       "3 DIR/model.pt: tensor w: offset 108: storage: expected a persistent id, found None"},
      {"persistent id of None", storage_of("NQ"),
       "3 DIR/model.pt: tensor w: offset 108: unknown persistent id; expected a storage"},
      {"persistent id of a module",
       storage_of(persistent_id("module", type, text("0"), integer(1))),
       "3 DIR/model.pt: tensor w: offset 164: unknown persistent id; expected a storage"},
      {"storage of a dict",
       storage_of(persistent_id("storage", ordered_dict(), text("0"), integer(1))),
       "3 DIR/model.pt: tensor w: offset 147: storage of an unknown type; expected a class, found "
       "a dict"},
      {"storage key is a number",
       storage_of(persistent_id("storage", type, integer(0), integer(1))),
       "3 DIR/model.pt: tensor w: offset 141: storage key: expected a text, found an integer"},
      {"storage size is a text", storage_of(persistent_id("storage", type, text("0"), text("1"))),
       "3 DIR/model.pt: tensor w: offset 155: storage size: expected an integer, found a text"},
      {"storage key climbs",
       storage_of(persistent_id("storage", type, text("../data.pkl"), integer(1))),
       "3 DIR/model.pt: tensor w: offset 141: storage '../data.pkl' is missing in the archive"},
      {"one tensor under two wrappers", twice("w", "_orig_mod.w"),
       "3 DIR/model.pt: tensor w: occurs more than once"},
      {"old torch.save",
       archive(std::string("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15)),
       "4 DIR/model.pt: the old format of torch.save, no zip archive; save it anew: python3 -c "
       "\"import os, sys, torch; p = sys.argv[1]; s = torch.load(p, weights_only=True); "
       "torch.save(s, p + '.new'); os.replace(p + '.new', p)\" 'DIR/model.pt'"},
      {"the first byte of a pickle alone", archive("\x80"),
       "3 DIR/model.pt: zip: too short for an end record; expected 22 bytes, found 1"},
      {"bare pickle", archive(checkpoint_pickle()),
       "4 DIR/model.pt: a bare pickle, not an archive of torch.save or numpy.savez; save it with "
       "torch.save"},
      {"safetensors named .pt", archive(number(2, 8) + "{\"\":"),
       "4 DIR/model.pt: a safetensors file; save it as one of torch.save: python3 -c \"import os, "
       "sys, torch; p = sys.argv[1]; from safetensors.torch import load_file; s = load_file(p); "
       "torch.save(s, p + '.new'); os.replace(p + '.new', p)\" 'DIR/model.pt'"}};
}

}  // namespace

Rows torch_rows() {
  return joined(
      {archive_rows(), archive_entry_rows(), pickle_rows(), storage_rows(), storage_id_rows()});
}

}  // namespace kappascope::refused
