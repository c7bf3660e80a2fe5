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
  StreamedLayers(std::shared_ptr<const WeightReader> reader, std::unique_ptr<LayerLane> lane,
                 bool keeps_head)
      : reader_(std::move(reader)), lane_(std::move(lane)), keeps_head_(keeps_head) {}

  const LayerWeights& layer(std::int64_t layer, std::int64_t tokens) override {
    Used before = take_used();
    if (ahead_ == layer) {
      here_.layer = take();
    } else {
      if (ahead_ >= 0) { take(); }  // of a call that was stopped
      lane_->read([&] {
        before = {};
        here_.layer = reader_->layer(layer);
      });
    }
    lane_->await();
    read_ahead((layer + 1) % reader_->layers(), tokens, std::move(before));
    return here_.layer;
  }

  const at::Tensor& head() override {
    at::Tensor& head = keeps_head_ ? kept_head_ : here_.head;
    if (head.defined()) { return head; }
    Used before = keeps_head_ ? Used{} : take_used();
    lane_->read([&] {
      before = {};
      head = reader_->head();
    });
    lane_->await();
    return head;
  }

 private:
  struct Used {
    LayerWeights layer;
    at::Tensor head;
  };

  // What the device may still read: it is to be dropped in the lane.
  Used take_used() {
    lane_->mark_used();
    return std::exchange(here_, {});
  }

  LayerWeights take() {
    ahead_ = -1;
    return coming_.get();
  }

  // `before` is dropped first, so that its memory is there for the layer.
  void read_ahead(std::int64_t layer, std::int64_t tokens, Used before) {
    coming_ =
        std::async(std::launch::async, [this, layer, tokens, before = std::move(before)]() mutable {
          omp_set_num_threads(1);  // of this thread: the others belong to the layer that runs
          const at::InferenceMode no_gradients;
          LayerWeights read;
          lane_->read([&] {
            before = {};
            reader_->prefetch(layer, tokens);
            read = reader_->layer(layer);
          });
          return read;
        });
    ahead_ = layer;
  }

  const std::shared_ptr<const WeightReader> reader_;
  const std::unique_ptr<LayerLane> lane_;
  const bool keeps_head_;
  at::Tensor kept_head_;
  Used here_;
  std::int64_t ahead_ = -1;           // the layer that is coming
  std::future<LayerWeights> coming_;  // last: its thread ends before the rest is gone
};

}  // namespace

std::shared_ptr<LayerSource> resident_layers(std::vector<LayerWeights> layers, at::Tensor head) {
  return std::make_shared<ResidentLayers>(std::move(layers), std::move(head));
}

std::shared_ptr<LayerSource> streamed_layers(std::shared_ptr<const WeightReader> reader,
                                             std::unique_ptr<LayerLane> lane, bool keeps_head) {
  return std::make_shared<StreamedLayers>(std::move(reader), std::move(lane), keeps_head);
}

}  // namespace kappascope
