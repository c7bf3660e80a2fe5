// What runs on the rows of the experts against its references.
#include <algorithm>
#include <array>

#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr std::int64_t kEffectFields = sizeof(EffectSums) / 8;
constexpr std::int64_t kCountField = kEffectFields - 1;

std::string title(const char* name, std::int64_t tokens, std::int64_t size) {
  return std::string(name) + ", " + std::to_string(tokens) + " tokens, " + std::to_string(size);
}

template <typename T>
void compare_dispatch_as(std::int64_t tokens, std::int64_t width, Check& check) {
  const Routed routed = make_routing(tokens, 2, 6, tokens);
  Random random(3);
  Values<float> x(random.normals(tokens * width));
  Values<std::int32_t> cell_row(routed.cell_row);
  const std::int64_t first = routed.rows() / 3, last = routed.rows();
  Values<T> rows(std::size_t((last - first) * width));
  DispatchArgs args{tokens, 2, width, x.host.data(), routed.cell_row.data(), first, last};
  args.element = element_of<T>();
  args.rows = rows.host.data();
  dispatch_ref(args);
  args.x = x.device();
  args.cell_row = cell_row.device();
  args.rows = rows.device();
  require_ok(dispatch_cuda(args, nullptr), "dispatch");
  require_ok(cuda_wait_all(), "dispatch");
  check.close("rows", widened(rows.fetch()), widened(rows.host), 0);
}

template <typename T>
void compare_combine_as(std::int64_t tokens, std::int64_t slots, std::int64_t width,
                        std::int64_t partials, bool biased, Check& check) {
  const Routed routed = make_routing(tokens, slots, 2 * slots, tokens);
  Random random(4);
  const std::int64_t rows = std::max<std::int64_t>(1, routed.rows());
  const std::int64_t copies = std::max<std::int64_t>(1, partials);
  Values<T> y(as_elements<T>(random.normals(copies * rows * width)));
  Values<std::int32_t> cell_row(routed.cell_row);
  Values<float> weight(routed.weight), output(std::size_t(tokens * width));
  Values<float> norm(std::size_t(tokens * slots)), bias(random.normals(2 * slots * width));
  Values<std::int32_t> expert(routed.expert_index);
  CombineArgs args{tokens, slots, width, {}, routed.cell_row.data(), weight.host.data()};
  args.y = {y.host.data(), element_of<T>(), partials, rows * width};
  args.output = output.host.data();
  args.output_norm = norm.host.data();
  if (biased) { args.bias = bias.host.data(); }
  args.expert_index = expert.host.data();
  combine_ref(args);
  args.y.data = y.device();
  args.cell_row = cell_row.device();
  args.weight = weight.device();
  args.output = output.device();
  args.output_norm = norm.device();
  if (biased) { args.bias = bias.device(); }
  args.expert_index = expert.device();
  require_ok(combine_cuda(args, nullptr), "combine");
  require_ok(cuda_wait_all(), "combine");
  check.close("output", output.fetch(), output.host, 1e-6);
  check.close("output_norm", norm.fetch(), norm.host, 1e-6);

  args.output_norm = nullptr;  // what is not recorded is another kernel
  Values<float> alone(std::size_t(tokens * width));
  args.output = alone.device();
  require_ok(combine_cuda(args, nullptr), "combine");
  require_ok(cuda_wait_all(), "combine");
  check.equal("output without a record", alone.fetch(), output.fetch());
}

template <typename T>
void compare_few_rows_as(std::int64_t tokens, std::int64_t in, std::int64_t out,
                         std::int64_t partials, Check& check) {
  const Routed routed = make_routing(tokens, 2, 4, -1);
  const std::int64_t rows = tokens * 2;
  Random random(21);
  Values<T> x(as_elements<T>(random.normals(rows * in)));
  Values<T> gate(as_elements<T>(random.normals(4 * in * out, 0.1f)));
  Values<T> up(as_elements<T>(random.normals(4 * in * out, 0.1f)));
  Values<std::int32_t> expert(routed.tile_expert), row(routed.tile_row), count(routed.tile_rows);
  Values<float> z(std::size_t(partials * rows * out)), y(std::size_t(partials * rows * out));
  FewRowsArgs args{rows, in, out, 2, element_of<T>(), x.host.data()};
  args.weight[0] = gate.host.data();
  args.weight[1] = up.host.data();
  args.tile_expert = routed.tile_expert.data();
  args.tile_row = routed.tile_row.data();
  args.tile_rows = routed.tile_rows.data();
  args.partials = partials;
  args.y[0] = z.host.data();
  args.y[1] = y.host.data();
  few_rows_ref(args);
  args.x = x.device();
  args.weight[0] = gate.device();
  args.weight[1] = up.device();
  args.tile_expert = expert.device();
  args.tile_row = row.device();
  args.tile_rows = count.device();
  args.y[0] = z.device();
  args.y[1] = y.device();
  require_ok(few_rows_cuda(args, nullptr), "few_rows");
  require_ok(cuda_wait_all(), "few_rows");
  check.close("first product", z.fetch(), z.host, 1e-5);
  check.close("second product", y.fetch(), y.host, 1e-5);
}

}  // namespace

void compare_dispatch(std::int64_t tokens, Check& check) {
  for (const std::int64_t width : {32, 300}) {
    check.begin(title("dispatch", tokens, width));
    compare_dispatch_as<float>(tokens, width, check);
    compare_dispatch_as<BFloat16>(tokens, width, check);
  }
}

void compare_combine(std::int64_t tokens, Check& check) {
  // The last width is more than a block of combine_norms takes at once, in bfloat16.
  for (const std::int64_t width : {32, 300, 2120}) {
    for (const std::int64_t slots : {3, 10}) {
      for (const bool biased : {false, true}) {
        check.begin(title("combine", tokens, width));
        compare_combine_as<float>(tokens, slots, width, 0, biased, check);
        compare_combine_as<BFloat16>(tokens, slots, width, 0, biased, check);
        compare_combine_as<float>(tokens, slots, width, 3, biased, check);
      }
    }
  }
}

void compare_sum_effects(std::int64_t tokens, Check& check) {
  check.begin(title("sum_effects", tokens, 6));
  const Routed routed = make_routing(tokens, 2, 6, -1);
  Random random(5);
  std::vector<double> rows;
  for (std::int64_t i = 0; i < routed.rows() * kEffectFields; ++i) {
    double value = double(random.normal());
    const std::int64_t count = i;  // the last field is an integer
    if (i % kEffectFields == kCountField) { std::memcpy(&value, &count, 8); }
    rows.push_back(value);
  }
  Values<double> row_effect(rows), effect(std::size_t(6 * kEffectFields));
  Values<std::int32_t> start(routed.row_start);
  sum_effects_ref({6, start.host.data(), reinterpret_cast<EffectSums*>(row_effect.host.data()),
                   reinterpret_cast<EffectSums*>(effect.host.data())});
  require_ok(
      sum_effects_cuda({6, start.device(), reinterpret_cast<EffectSums*>(row_effect.device()),
                        reinterpret_cast<EffectSums*>(effect.device())},
                       nullptr),
      "sum_effects");
  require_ok(cuda_wait_all(), "sum_effects");
  const std::vector<double> ours = effect.fetch();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (i % std::size_t(kEffectFields) == kCountField) {
      check.holds("count", std::memcmp(&ours[i], &effect.host[i], 8) == 0);
    } else {
      check.close_value("effect", i, ours[i], effect.host[i], 1e-12, double(tokens));
    }
  }
}

void compare_few_rows(std::int64_t tokens, Check& check) {
  for (const auto& [in, out, partials] :
       {std::array<std::int64_t, 3>{32, 128, 1}, {600, 72, 2}, {1024, 64, 4}, {300, 33, 1}}) {
    check.begin(title("few_rows", tokens, in));
    compare_few_rows_as<float>(tokens, in, out, partials, check);
    compare_few_rows_as<BFloat16>(tokens, in, out, partials, check);
  }
}

}  // namespace kappascope::twin
