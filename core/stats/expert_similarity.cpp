#include "core/stats/expert_similarity.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/nan.h"
#include "core/parallel.h"

namespace kappascope {
namespace {

constexpr std::array<Role, 3> kRolesOfExpert = {Role::expert_gate, Role::expert_up,
                                                Role::expert_down};

double dot(const float* a, const float* b, std::int64_t size) {
  double sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 <= size; i += 4) {
    for (std::int64_t k = 0; k < 4; ++k) { sums[k] += double(a[i + k]) * double(b[i + k]); }
  }
  for (; i < size; ++i) { sums[0] += double(a[i]) * double(b[i]); }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// Adds the products of n vectors of `size` with each other to gram [n,n].
void add_products(const std::vector<float>& vectors, std::int64_t n, std::int64_t size,
                  std::vector<double>& gram) {
  for_each_parallel(n, [&](std::int64_t i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      gram[i * n + j] += dot(vectors.data() + i * size, vectors.data() + j * size, size);
    }
  });
}

std::vector<double> cosines(const std::vector<double>& gram, std::int64_t n) {
  std::vector<double> result(gram.size(), kNaN);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      const double scale = std::sqrt(gram[i * n + i]) * std::sqrt(gram[j * n + j]);
      const double cosine = gram[i * n + j] / scale;
      if (!(scale > 0) || !std::isfinite(cosine)) { continue; }
      result[i * n + j] = result[j * n + i] = i == j ? 1 : cosine;
    }
  }
  return result;
}

void step(Progress& progress, std::uint64_t done, std::uint64_t total) {
  if (!progress.update(Stage::read, done, total)) {
    throw Error(ExitCode::interrupted, "interrupted; nothing unfinished is left");
  }
}

// Of a matrix [n,n] of cosines; NaN counts as 0.
std::vector<std::int64_t> cluster_order(const std::vector<double>& cosines, std::int64_t n) {
  std::vector<std::vector<std::int64_t>> clusters;
  std::vector<double> distance(cosines.size());
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    distance[i] = 1 - (std::isfinite(cosines[i]) ? cosines[i] : 0);
  }
  std::vector<std::int64_t> live;
  for (std::int64_t i = 0; i < n; ++i) {
    clusters.push_back({i});
    live.push_back(i);
  }
  while (live.size() > 1) {
    std::size_t best_i = 0, best_j = 1;
    for (std::size_t i = 0; i < live.size(); ++i) {
      for (std::size_t j = i + 1; j < live.size(); ++j) {
        if (distance[live[i] * n + live[j]] < distance[live[best_i] * n + live[best_j]]) {
          best_i = i;
          best_j = j;
        }
      }
    }
    const std::int64_t a = live[best_i], b = live[best_j];  // a holds the lower expert
    const auto size_a = static_cast<double>(clusters[a].size());
    const auto size_b = static_cast<double>(clusters[b].size());
    for (const std::int64_t c : live) {
      const double mean =
          (size_a * distance[a * n + c] + size_b * distance[b * n + c]) / (size_a + size_b);
      distance[a * n + c] = distance[c * n + a] = mean;
    }
    clusters[a].insert(clusters[a].end(), clusters[b].begin(), clusters[b].end());
    live.erase(live.begin() + static_cast<std::ptrdiff_t>(best_j));
  }
  return n > 0 ? clusters[live[0]] : std::vector<std::int64_t>{};
}

}  // namespace

ExpertSimilarity expert_similarity(const Model& model, std::int64_t layer, Progress& progress) {
  const MoeSpec* moe = model.architecture.layers[layer].moe();
  require(moe != nullptr, ExitCode::internal, {}, "similarity of the experts of a dense layer");
  ExpertSimilarity result;
  result.layer = layer;
  result.experts = moe->router.experts;
  const std::int64_t n = result.experts;
  std::vector<double> gram(static_cast<std::size_t>(n * n), 0), of_router = gram;
  std::uint64_t done = 0;
  const auto total = static_cast<std::uint64_t>(std::ssize(kRolesOfExpert) * n);
  for (const Role role : kRolesOfExpert) {
    const Stored* stored = model.weights.find(role, layer);
    if (stored == nullptr || stored->shape.size() != 3) { continue; }
    const std::int64_t size = stored->shape[1] * stored->shape[2];
    std::vector<float> all(static_cast<std::size_t>(n * size));
    for (std::int64_t e = 0; e < n; ++e) {
      step(progress, done++, total);
      read_matrix(*model.tensors, *stored, e, all.data() + e * size);
    }
    add_products(all, n, size, gram);
  }
  const Stored* router = model.weights.find(Role::router, layer);
  require(router != nullptr && router->shape.size() == 2, ExitCode::internal, {},
          "a layer of experts without a router");
  std::vector<float> rows(static_cast<std::size_t>(n * router->shape[1]));
  read_matrix(*model.tensors, *router, 0, rows.data());
  add_products(rows, n, router->shape[1], of_router);
  model.tensors->require_unchanged();
  result.weights = cosines(gram, n);
  result.router = cosines(of_router, n);
  result.order = cluster_order(result.weights, n);
  return result;
}

}  // namespace kappascope
