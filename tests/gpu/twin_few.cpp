// The kernels of a few tokens against their references.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/few.h"
#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct RouteCase {
  std::int64_t experts, slots, capacity, width;
  RouteScore score;
  bool biased, ties, hostile;  // hostile: logits as given, no product
  bool logit_bias = false;
  RouterRule rule = {};
};
constexpr RouterRule kAffinities{.score = ExpertScore::sigmoid,
                                 .by_score = true,
                                 .weight = RouteWeight::normalised,
                                 .scale = 2.5f};
constexpr RouterRule kMixer{.weight = RouteWeight::sparse_mixer, .jitter = 0.1f};
constexpr RouteCase kRouteCases[] = {
    {4, 2, -1, 64, RouteScore::router_probs, false, false, false},
    {64, 2, 5, 132, RouteScore::scaled_logit, false, false, false},
    {6, 3, 4, 33, RouteScore::raw_logit, true, true, false},
    {130, 8, 3, 300, RouteScore::constant, true, false, false},
    {1, 1, 2, 8, RouteScore::none, false, false, false},
    {5, 5, 9, 31, RouteScore::router_probs, false, true, false},
    {33, 4, 6, 0, RouteScore::scaled_logit, false, true, true},
    {40, 32, 2, 16, RouteScore::given, true, false, false},
    {8, 2, 0, 16, RouteScore::router_probs, false, false, false},
    {32, 4, -1, 200, RouteScore::none, false, false, false, true},
    {5, 2, 6, 33, RouteScore::none, true, true, false, true},
    {32, 4, -1, 48, RouteScore::none, true, false, false, false, kAffinities},
    {300, 8, -1, 20, RouteScore::none, true, false, false, false, kAffinities},
    {16, 2, -1, 32, RouteScore::none, false, false, false, false, kMixer},
};

// A routing of few tokens and all that it writes.
struct Routing {
  const RouteCase& of;
  std::int64_t tokens, cells;
  Random random;
  Values<float> x, router, router_bias, logits, bias, norm, given, weight, score;
  Values<std::int32_t> expert, tiles, tile_expert, tile_rows, place_cell, cell_place, arrived;
  Values<std::uint8_t> kept;

  Routing(const RouteCase& of_, std::int64_t tokens_)
      : of(of_),
        tokens(tokens_),
        cells(tokens * of.slots),
        random(std::uint64_t(tokens * 100 + of.experts)),
        x(draw(tokens * of.width)),
        router(draw(of.experts * of.width)),
        router_bias(draw(of.experts)),
        logits(draw_logits()),
        bias(random.normals(of.experts)),
        norm(random.normals(of.experts, 0.1f)),
        given(random.normals(tokens * of.experts)),
        weight(std::size_t(cells)),
        score(std::size_t(cells)),
        expert(std::size_t(cells)),
        tiles(1),
        tile_expert(std::size_t(most_tiles())),
        tile_rows(std::size_t(most_tiles())),
        place_cell(std::size_t(most_tiles() * kTileRows)),
        cell_place(std::size_t(cells)),
        arrived(std::vector<std::int32_t>{0}),
        kept(std::size_t(cells)) {}

  std::int64_t most_tiles() const { return most_few_tiles(cells, of.experts); }
  // With ties small integers, whose products are exact.
  std::vector<float> draw(std::int64_t count) {
    std::vector<float> values = random.normals(count);
    for (float& value : values) { value = of.ties ? std::round(value) : value; }
    return values;
  }
  std::vector<float> draw_logits() {
    std::vector<float> values = random.normals(tokens * of.experts, 2);
    for (float& logit : values) {
      const std::uint32_t dice = random.bits() % 60;
      logit = std::round(logit * 2) / 2;
      if (of.hostile && dice < 3) { logit = dice == 0 ? NAN : dice == 1 ? kInf : -kInf; }
    }
    return values;
  }
  FewPlaces places(bool device) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    return {at(tiles), at(tile_expert), at(tile_rows), at(place_cell), at(cell_place)};
  }
  FewRouteArgs args(bool device) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    FewRouteArgs result;
    RouteArgs& route = result.route;
    route.routing.tokens = tokens;
    route.routing.experts = of.experts;
    route.routing.slots = of.slots;
    route.routing.logits = at(logits);
    route.routing.cells = {nullptr, at(expert), at(weight), at(kept), at(score)};
    route.selection_bias = of.biased ? at(bias) : nullptr;
    route.capacity = of.capacity;
    route.score = of.score;
    route.score_factor = 1.7f;
    route.score_norm = at(norm);
    route.given_score = at(given);
    route.score_constant = 0.7f;
    route.rule = of.rule;
    result.width = of.width;
    if (!of.hostile) {
      result.x = at(x);
      result.router = at(router);
      if (of.logit_bias) { result.router_bias = at(router_bias); }
      result.logits = at(logits);
    }
    result.places = places(device);
    result.arrived = at(arrived);
    return result;
  }
};

// Of `ours` what is written: that of the tiles there are.
std::vector<std::int32_t> first_of(const std::vector<std::int32_t>& ours, std::int64_t count) {
  return {ours.begin(), ours.begin() + count};
}

void compare_places(Routing& routing, Check& check) {
  check.equal("tiles", routing.tiles.fetch(), routing.tiles.host);
  const std::int64_t tiles = routing.tiles.host[0];
  check.holds("the bound on tiles", tiles <= routing.most_tiles());
  check.equal("tile_expert", routing.tile_expert.fetch(),
              first_of(routing.tile_expert.host, tiles));
  check.equal("tile_rows", routing.tile_rows.fetch(), first_of(routing.tile_rows.host, tiles));
  check.equal("place_cell", routing.place_cell.fetch(),
              first_of(routing.place_cell.host, tiles * kTileRows));
  check.equal("cell_place", routing.cell_place.fetch(), routing.cell_place.host);
}

void compare_route_case(const RouteCase& of, std::int64_t tokens, Check& check) {
  Routing routing(of, tokens);
  // Twice: the second launch finds the counter of blocks as the first did.
  require_ok(few_route_cuda(routing.args(true), nullptr), "few_route");
  require_ok(few_route_cuda(routing.args(true), nullptr), "few_route");
  require_ok(cuda_wait_all(), "few_route");
  const std::vector<float> logits = routing.logits.fetch();
  few_route_ref(routing.args(false));
  if (!of.hostile) { check.close("logits", logits, routing.logits.host, 1e-5); }
  // The choice from the same logits: rounding may order two of them otherwise.
  routing.logits.host = logits;
  FewRouteArgs reference = routing.args(false);
  reference.x = nullptr;
  few_route_ref(reference);
  check.equal("expert", routing.expert.fetch(), routing.expert.host);
  check.equal("kept", routing.kept.fetch(), routing.kept.host);
  check.close("weight", routing.weight.fetch(), routing.weight.host, 1e-6);
  check.close("score", routing.score.fetch(), routing.score.host, 1e-6);
  compare_places(routing, check);
}

struct ProductCase {
  std::int64_t in, gates, multiprocessors;
  bool bias, scale;
  std::int64_t gate_stride, scale_gate_stride;
  bool scored = true, factor = false, from_gate = false, identity = false, per_layer = false;
  bool ruled = false;
};
constexpr ProductCase kProductCases[] = {
    {128, 256, 1, true, true, 1, 1},
    {600, 72, 40, true, true, 1, 1},
    {300, 33, 132, true, false, 1, 1},
    {1024, 64, 7, false, false, 0, 0},
    {64, 520, 132, false, false, 0, 0, true, false, false, true},
    {130, 64, 3, true, false, 1, 1, true, true},
    {96, 128, 5, false, false, 1, 1, true, true},
    {128, 200, 2, true, true, 1, 1, true, false, true},
    {128, 31, 11, true, true, 1, 0, false, false, true},
    {40, 96, 4, true, true, 0, 0, true, true, true},
    {64, 64, 1, false, true, 1, 0, true, false, true, false, true},
    {64, 130, 9, true, true, 1, 0, true, false, false, false, true},
    {96, 128, 5, false, false, 0, 0, false, true, false, false, false, true},
    {130, 33, 3, false, false, 0, 0, false, true, false, false, false, true},
    {64, 72, 40, true, true, 1, 1, true, false, true, false, false, true},
};
constexpr RouteCase kPlaced{6, 2, 20, 0, RouteScore::router_probs, false, false, true};

// Both products of a case, and what they read and write.
template <typename T>
struct Products {
  const ProductCase& of;
  Routing routing;
  Values<float> x, bias, scale, factor, gate_bias, up_bias;
  Values<T> gate, up, down;
  FewSums gate_up_cut, down_cut;
  Values<float> gate_up_sums, down_sums;

  Products(const ProductCase& of_, std::int64_t tokens)
      : of(of_),
        routing(kPlaced, tokens),
        x(routing.random.normals(tokens * of.in)),
        bias(routing.random.normals(kPlaced.experts * of.gates)),
        scale(routing.random.normals(kPlaced.experts * of.gates)),
        factor(std::vector<float>{1.5f, 0.5f, 1, 2, 0.25f, 3}),
        gate_bias(routing.random.normals(kPlaced.experts * of.gates)),
        up_bias(routing.random.normals(kPlaced.experts * of.gates)),
        gate(weights(of.in * of.gates)),
        up(weights(of.in * of.gates)),
        down(weights(of.in * of.gates)),
        gate_up_cut(few_sums(2, of.in, of.gates, element_of<T>(), int(of.multiprocessors))),
        down_cut(few_sums(1, of.gates, of.in, element_of<T>(), int(of.multiprocessors))),
        gate_up_sums(std::size_t(gate_up_cut.floats(routing.most_tiles()))),
        down_sums(std::size_t(down_cut.floats(routing.most_tiles()))) {
    few_route_ref(routing.args(false));
    require_ok(few_route_cuda(routing.args(true), nullptr), "few_route");
  }
  std::vector<T> weights(std::int64_t of_one) {
    return as_elements<T>(routing.random.normals(kPlaced.experts * of_one, 0.1f));
  }

  FewProductArgs args(bool device, bool second) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    FewProductArgs result;
    result.places = routing.places(device);
    result.slots = kPlaced.slots;
    result.in = second ? of.gates : of.in;
    result.out = second ? of.in : of.gates;
    result.element = element_of<T>();
    result.weight[0] = second ? at(down) : at(gate);
    result.weight[1] = second ? nullptr : at(up);
    result.y = second ? down_cut : gate_up_cut;
    result.y.data = second ? at(down_sums) : at(gate_up_sums);
    if (!second) {
      result.x = at(x);
      return result;
    }
    result.gate_up = gate_up_cut;
    result.gate_up.data = at(gate_up_sums);
    result.score = of.scored ? at(routing.score) : nullptr;
    result.score_constant = 0;
    KappaView& kappa = result.kappa;
    kappa.bias = of.bias ? at(bias) : nullptr;
    kappa.scale = of.scale ? at(scale) : nullptr;
    kappa.factor = of.factor ? at(factor) : nullptr;
    kappa.gate_stride = of.gate_stride;
    kappa.scale_gate_stride = of.scale_gate_stride;
    kappa.expert_stride = of.gate_stride ? of.gates : 1;
    kappa.scale_expert_stride = of.per_layer ? 0 : of.scale_gate_stride ? of.gates : 1;
    kappa.log_bound = 1.1f;
    kappa.from_gate = of.from_gate;
    result.identity_gate = of.identity;
    if (of.ruled) { result.rules = {at(gate_bias), at(up_bias), 1.2f, 1}; }
    return result;
  }

  // y of all rows, [tokens·slots,out] by matrix; 0 where a cell is dropped.
  std::vector<float> values(FewSums y, const std::vector<float>& sums, std::int64_t out) {
    y.data = const_cast<float*>(sums.data());
    const std::int32_t share = y.share(routing.tiles.host[0]);
    std::vector<float> result;
    for (std::int32_t matrix = 0; matrix < y.matrices; ++matrix) {
      for (const std::int32_t place : routing.cell_place.host) {
        for (std::int32_t column = 0; column < out; ++column) {
          result.push_back(place < 0 ? 0 : few_value(y, share, place, matrix, column));
        }
      }
    }
    return result;
  }
};

template <typename T>
void compare_products(const ProductCase& of, std::int64_t tokens, Check& check) {
  Products<T> products(of, tokens);
  few_product_ref(products.args(false, false));
  require_ok(few_product_cuda(products.args(true, false), nullptr), "few_product");
  require_ok(cuda_wait_all(), "few_product");
  const std::vector<float> gate_up = products.gate_up_sums.fetch();
  check.close("gate and up", products.values(products.gate_up_cut, gate_up, of.gates),
              products.values(products.gate_up_cut, products.gate_up_sums.host, of.gates), 1e-5);
  // κ-SwiGLU from the same z and up: their rounding would be rounded once more.
  products.gate_up_sums.host = gate_up;
  few_product_ref(products.args(false, true));
  require_ok(few_product_cuda(products.args(true, true), nullptr), "few_product");
  require_ok(cuda_wait_all(), "few_product");
  check.close("down", products.values(products.down_cut, products.down_sums.fetch(), of.in),
              products.values(products.down_cut, products.down_sums.host, of.in),
              sizeof(T) == 2 ? 1e-3 : 1e-5);
}

}  // namespace

void compare_few_route(std::int64_t tokens, Check& check) {
  for (const RouteCase& of : kRouteCases) {
    if (tokens * of.slots > kMostFewCells) { continue; }
    check.begin("few_route, " + std::to_string(tokens) + " tokens, " + std::to_string(of.experts) +
                " experts");
    compare_route_case(of, tokens, check);
  }
}

void compare_few_product(std::int64_t tokens, Check& check) {
  require_ok(few_product_prepare(), "few_product");
  for (const ProductCase& of : kProductCases) {
    check.begin("few_product, " + std::to_string(tokens) + " tokens, " + std::to_string(of.in) +
                " to " + std::to_string(of.gates));
    compare_products<float>(of, tokens, check);
    compare_products<BFloat16>(of, tokens, check);
  }
}

void compare_few_combine(std::int64_t tokens, Check& check) {
  for (const RouteCase& of : kRouteCases) {
    if (tokens * of.slots > kMostFewCells) { continue; }
    for (const std::int64_t width : {16, 200, 264}) {
      check.begin("few_combine, " + std::to_string(tokens) + " tokens, " + std::to_string(width));
      Routing routing(of, tokens);
      FewRouteArgs reference = routing.args(false), device = routing.args(true);
      reference.x = device.x = nullptr;  // from the same logits
      few_route_ref(reference);
      require_ok(few_route_cuda(device, nullptr), "few_route");
      FewSums y = few_sums(1, 700, width, Element::bfloat16, 5);
      Values<float> sums(routing.random.normals(y.floats(routing.most_tiles())));
      Values<float> output(std::size_t(tokens * width));
      Values<float> bias(routing.random.normals(of.experts * width));
      FewCombineArgs args{
          tokens, of.slots, width, routing.places(false), y, routing.weight.host.data()};
      args.y.data = sums.host.data();
      args.output = output.host.data();
      if (of.logit_bias) {  // such models have this one too
        args.bias = bias.host.data();
        args.expert = routing.expert.host.data();
      }
      few_combine_ref(args);
      args.places = routing.places(true);
      args.y.data = sums.device();
      args.weight = routing.weight.device();
      args.output = output.device();
      if (args.bias) {
        args.bias = bias.device();
        args.expert = routing.expert.device();
      }
      require_ok(few_combine_cuda(args, nullptr), "few_combine");
      require_ok(cuda_wait_all(), "few_combine");
      check.close("output", output.fetch(), output.host, 1e-5);
    }
  }
}

}  // namespace kappascope::twin
