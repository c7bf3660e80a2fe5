// What hf_weights.cpp and hf_mixer_weights.cpp fill a model's weights with: a name and a shape for
// each part that the architecture has.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/families/hf_weights.h"

namespace kappascope::hf {

using Shape = std::vector<std::int64_t>;

class RoleTable {
 public:
  RoleTable(Model& model, const ExpertNames& names, bool eight_bits, Faults& faults)
      : model_(model),
        architecture_(model.architecture),
        file_(*model.tensors),
        names_(names),
        eight_bits_(eight_bits),
        faults_(faults) {}

  void fill(bool tied);

 private:
  void fill_mixer(const LayerSpec& spec);
  void fill_attention(const AttentionSpec& attention);
  void fill_head_norms(const AttentionSpec& attention);
  void fill_latent(const AttentionSpec& attention, const LatentSpec& latent);
  void fill_convolution(const ConvolutionSpec& convolution);
  void fill_delta(const DeltaSpec& delta);

  void fill_feed_forward(const LayerSpec& spec);
  void fill_dense(const DenseSpec& dense);
  void fill_experts(const MoeSpec& moe);
  void fill_expert_matrices(const MoeSpec& moe, bool packed);
  void fill_interleaved(const Shape& in, const Shape& out, const MoeSpec& moe);
  void fill_shared(const SharedSpec& shared);

  // `tail`: after "model.layers.LAYER."; '#' in it stands for `expert`, where one is given.
  std::string full(std::string_view tail, std::string_view expert = "") const;
  bool has(const char* tail) const;
  bool has_apart() const;
  // A weight of this layer; nullptr for its name: our mistake.
  void row(Role role, const char* tail, Shape shape, TensorLayout layout = {});
  // The bias beside a weight called so.
  static std::string bias_beside(std::string weight);
  void bias_row(Role role, std::string_view weight, std::int64_t size);
  void add(Role role, std::string name, Shape shape, TensorLayout layout = {});
  void add_apart(Role role, const char* tail, Shape shape);
  void add_block_scales(Stored& weight, const std::string& name, const TensorInfo& tensor);
  void add_mxfp4(Role role, const std::string& tail, const Shape& shape, AxisPart part);
  const TensorInfo* found(const std::string& name, const Shape& shape, bool bytes = false);

  Model& model_;
  const Architecture& architecture_;
  const TensorFile& file_;
  const ExpertNames& names_;
  bool eight_bits_;
  Faults& faults_;
  std::int64_t layer_ = -1;
  std::set<std::string> said_;  // tensors that were looked at
};

}  // namespace kappascope::hf
