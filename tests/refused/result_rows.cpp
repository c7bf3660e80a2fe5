// Our own files as others made or left them: traces, statistics of a corpus, routes, styles.
#include <cstring>
#include <map>

#include "core/figure/style.h"
#include "core/trace/given_routes.h"
#include "core/trace/npy_header.h"
#include "core/trace/schema.h"
#include "tests/refused/refused.h"
#include "tests/unit/tiny_npz.h"
#include "tests/unit/trace_fixture.h"

namespace kappascope::refused {
namespace {

using testing::Arrays;
using testing::number;

// Of a sound trace: M = 6, T = 6, E = 3, K = 2, I = 8.
Arrays sound_arrays(const TempFolder& folder) {
  trace_test::record(folder / "sound.npz", trace_test::make_model(), trace_test::make_text(6));
  return testing::arrays_of(folder / "sound.npz");
}
void write_archive(const TempFolder& folder, const Arrays& arrays) {
  // The meta last: the offsets of the others do not follow from what it says.
  trace_test::write_bytes(folder / "trace.npz", testing::archive_of(arrays, kMetaArray));
}
// A trace that is sound but for what `change` does to its arrays.
template <typename Change>
auto trace(const Change& change) {
  return [=](const TempFolder& folder) {
    Arrays arrays = sound_arrays(folder);
    change(arrays);
    write_archive(folder, arrays);
    open_trace(folder / "trace.npz");
    return std::string();
  };
}
// Bytes of a sound trace after `change`.
template <typename Change>
auto bytes(const Change& change) {
  return [=](const TempFolder& folder) {
    sound_arrays(folder);
    std::string whole = trace_test::read_bytes(folder / "sound.npz");
    change(whole);
    trace_test::write_bytes(folder / "trace.npz", whole);
    open_trace(folder / "trace.npz");
    return std::string();
  };
}
auto without(const char* name) {
  return trace([=](Arrays& arrays) { arrays.erase(name); });
}
// Item `index` of an array becomes `value`.
template <typename T>
auto item(const char* name, std::size_t index, T value) {
  return trace([=](Arrays& arrays) {
    std::string& array = arrays[name];
    const std::size_t begin = 10 + std::uint8_t(array[8]) + 256U * std::uint8_t(array[9]);
    std::memcpy(array.data() + begin + index * sizeof(T), &value, sizeof(T));
  });
}
// An array in place of another, of zeros.
auto instead(const char* name, NpyType type, const std::vector<std::int64_t>& shape) {
  return trace([=](Arrays& arrays) {
    const NpyArray array{name, type, shape};
    arrays[name] =
        npy_header(array) + std::string(std::size_t(array.elements() * array.item_bytes()), '\0');
  });
}
auto header_text(const char* name, const std::string& from, const std::string& to) {
  return trace([=](Arrays& arrays) {
    std::string& array = arrays[name];
    array.replace(array.find(from), from.size(), to);
  });
}
// The meta of the trace after `edit`, as a text array.
template <typename Edit>
auto meta(const Edit& edit) {
  return trace([=](Arrays& arrays) {
    std::string& array = arrays["kappascope_meta"];
    const std::size_t begin = 10 + std::uint8_t(array[8]) + 256U * std::uint8_t(array[9]);
    std::string text;
    for (std::size_t i = begin; i < array.size(); i += 4) {
      if (array[i] != '\0') { text += array[i]; }
    }
    edit(text);
    array = npy_header({"", NpyType::text, {}, std::int64_t(text.size())});
    for (const char c : text) { array += number(std::uint8_t(c), 4); }
  });
}
auto meta_with(const std::string& from, const std::string& to) {
  return meta([=](std::string& text) { text.replace(text.find(from), from.size(), to); });
}

Rows trace_rows() {
  return {
      {"trace without meta", without("kappascope_meta"),
       "3 DIR/trace.npz: tensor kappascope_meta: not a kappascope file: expected a text of JSON"},
      {"trace of another version", meta_with("kappascope.trace/1", "kappascope.trace/9"),
       "4 DIR/trace.npz: tensor kappascope_meta: schema; expected kappascope.trace/1, found "
       "kappascope.trace/9"},
      {"trace of another schema", meta_with("kappascope.trace/1", "somebody.trace/1"),
       "3 DIR/trace.npz: tensor kappascope_meta: schema; expected kappascope.trace/1, found "
       "somebody.trace/1"},
      {"meta that is no JSON", meta([](std::string& text) { text = "{\"schema\": "; }),
       "3 DIR/trace.npz: kappascope_meta: offset 10: invalid JSON: syntax error while parsing "
       "value - unexpected end of input; expected '[', '{', or a literal"},
      {"meta of a trace is a list", meta([](std::string& text) { text = "[]"; }),
       "3 DIR/trace.npz: tensor kappascope_meta: schema; expected kappascope.trace/1, found none"},
      {"meta with a field twice", meta_with("{", "{\"arrays\":1,"),
       "3 DIR/trace.npz: kappascope_meta: offset 19: duplicate key 'arrays'"},
      {"meta of a number", instead("kappascope_meta", NpyType::float32, {}),
       "3 DIR/trace.npz: tensor kappascope_meta: not a kappascope file: expected a text of JSON"},
      {"array of layers that none names", instead("lens_logprob", NpyType::float32, {6, 6}),
       "3 DIR/trace.npz: tensor lens_layer_index: missing array beside lens_logprob"},
      {"gates without their z", instead("gate_act", NpyType::float32, {6, 6, 2, 8}),
       "3 DIR/trace.npz: tensor gate_pre: missing array beside gate_act"},
      {"array missing", without("kappa_mean"), "3 DIR/trace.npz: tensor kappa_mean: missing array"},
      {"two arrays missing",
       trace([](Arrays& arrays) { arrays.erase("nll"), arrays.erase("router_margin"); }),
       "3 DIR/trace.npz: tensor nll: missing array; tensor router_margin: missing array"},
      {"array of another shape", instead("router_margin", NpyType::float32, {36}),
       "3 DIR/trace.npz: tensor router_margin: shape; expected [6, 6], found [36]"},
      {"array of another type", instead("nll", NpyType::int32, {6}),
       "3 DIR/trace.npz: tensor nll: array type; expected float32, found int32"}};
}

Rows trace_value_rows() {
  return {
      {"expert beyond the experts", item("expert_index", 3, std::int16_t{3}),
       "3 DIR/trace.npz: tensor expert_index: element 3; expected -1 to 2, found 3"},
      {"expert of -2", item("expert_index", 3, std::int16_t{-2}),
       "3 DIR/trace.npz: tensor expert_index: element 3; expected -1 to 2, found -2; tensor "
       "expert_kept: element 3; expected a kept slot to have an expert, found none"},
      {"kept slot without an expert", item("expert_index", 3, std::int16_t{-1}),
       "3 DIR/trace.npz: tensor expert_kept: element 3; expected a kept slot to have an expert, "
       "found none"},
      {"truth value of 7", item("expert_kept", 0, std::uint8_t{7}),
       "3 DIR/trace.npz: tensor expert_kept: element 0; expected 0 or 1, found 7"},
      {"layer beyond the layers", item("layer_index", 3, std::int32_t{4}),
       "3 DIR/trace.npz: tensor layer_index: element 3; expected 0 to 3, found 4"},
      {"negative pass", item("pass_index", 3, std::int32_t{-1}),
       "3 DIR/trace.npz: tensor pass_index: element 3; expected 0 to 2147483647, found -1"},
      {"negative token", item("token_id", 3, std::int32_t{-1}),
       "3 DIR/trace.npz: tensor token_id: element 3; expected 0 to 2147483647, found -1"},
      {"negative count", item("kappa_hist", 3, std::int64_t{-1}),
       "3 DIR/trace.npz: tensor kappa_hist: counts of layer row 0; expected at least 0 and a sum "
       "of at most 96, found -1"},
      {"count of more than there was", item("gate_pre_hist", 3, std::int64_t{6 * 2 * 8 + 1}),
       "3 DIR/trace.npz: tensor gate_pre_hist: counts of layer row 0; expected at least 0 and a "
       "sum of at most 96, found 97"},
      {"object array", header_text("nll", "<f4", "|O4"),
       "4 DIR/trace.npz: tensor nll: offset 34496: array type; expected bool, i2, i4, i8, f4, f8 "
       "or U, found |O4"},
      {"big-endian array", header_text("nll", "<f4", ">f4"),
       "4 DIR/trace.npz: tensor nll: offset 34496: big-endian array; expected little-endian: save "
       "array.astype(array.dtype.newbyteorder('<'))"},
      {"Fortran order", header_text("router_logits", "False", "True "),
       "4 DIR/trace.npz: tensor router_logits: offset 35392: array in Fortran order; save "
       "numpy.ascontiguousarray of it"},
      {"shape that is no number", header_text("nll", "(6,)", "(x,)"),
       "3 DIR/trace.npz: tensor nll: offset 34496: broken .npy header: expected a number in the "
       "shape"},
      {"negative shape of an array", header_text("nll", "(6,)", "(-6)"),
       "3 DIR/trace.npz: tensor nll: offset 34496: broken .npy header: expected a number in the "
       "shape"},
      {"array longer than its bytes", header_text("nll", "(6,)", "(7,)"),
       "3 DIR/trace.npz: tensor nll: offset 34496: array data; expected 28 bytes for shape [7], "
       "found 24"},
      {"array of exabytes", header_text("nll", "(6,), }", "(4611686018427387904,), }"),
       "3 DIR/trace.npz: tensor nll: offset 34496: broken .npy header: array over 2^63 bytes"},
      {"no array at all", trace([](Arrays& arrays) { arrays["nll"] = "x"; }),
       "3 DIR/trace.npz: tensor nll: offset 34496: not a .npy array"},
      {"trace cut in half", bytes([](std::string& whole) { whole.resize(whole.size() / 2); }),
       "3 DIR/trace.npz: offset END: zip: no end record; the file is truncated or no ZIP: make "
       "or download it again"},
      {"trace without its last byte", bytes([](std::string& whole) { whole.pop_back(); }),
       "3 DIR/trace.npz: offset END: zip: no end record; the file is truncated or no ZIP: make "
       "or download it again"},
      {"empty trace", bytes([](std::string& whole) { whole.clear(); }),
       "3 DIR/trace.npz: zip: too short for an end record; expected 22 bytes, found 0"},
      {"trace is a text", bytes([](std::string& whole) { whole = "step,loss\n1,2\n3,4\n5,6\n"; }),
       "3 DIR/trace.npz: a text, not the file expected; it begins with 'step,loss': download the "
       "file again"},
      {"trace is one array",
       bytes([](std::string& whole) { whole = "\x93NUMPY" + std::string(80, ' '); }),
       "4 DIR/trace.npz: a single .npy array, not the file expected"},
      {"trace is a checkpoint",
       bytes([](std::string& whole) { whole = testing::tiny_checkpoint().flat(); }),
       "3 DIR/trace.npz: tensor kappascope_meta: not a kappascope file: expected a text of JSON"},
      {"trace is a folder",
       [](const TempFolder& folder) {
         std::filesystem::create_directory(folder / "trace.npz");
         open_trace(folder / "trace.npz");
         return std::string();
       },
       "3 DIR/trace.npz: not a regular file; expected a file, found a folder"},
      {"trace that is not there",
       [](const TempFolder& folder) {
         open_trace(folder / "none.npz");
         return std::string();
       },
       "5 DIR/none.npz: cannot be opened: No such file or directory"}};
}

auto routes(const std::string& contents) {
  return file_row("routes.npy", contents, [](const auto& path) { read_routes(path); });
}
std::string array_of(NpyType type, const std::vector<std::int64_t>& shape, char value = 0) {
  const NpyArray array{"", type, shape};
  return npy_header(array) + std::string(std::size_t(array.elements() * array.item_bytes()), value);
}
auto style(const std::string& text) {
  return file_row("style.toml", text, [](const auto& path) { read_style(path); });
}

Rows small_rows() {
  return {{"empty routes", routes(""),
           "3 DIR/routes.npy: the file is empty; expected a .npy array or a trace"},
          {"routes are a text", routes("0 1\n2 3\n4 5\n"),
           "3 DIR/routes.npy: a text, not the file expected; it begins with '0 1': download the "
           "file again"},
          {"routes of floats", routes(array_of(NpyType::float32, {3, 2, 2})),
           "4 DIR/routes.npy: array type; expected a little-endian integer, found <f4"},
          {"routes of two axes", routes(array_of(NpyType::int16, {3, 4})),
           "4 DIR/routes.npy: shape; expected (tokens, MoE layers, K), found [3, 4]"},
          {"routes of no tokens", routes(array_of(NpyType::int16, {0, 2, 2})),
           "4 DIR/routes.npy: shape; expected (tokens, MoE layers, K), found [0, 2, 2]"},
          {"routes cut", routes(array_of(NpyType::int16, {3, 2, 2}).substr(0, 130)),
           "3 DIR/routes.npy: values of shape [3, 2, 2]; expected 24 bytes, found 2"},
          {"routes longer than said", routes(array_of(NpyType::int16, {3, 2, 2}) + "x"),
           "3 DIR/routes.npy: values of shape [3, 2, 2]; expected 24 bytes, found 25"},
          {"routes below 0", routes(array_of(NpyType::int16, {3, 2, 2}, '\x80')),
           "4 DIR/routes.npy: expert at token 0, row 0, slot 0; expected -1 or the number of an "
           "expert, found -32640"},
          {"routes of 2^62 tokens",
           routes(npy_header({"", NpyType::int16, {std::int64_t{1} << 60, 1, 1}})),
           "3 DIR/routes.npy: values of shape [1152921504606846976, 1, 1]; expected "
           "2305843009213693952 bytes, found 0"},
          {"routes that are not there",
           [](const TempFolder& folder) {
             read_routes(folder / "none.npy");
             return std::string();
           },
           "5 DIR/none.npy: cannot be opened: No such file or directory"},
          {"style without a value", style("dpi =\n"),
           "3 DIR/style.toml: line 1, column 6: Error while parsing key-value pair: expected "
           "value, saw '\\n'"},
          {"style with an unknown key", style("colour = 1\n"),
           "2 DIR/style.toml: line 1, column 1: no setting is called colour; expected one of "
           "preset, width, height, font-size, dpi, panel-letters, no-metadata, bare, title, label, "
           "xlabel, ylabel, font, vmin, vmax, xlim, ylim, same-scale, theme, transparent, no-band"},
          {"style with a key twice", style("dpi = 1\ndpi = 2\n"),
           "3 DIR/style.toml: line 2, column 7: Error while parsing key-value pair: cannot "
           "redefine existing integer 'dpi'"},
          {"style with a text for a number", style("dpi = \"many\"\n"),
           "2 DIR/style.toml: line 1, column 7: dpi: expected a number"},
          {"style with an open text", style("title = \"a\n"),
           "3 DIR/style.toml: line 1, column 11: Error while parsing string: unescaped control "
           "characters other than TAB (U+0009) are explicitly prohibited"},
          {"style that is binary", style(std::string("\0\1\2\3", 4)),
           "3 DIR/style.toml: line 1, column 1: Error while parsing root table: expected keys, "
           "tables, whitespace or comments, saw '\\u0000'"}};
}

}  // namespace

Rows result_rows() {
  return joined({trace_rows(), trace_value_rows(), small_rows()});
}

}  // namespace kappascope::refused
