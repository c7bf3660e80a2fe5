#include "core/forward/layer_source.h"

#include <omp.h>

#include <future>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

class ResidentLayers final : public LayerSource {
 public:
  ResidentLayers(std::vector<LayerWeights> layers, at::Tensor head)
      : layers_(std::move(layers)), head_(std::move(head)) {}
  const LayerWeights& layer(std::int64_t layer, std::int64_t /*tokens*/) override {
    return layers_[layer];
  }
  const at::Tensor& head() override { return head_; }

 private:
  const std::vector<LayerWeights> layers_;
  const at::Tensor head_;
};

class StreamedLayers final : public LayerSource {
 public:
  explicit StreamedLayers(std::shared_ptr<const WeightReader> reader)
      : reader_(std::move(reader)) {}

  const LayerWeights& layer(std::int64_t layer, std::int64_t tokens) override {
    head_ = at::Tensor();
    here_ = LayerWeights();  // its memory is free before the next but one is read
    here_ = ahead_ == layer ? take() : reader_->layer(layer);
    read_ahead((layer + 1) % reader_->layers(), tokens);
    return here_;
  }

  const at::Tensor& head() override {
    here_ = LayerWeights();
    if (!head_.defined()) { head_ = reader_->head(); }
    return head_;
  }

 private:
  LayerWeights take() {
    ahead_ = -1;
    return coming_.get();
  }

  void read_ahead(std::int64_t layer, std::int64_t tokens) {
    if (ahead_ == layer) { return; }
    if (ahead_ >= 0) { coming_.wait(); }
    coming_ = std::async(std::launch::async, [reader = reader_, layer, tokens] {
      omp_set_num_threads(1);  // of this thread: the others belong to the layer that runs
      const at::InferenceMode no_gradients;
      reader->prefetch(layer, tokens);
      return reader->layer(layer);
    });
    ahead_ = layer;
  }

  std::shared_ptr<const WeightReader> reader_;
  LayerWeights here_;
  at::Tensor head_;
  std::int64_t ahead_ = -1;           // the layer that is coming
  std::future<LayerWeights> coming_;  // last: its thread ends before the rest is gone
};

}  // namespace

std::shared_ptr<LayerSource> resident_layers(std::vector<LayerWeights> layers, at::Tensor head) {
  return std::make_shared<ResidentLayers>(std::move(layers), std::move(head));
}

std::shared_ptr<LayerSource> streamed_layers(std::shared_ptr<const WeightReader> reader) {
  return std::make_shared<StreamedLayers>(std::move(reader));
}

}  // namespace kappascope
