// Routing of a few tokens, reference: route_ref, group_ref, and the places that follow from them.
#include <algorithm>
#include <vector>

#include "kernels/few.h"

namespace kappascope {
namespace {

void multiply_router(const FewRouteArgs& args) {
  const RoutingView& routing = args.route.routing;
  for (std::int64_t t = 0; t < routing.tokens; ++t) {
    for (std::int64_t e = 0; e < routing.experts; ++e) {
      double sum = 0;
      for (std::int64_t h = 0; h < args.width; ++h) {
        sum += double(args.x[t * args.width + h]) * args.router[e * args.width + h];
      }
      args.logits[t * routing.experts + e] =
          float(sum) + (args.router_bias ? args.router_bias[e] : 0);
    }
  }
}

// What group_ref says, tile by tile.
struct Grouping {
  std::vector<std::int32_t> row_start, cell_row, row_cell, tile_expert, tile_row, tile_rows;
  Grouping(const RouteArgs& route)
      : row_start(std::size_t(route.routing.experts + 1)),
        cell_row(std::size_t(route.routing.tokens * route.routing.slots)),
        row_cell(cell_row),
        tile_expert(cell_row),
        tile_row(cell_row),
        tile_rows(cell_row) {
    const RoutingView& routing = route.routing;
    group_ref({routing.tokens, routing.slots, routing.experts, route.capacity, route.assigned,
               routing.cells.expert, route.queue_position, routing.cells.kept, row_start.data(),
               cell_row.data(), row_cell.data(), tile_expert.data(), tile_row.data(),
               tile_rows.data()});
  }
};

void write_places(const Grouping& from, const FewPlaces& to) {
  const auto cells = from.cell_row.size();
  std::vector<std::int32_t> place_of_row(cells, -1);
  std::int32_t tile = 0;
  for (; std::size_t(tile) < cells && from.tile_expert[tile] >= 0; ++tile) {
    to.tile_expert[tile] = from.tile_expert[tile];
    to.tile_rows[tile] = from.tile_rows[tile];
    std::fill_n(to.place_cell + tile * kTileRows, kTileRows, -1);
    for (std::int32_t r = 0; r < from.tile_rows[tile]; ++r) {
      place_of_row[from.tile_row[tile] + r] = tile * kTileRows + r;
    }
  }
  *to.tiles = tile;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const std::int32_t row = from.cell_row[cell];
    to.cell_place[cell] = row < 0 ? -1 : place_of_row[row];
    if (row >= 0) { to.place_cell[place_of_row[row]] = std::int32_t(cell); }
  }
}

}  // namespace

void few_route_ref(const FewRouteArgs& args) {
  if (args.x) { multiply_router(args); }
  RouteArgs route = args.route;
  const auto tokens = std::size_t(route.routing.tokens);
  std::vector<float> numbers(5 * tokens);
  float* of = numbers.data();
  route.routing.numbers = {of, of + tokens, of + 2 * tokens, of + 3 * tokens, of + 4 * tokens};
  std::vector<std::int32_t> position(tokens * std::size_t(route.routing.slots));
  std::vector<std::int32_t> assigned(std::size_t(route.routing.experts));
  route.queue_position = position.data();
  route.assigned = assigned.data();
  route_ref(route);
  write_places(Grouping(route), args.places);
}

}  // namespace kappascope
