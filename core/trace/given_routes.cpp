#include "core/trace/given_routes.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/tensor.h"
#include "core/trace/meta.h"
#include "core/trace/npy_header.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLongestHeader = 1 << 16;
constexpr std::int64_t kNumbersAtOnce = 1 << 16;

struct IntegerType {
  std::string_view descr;
  std::int64_t bytes;
  bool with_sign;
};
constexpr std::array<IntegerType, 8> kIntegers{{{"|i1", 1, true},
                                                {"|u1", 1, false},
                                                {"<i2", 2, true},
                                                {"<u2", 2, false},
                                                {"<i4", 4, true},
                                                {"<u4", 4, false},
                                                {"<i8", 8, true},
                                                {"<u8", 8, false}}};

IntegerType integer_type(const NpyDict& dict, const Place& place) {
  for (const IntegerType& type : kIntegers) {
    if (type.descr == dict.descr) { return type; }
  }
  fail(ExitCode::unsupported, place, "array type; expected a little-endian integer, found ",
       printable(dict.descr));
}

// A number of that type, saturated to int64.
std::int64_t number_at(const std::byte* bytes, const IntegerType& type) {
  std::uint64_t value = 0;
  for (std::int64_t i = 0; i < type.bytes; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  const int unused = int(64 - 8 * type.bytes);
  if (type.with_sign) { return std::int64_t(value << unused) >> unused; }
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return std::int64_t(value > kMost ? kMost : value);
}

// Values [T,R,K] of the file from `begin` on, as routes.expert [R,T,K].
void read_values(const InputFile& file, std::uint64_t begin, const IntegerType& type,
                 GivenRoutes& routes) {
  const std::int64_t count = std::int64_t(routes.expert.size());
  std::vector<std::byte> part;
  for (std::int64_t first = 0; first < count; first += kNumbersAtOnce) {
    const std::int64_t size = std::min(kNumbersAtOnce, count - first);
    part.resize(std::size_t(size * type.bytes));
    file.read(begin + std::uint64_t(first * type.bytes), part, "values");
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t value = number_at(part.data() + i * type.bytes, type);
      const std::int64_t slot = (first + i) % routes.slots;
      const std::int64_t row = (first + i) / routes.slots % routes.rows;
      const std::int64_t token = (first + i) / routes.slots / routes.rows;
      require(value >= -1 && value <= std::numeric_limits<std::int16_t>::max(),
              ExitCode::unsupported, {.file = file.path()}, "expert at token ", token, ", row ",
              row, ", slot ", slot, "; expected -1 or the number of an expert, found ", value);
      routes.expert[(row * routes.tokens + token) * routes.slots + slot] = std::int32_t(value);
    }
  }
}

GivenRoutes of_array(const InputFile& file) {
  const Place place{.file = file.path()};
  const auto text = [&](std::uint64_t length) {
    const auto bytes = file.read(0, std::min(length, file.size()), ".npy header");
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const NpyPreamble preamble = parse_npy_preamble(text(kNpyPreamble), place);
  require(preamble.text_length <= kLongestHeader, ExitCode::damaged, place,
          "broken .npy header: expected at most ", kLongestHeader, " bytes, found ",
          preamble.text_length);
  const std::uint64_t begin = preamble.text_begin + preamble.text_length;
  require(begin <= file.size(), ExitCode::damaged, place, "broken .npy header: expected ", begin,
          " bytes, found ", file.size());
  const NpyDict dict = parse_npy_text(text(begin).substr(preamble.text_begin), place);
  const IntegerType type = integer_type(dict, place);
  const bool three = dict.shape.size() == 3;
  require(three && dict.shape[0] > 0 && dict.shape[1] > 0 && dict.shape[2] > 0,
          ExitCode::unsupported, place, "shape; expected (tokens, MoE layers, K), found ",
          shape_text(dict.shape));
  require(!dict.fortran, ExitCode::unsupported, place,
          "array in Fortran order; save numpy.ascontiguousarray of it");
  std::int64_t bytes = type.bytes;
  bool fits = true;
  for (const std::int64_t extent : dict.shape) {
    fits = fits && !__builtin_mul_overflow(bytes, extent, &bytes);
  }
  require(fits, ExitCode::damaged, place, "broken .npy header: array over 2^63 bytes");
  require(std::uint64_t(bytes) == file.size() - begin, ExitCode::damaged, place, "values of shape ",
          shape_text(dict.shape), "; expected ", bytes, " bytes, found ", file.size() - begin);
  GivenRoutes routes;
  routes.tokens = dict.shape[0];
  routes.rows = dict.shape[1];
  routes.slots = dict.shape[2];
  routes.expert.resize(std::size_t(bytes / type.bytes));
  read_values(file, begin, type, routes);
  file.require_unchanged();
  return routes;
}

GivenRoutes of_trace(const std::filesystem::path& path) {
  const Trace trace = open_trace(path);
  require(trace.layers > 0, ExitCode::unsupported, {.file = path.native()},
          "the trace has no layer with experts");
  GivenRoutes routes;
  routes.tokens = trace.tokens;
  routes.rows = trace.layers;
  routes.slots = trace.slots;
  routes.layer.assign(trace.layer_index.begin(), trace.layer_index.end());
  routes.pass.assign(trace.pass_index.begin(), trace.pass_index.end());
  routes.token_id.assign(trace.token_id.begin(), trace.token_id.end());
  routes.expert.assign(trace.expert_index.begin(), trace.expert_index.end());
  return routes;
}

}  // namespace

std::filesystem::path trace_file(const std::filesystem::path& path) {
  std::error_code unreadable;
  return std::filesystem::is_directory(path, unreadable) ? path / kTraceFile : path;
}

std::shared_ptr<const GivenRoutes> read_routes(const std::filesystem::path& path) {
  const std::filesystem::path at = trace_file(path);
  const InputFile file = InputFile::open(at);
  const auto first = file.read(0, std::min<std::uint64_t>(file.size(), 1), "first byte");
  require(!first.empty(), ExitCode::damaged, {file.path()},
          "the file is empty; expected a .npy array or a trace");
  const bool array = first.front() == std::byte{0x93};  // "\x93NUMPY"
  GivenRoutes routes = array ? of_array(file) : of_trace(at);
  routes.file = path.native();
  return std::make_shared<const GivenRoutes>(std::move(routes));
}

std::shared_ptr<const GivenOutputs> read_outputs(const std::string& path) {
  auto trace = std::make_shared<Trace>(open_trace(trace_file(path)));
  require(!trace->moe_output.empty(), ExitCode::unsupported, {.file = trace->path.native()},
          "it has no outputs of MoE layers; make it with kappascope run --record outputs");
  GivenOutputs outputs;
  outputs.file = path;
  outputs.config_sha256 = trace->meta.at("config_sha256").get<std::string>();
  outputs.directory_sha256 = trace->meta.at("tensor_directory_sha256").get<std::string>();
  const Json* step = meta_at(*trace, "model", "step");
  if (step != nullptr && step->is_number_integer()) { outputs.step = step->get<std::int64_t>(); }
  outputs.tokens = trace->tokens;
  outputs.width = trace->width;
  outputs.layer.assign(trace->layer_index.begin(), trace->layer_index.end());
  outputs.pass.assign(trace->pass_index.begin(), trace->pass_index.end());
  outputs.output = trace->moe_output;
  outputs.owner = std::move(trace);
  return std::make_shared<const GivenOutputs>(std::move(outputs));
}

RunPlan resolve_run(const Model& model, const std::vector<Intervention>& interventions) {
  std::shared_ptr<const GivenRoutes> routes;
  std::vector<std::shared_ptr<const GivenOutputs>> outputs;
  for (const Intervention& edit : interventions) {
    if (edit.edit == Edit::routes) { routes = read_routes(edit.file); }
    if (edit.edit == Edit::patch) { outputs.push_back(read_outputs(edit.file)); }
  }
  return resolve(model, interventions, std::move(routes), std::move(outputs));
}

}  // namespace kappascope
