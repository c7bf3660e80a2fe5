#include "core/checkpoint/safetensors.h"

#include "tests/refused/refused.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope::refused {
namespace {

using testing::safetensors_entry;
using testing::safetensors_of;

auto weights(const std::string& bytes) {
  return file_row("model.safetensors", bytes, read_safetensors);
}
auto header(const std::string& text, std::size_t data = 0) {
  return weights(safetensors_of(text, data));
}
// A file with one tensor "w" and four bytes of data.
auto tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return header("{\"w\":" + safetensors_entry(dtype, shape, offsets) + "}", 4);
}
// Two tensors of four bytes.
auto two(const std::string& first, const std::string& second, std::size_t data) {
  return header("{\"a\":" + safetensors_entry("U8", "[4]", first) +
                    ",\"b\":" + safetensors_entry("U8", "[4]", second) + "}",
                data);
}
const std::string kSound =
    safetensors_of("{\"w\":" + safetensors_entry("F32", "[1]", "[0,4]") + "}", 4);

Rows header_rows() {
  return {
      {"empty file of weights", weights(""),
       "3 DIR/model.safetensors: too short for a safetensors file; expected at least 8 bytes, "
       "found 0"},
      {"seven bytes", weights(std::string(7, '\1')),
       "3 DIR/model.safetensors: too short for a safetensors file; expected at least 8 bytes, "
       "found 7"},
      {"length over the limit", weights(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}"),
       "3 DIR/model.safetensors: offset 0: the length of the header is too large; expected at most "
       "100000000 bytes, found 100000001: no safetensors file, or damaged: download it again"},
      {"length near 2^64", weights(std::string(8, '\xff') + "{}"),
       "3 DIR/model.safetensors: offset 0: the length of the header is too large; expected at most "
       "100000000 bytes, found 18446744073709551615: no safetensors file, or damaged: download it "
       "again"},
      {"length past the end", weights(kSound.substr(0, 20)),
       "3 DIR/model.safetensors: offset 8: truncated inside the header; expected 54 bytes, found "
       "12: download it again"},
      {"no header", header(""),
       "3 DIR/model.safetensors: offset 8: the header does not begin with {"},
      {"blank before the header", header(" {}"),
       "3 DIR/model.safetensors: offset 8: the header does not begin with {"},
      {"header is a list", header("[]"),
       "3 DIR/model.safetensors: offset 8: the header does not begin with {"},
      {"text after the header", header("{}x"),
       "3 DIR/model.safetensors: offset 10: invalid JSON: syntax error while parsing value - "
       "invalid literal; last read: '        {}x'; expected end of input"},
      {"NUL after the header", header(std::string("{}\0\0", 4)),
       "3 DIR/model.safetensors: offset 10: JSON: a NUL byte"},
      {"header that ends early", header(R"({"w":{"dtype":"F32")"),
       "3 DIR/model.safetensors: offset 26: invalid JSON: syntax error while parsing object - "
       "unexpected end of input; expected '}'"},
      {"duplicate tensor", header(R"({"a":1,"a":2})"),
       "3 DIR/model.safetensors: offset 17: duplicate key 'a'"},
      {"duplicate member", header(R"({"a":{"dtype":"F32","dtype":"F32"}})"),
       "3 DIR/model.safetensors: offset 34: duplicate key 'dtype'"},
      {"deep nesting", header("{\"a\":" + std::string(80, '[')),
       "3 DIR/model.safetensors: offset 76: nested deeper than 64 levels"},
      {"a million levels", header("{\"a\":" + std::string(1'000'000, '[')),
       "3 DIR/model.safetensors: offset 76: nested deeper than 64 levels"},
      {"metadata with a number", header(R"({"__metadata__":{"step":3}})"),
       "3 DIR/model.safetensors: __metadata__: expected texts by name, found {\"step\":3}"},
      {"metadata that is a list", header(R"({"__metadata__":["pt"]})"),
       "3 DIR/model.safetensors: __metadata__: expected texts by name, found [\"pt\"]"},
      {"name that is no UTF-8", header("{\"a\xff\":1}"),
       "3 DIR/model.safetensors: offset 11: invalid JSON: syntax error while parsing object key - "
       "invalid string: ill-formed UTF-8 byte; last read: '\"a\\xff'; expected string literal"},
      {"lone surrogate", header(R"({"a\ud800":1})"),
       "3 DIR/model.safetensors: offset 17: invalid JSON: syntax error while parsing object key - "
       "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF; last read: "
       "'\"a\\ud800\"'; expected string literal"},
      {"NaN in the header", header(R"({"a":NaN})"),
       "3 DIR/model.safetensors: offset 13: invalid JSON: syntax error while parsing value - "
       "invalid literal; last read: '\"a\":N'"},
      {"number beyond double", header(R"({"a":1e999})"),
       "3 DIR/model.safetensors: offset 18: invalid JSON: number overflow parsing '1e999'"},
      {"control characters in a name", header("{\"\\u001b[31m\\n\\u202e\":7}"),
       "3 DIR/model.safetensors: tensor \\x1b[31m\\x0a\\xe2\\x80\\xae: expected an object, found "
       "7"},
      {"Git LFS pointer",
       weights("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
       "4 DIR/model.safetensors: a Git LFS pointer, not the file that it names; fetch that: git "
       "lfs pull"},
      {"weights are a web page", weights("<!DOCTYPE html><html><body>404</body></html>"),
       "4 DIR/model.safetensors: a web page (HTML), not the file that was to be downloaded; take "
       "the address of the file itself (on Hugging Face /resolve/ instead of /blob/): curl -fL -o "
       "'DIR/model.safetensors' ADDRESS"},
      {"weights in gzip", weights("\x1f\x8b\x08 and more of it"),
       "4 DIR/model.safetensors: compressed with gzip; unpack it: gzip -dc < "
       "'DIR/model.safetensors' > 'DIR/model.safetensors.new' && mv 'DIR/model.safetensors.new' "
       "'DIR/model.safetensors'"},
      {"archive of torch.save", weights(std::string("PK\3\4", 4) + std::string(60, '\0')),
       "4 DIR/model.safetensors: an archive, perhaps of torch.save, not a safetensors file; a "
       "model saved by torch.save is named pytorch_model.bin in its folder"},
      {"weights in GGUF", weights("GGUF" + std::string(60, '\0')),
       "4 DIR/model.safetensors: a GGUF file, not the file expected"},
      {"weights are a text", weights("Once upon a time there was a model"),
       "3 DIR/model.safetensors: a text, not the file expected; it begins with 'Once upon a time "
       "there was a model': download the file again"}};
}

Rows entry_rows() {
  const std::string range = R"("data_offsets":[0,4]})";
  return {
      {"entry is a number", header(R"({"w":7})"),
       "3 DIR/model.safetensors: tensor w: expected an object, found 7"},
      {"entry without members", header(R"({"w":{}})"),
       "3 DIR/model.safetensors: tensor w: dtype is missing; tensor w: shape is missing; tensor w: "
       "data_offsets is missing"},
      {"dtype is a number", header(R"({"w":{"dtype":3,"shape":[1],)" + range + "}", 4),
       "3 DIR/model.safetensors: tensor w: dtype: expected a text, found 3"},
      {"unknown dtype", tensor("F33", "[1]", "[0,4]"),
       "4 DIR/model.safetensors: tensor w: unknown dtype; expected one of F32, BF16, F16, F64, "
       "I64, I32, I16, I8, U64, U32, U16, U8, BOOL, F8_E4M3, F8_E5M2, F8_E8M0, F4, F6_E2M3, "
       "F6_E3M2, C64, F8_E4M3FNUZ, F8_E5M2FNUZ, found \"F33\""},
      {"negative extent", tensor("F32", "[-1]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: shape: expected at most 64 whole numbers, found [-1]"},
      {"fraction as extent", tensor("F32", "[1.0]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: shape: expected at most 64 whole numbers, found [1.0]"},
      {"shape is a number", tensor("F32", "1", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: shape: expected at most 64 whole numbers, found 1"},
      {"extent of 2^63", tensor("F32", "[9223372036854775808]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: shape: expected at most 64 whole numbers, found "
       "[9223372036854775808]"},
      {"product that wraps to 4", tensor("F32", "[4611686018427387904,4]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: F32 of shape [4611686018427387904, 4] is too large; "
       "found data_offsets [0, 4], 4 bytes"},
      {"product of 2^64", tensor("F32", "[4294967296,4294967296]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: F32 of shape [4294967296, 4294967296] is too large; "
       "found data_offsets [0, 4], 4 bytes"},
      {"65 dimensions",
       tensor(
           "F32",
           "[1" +
               [] {
                 std::string more;
                 for (int i = 0; i < 64; ++i) { more += ",1"; }
                 return more;
               }() +
               "]",
           "[0,4]"),
       "3 DIR/model.safetensors: tensor w: shape: expected at most 64 whole numbers, found "
       "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,..."},
      {"one offset", tensor("F32", "[1]", "[4]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [4]"},
      {"three offsets", tensor("F32", "[1]", "[0,4,8]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [0,4,8]"},
      {"offsets that descend", tensor("F32", "[1]", "[4,0]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [4,0]"},
      {"negative offset", tensor("F32", "[1]", "[-4,0]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [-4,0]"},
      {"offset of null", tensor("F32", "[1]", "[null,4]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [null,4]"},
      {"offsets near 2^64", tensor("F32", "[1]", "[18446744073709551612,18446744073709551616]"),
       "3 DIR/model.safetensors: tensor w: data_offsets: expected two ascending whole numbers, "
       "found [18446744073709551612,1.8446744073709..."}};
}

Rows place_rows() {
  return {
      {"shape larger than its bytes", tensor("F32", "[2]", "[0,4]"),
       "3 DIR/model.safetensors: tensor w: F32 of shape [2] takes 8 bytes; found data_offsets [0, "
       "4], 4 bytes"},
      {"half a byte too much", tensor("F4", "[3]", "[0,1]"),
       "3 DIR/model.safetensors: tensor w: F4 of shape [3] is not a whole number of bytes; found "
       "data_offsets [0, 1], 1 bytes"},
      {"overlap", two("[0,4]", "[3,7]", 7),
       "3 DIR/model.safetensors: tensor b: overlaps the tensor before it (a); expected offset 4, "
       "found 3"},
      {"the same bytes twice", two("[0,4]", "[0,4]", 4),
       "3 DIR/model.safetensors: tensor b: overlaps the tensor before it (a); expected offset 4, "
       "found 0"},
      {"hole between tensors", two("[0,4]", "[5,9]", 9),
       "3 DIR/model.safetensors: tensor b: leaves a hole before it (a); expected offset 4, found "
       "5"},
      {"hole at the start", two("[1,5]", "[5,9]", 9),
       "3 DIR/model.safetensors: tensor a: leaves a hole before it; expected offset 0, found 1"},
      {"data that ends early", two("[0,4]", "[4,8]", 7),
       "3 DIR/model.safetensors: truncated; expected 121 bytes, found 120: download it again"},
      {"bytes after the last tensor", two("[0,4]", "[4,8]", 9),
       "3 DIR/model.safetensors: offset 121: bytes after the last tensor; expected 121 bytes, "
       "found 122"}};
}

}  // namespace

Rows safetensors_rows() {
  return joined({header_rows(), entry_rows(), place_rows()});
}

}  // namespace kappascope::refused
