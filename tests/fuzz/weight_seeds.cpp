// Seeds of files of weights: each type of numbers, each call that makes a tensor, packed entries.
#include "tests/fuzz/more_seeds.h"
#include "tests/unit/packed.h"
#include "tests/unit/tiny_pt.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;
using namespace pickled;

std::string float_storage() {
  return storage(global("torch", "FloatStorage"), "0", 6);
}
std::string made(const std::string& function, const std::vector<std::string>& arguments) {
  return call(global("torch._utils", function), tuple(arguments));
}
std::string plain_v1() {
  return made("_rebuild_tensor", {float_storage(), integer(0), integers({6}), integers({1})});
}

std::vector<std::string> wrapped() {
  const std::string plain = tensor({}), state = dict({text("a"), integer(1)});
  const auto typed = [&](const std::string& function, const std::string& arguments) {
    return call(global("torch._tensor", "_rebuild_from_type_v2"),
                tuple({function, global("torch", "Tensor"), arguments, state}));
  };
  const std::string v2 = global("torch._utils", "_rebuild_tensor_v2");
  const auto v3 = [](const std::string& type) {
    return made("_rebuild_tensor_v3",
                {storage(global("torch.storage", "UntypedStorage"), "0", 24), integer(0),
                 integers({6}), integers({1}), "\x89", ordered_dict(), global("torch", type)});
  };
  std::string deep = plain;
  for (int i = 0; i < 10; ++i) {
    deep = made("_rebuild_parameter", {deep, "\x88", ordered_dict()});
  }
  return {plain_v1(),
          v3("float32"),
          v3("float8_e5m2"),
          deep,
          made("_rebuild_parameter_with_state", {plain, "\x88", ordered_dict(), state}),
          made("_rebuild_parameter", {plain}),
          made("_rebuild_tensor", {plain}),
          made("_rebuild_sparse_tensor", {plain}),
          made("_rebuild_qtensor", {plain}),
          made("_rebuild_nested_tensor", {plain}),
          made("_rebuild_meta_tensor_no_storage", {plain}),
          typed(v2, ")"),
          typed(v2, "N"),
          typed("N", tuple({float_storage(), integer(0), integers({6}), integers({1}), "\x89",
                            ordered_dict()})),
          call(global("torch._tensor", "_rebuild_from_type_v2"), tuple({v2})),
          call(global("my", "function"), tuple({plain})),
          integer(7)};
}

void write_calls(const fs::path& folder, WriteSeed* write) {
  const std::vector<std::string> values = wrapped();
  for (std::size_t i = 0; i < values.size(); ++i) {
    write(folder / ("call " + std::to_string(i)),
          pickled::file(dict({text("module.w"), values[i], integer(3), tensor({}), "N", "N"})));
  }
  for (const char* type : {"Double", "Half", "Int", "Long", "Byte", "Bool", "BFloat16", "Char",
                           "Short", "ComplexFloat", "ComplexDouble", "Quantized"}) {
    for (const std::int64_t elements : {3, 6, 12, 24}) {  // the one that fills its 24 bytes is read
      write(folder / (type + std::to_string(elements)),
            pickled::file(dict({text("w"), tensor({.type = std::string(type) + "Storage",
                                                   .storage_elements = elements,
                                                   .shape = {2},
                                                   .strides = {2}})})));
    }
  }
  const Tensor column{.offset = 0, .shape = {3, 2}, .strides = {1, 3}};
  const Tensor empty{.shape = {0, 3}}, shared{.shape = {9, 9}, .strides = {0, 0}};
  write(folder / "views", pickled::file(dict({text("a"), tensor(column), text("b"), tensor(empty),
                                              text("c"), tensor(shared), text("d"),
                                              tensor({.offset = 5, .shape = {}, .strides = {}})})));
  std::string nested = dict({text("w"), tensor({})});
  for (int i = 0; i < 12; ++i) { nested = dict({text("n"), nested}); }
  write(folder / "nested", pickled::file(nested));
  const std::string self =
      "}q" + std::string(1, '\0') + text("a") + "h" + std::string(1, '\0') + "s";
  write(folder / "in itself", pickled::file(self));
  write(folder / "list", pickled::file("]"));
  write(folder / "object", pickled::file(call(global("my", "Class"), ")") + "}b"));
  write(folder / "long name", pickled::file(dict({text(std::string(5000, 'n')), tensor({})})));
  write(folder / "names", pickled::file(dict({text("_orig_mod.a.b"), tensor({}), text("a.b"),
                                              tensor({}), text("module."), tensor({})})));
}

void write_archives(const fs::path& folder, WriteSeed* write) {
  for (const bool storages : {false, true}) {
    std::vector<TinyEntry> entries = checkpoint_entries(checkpoint_pickle());
    for (TinyEntry& entry : entries) {
      if (!storages && entry.name.find("/data/") != std::string::npos) { continue; }
      const std::string whole = entry.data;
      entry.data = deflated_of(whole, -MAX_WBITS);
      entry.method = 8;
      entry.crc = checksum(whole);
      entry.full_size = static_cast<std::uint32_t>(whole.size());
    }
    write(folder / (storages ? "deflated" : "deflated pickle"), tiny_zip(entries).flat());
  }
  const auto changed = [&](const std::string& name, const auto& change) {
    std::vector<TinyEntry> entries = checkpoint_entries(checkpoint_pickle());
    change(entries);
    write(folder / name, tiny_zip(entries).flat());
  };
  changed("no byteorder", [](auto& entries) { entries.erase(entries.begin() + 1); });
  changed("no checksum", [](auto& entries) { entries[0].crc = 0; });
  changed("slash in front", [](auto& entries) { entries[5].name = "/data.pkl"; });
  changed("another compression", [](auto& entries) { entries[2].method = 12; });
}

void write_safetensors(const fs::path& folder, WriteSeed* write) {
  std::string header = "{";
  int at = 0;
  for (const char* type : {"F64", "I64", "U64", "F32", "I32", "U32", "F16", "BF16", "I16", "U16",
                           "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"}) {
    const std::string name = type;
    const int width = name.ends_with("64")   ? 8
                      : name.ends_with("32") ? 4
                      : name.ends_with("16") ? 2
                                             : 1;
    header += (at == 0 ? "\"" : ",\"") + name + "\":" +
              safetensors_entry(type, "[1]",
                                "[" + std::to_string(at) + "," + std::to_string(at + width) + "]");
    at += width;
  }
  write(folder / "types", safetensors_of(header + "}", std::size_t(at)));
  write(folder / "type unknown",
        safetensors_of("{\"w\":" + safetensors_entry("F4", "[2]", "[0,1]") + "}", 1));
}

// What is no file of weights at all, said by name.
void write_strangers(const fs::path& root, WriteSeed* write) {
  std::string tar(600, '\0');
  tar.replace(257, 5, "ustar");
  const std::vector<std::string> strangers = {
      "\x80\2\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.",
      "\x80\2}.",
      tar,
      "(dp0\n.",
      safetensors_of("{}", 0),
      "\x1f\x8b\x08 gzip",
      "\x28\xb5\x2f\xfd zstd",
      "GGUF 1234567890",
      "\x89HDF\r\n\x1a\n 1234",
      "\x93NUMPY 12345",
      "<!DOCTYPE html><html>",
      "{\"a\":1}    ",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
      std::string(64, '\0'),
      "step,loss\n1,2\n3,4\n",
      std::string("\xff\xfe{\0}\0", 6),
      "PAR1 12345678",
      "BZh9 12345678"};
  for (std::size_t i = 0; i < strangers.size(); ++i) {
    for (const char* target : {"torch_pt", "safetensors", "npz", "tokenizer_pickle", "zip",
                               "tokenizer_json", "sentencepiece"}) {
      write(root / target / ("stranger " + std::to_string(i)), strangers[i]);
    }
  }
}

}  // namespace

void write_weight_seeds(const fs::path& root, WriteSeed* write) {
  write_calls(root / "torch_pt", write);
  write_archives(root / "torch_pt", write);
  write_safetensors(root / "safetensors", write);
  write_strangers(root, write);
}

}  // namespace kappascope::testing
