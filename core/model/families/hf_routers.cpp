// Routers that score experts by a sigmoid, choose them with a bias and within groups (SPEC-families
// §1, §4).
#include <algorithm>
#include <utility>

#include "core/model/families/hf_config.h"

namespace kappascope::hf {

RouterSpec Config::sigmoid_router(const SigmoidDefaults& absent) {
  for (const auto& [field, value] :
       {std::pair{"num_experts", absent.experts}, std::pair{"num_experts_per_tok", absent.slots}}) {
    std::int64_t needed = 1;
    if (value == 0) { fields_.required(field, needed, kAny); }
  }
  const bool normalised = flag("norm_topk_prob", absent.normalised);
  RouterSpec spec =
      router(std::max<std::int64_t>(absent.experts, 1), std::max<std::int64_t>(absent.slots, 1),
             normalised ? CombineWeight::normalised_score : CombineWeight::score);
  spec.score = RouterScore::sigmoid;
  spec.by_score = spec.selection_bias = true;
  spec.sum_added = 1e-20;
  spec.scale = number("routed_scaling_factor", absent.scale);
  spec.groups = groups(spec, {absent.groups, absent.kept_groups, true});
  return spec;
}

std::int64_t Config::shared_experts(const char* field, std::int64_t absent) {
  std::int64_t count = std::max<std::int64_t>(absent, 1);
  if (absent == 0) {
    fields_.required(field, count, 1 << 16);
  } else {
    fields_.integer(field, count, 1, 1 << 16);
  }
  return count;
}

std::optional<RouterGroups> Config::groups(const RouterSpec& router, RouterGroups limit) {
  fields_.integer("n_group", limit.groups, 1, kMostGroups);
  fields_.integer("topk_group", limit.kept, 1, limit.groups);
  limit.kept = std::min(limit.kept, limit.groups);
  const std::int64_t width = router.experts / limit.groups;
  if (router.experts % limit.groups != 0 || (limit.groups > 1 && limit.two_best && width < 2)) {
    fields_.refuse("n_group",
                   join_words("equal groups of num_experts = ", router.experts,
                              limit.two_best ? ", of two or more" : ""),
                   Json(limit.groups));
    return std::nullopt;
  }
  if (router.slots > width * limit.kept) {
    fields_.refuse("num_experts_per_tok",
                   join_words("at most the ", width * limit.kept, " experts of topk_group groups"),
                   Json(router.slots));
  }
  if (limit.kept == limit.groups) { return std::nullopt; }
  return limit;
}

std::vector<LayerSpec> layers_after(Config& config, const Sizes& sizes, std::int64_t absent,
                                    const LayerSpec& layer, const DenseSpec& dense,
                                    const MoeSpec& moe) {
  const std::int64_t first = config.size("first_k_dense_replace", absent, 0);
  std::vector<LayerSpec> layers(std::size_t(sizes.depth), layer);
  for (std::int64_t i = 0; i < sizes.depth; ++i) {
    if (i < first) {
      layers[i].feed_forward = dense;
    } else {
      layers[i].feed_forward = moe;
    }
  }
  return layers;
}

}  // namespace kappascope::hf
