#include "core/train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/input_file.h"
#include "core/checkpoint/torch_pt.h"
#include "core/checkpoint/torch_writer.h"
#include "core/trace/output_file.h"
#include "kernels/element.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMean = "exp_avg.", kSquare = "exp_avg_sq.";
constexpr std::uint64_t kLongestMeta = 1 << 20;

// A tensor and where its values are.
struct Source {
  TorchTensor tensor;
  Bytes bytes;
};

void write_all(const fs::path& path, const std::vector<Source>& sources) {
  std::vector<TorchTensor> listed;
  for (const Source& source : sources) { listed.push_back(source.tensor); }
  std::size_t next = 0;
  write_torch_pt(path, listed, [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
    sink(sources[next++].bytes);
  });
}

template <typename Values>
Source source_of(std::string name, const std::vector<std::int64_t>& shape, const Values& values) {
  return {{std::move(name), DType::float32, shape}, std::as_bytes(std::span(values))};
}

// A copy of the values in bfloat16, in `room`, which is to last as long as the source.
Source narrowed(std::string name, const std::vector<std::int64_t>& shape,
                std::span<const float> values, std::deque<std::vector<BFloat16>>& room) {
  std::vector<BFloat16>& copy = room.emplace_back(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) { narrow(values[i], copy[i]); }
  return {{std::move(name), DType::bfloat16, shape}, std::as_bytes(std::span(copy))};
}

void write_meta(const fs::path& path, const Json& meta) {
  write_file(path, meta.dump(2) + "\n", /*sync=*/true);
}

Json meta_of(const fs::path& folder, std::int64_t step) {
  const fs::path path = folder / CheckpointNames(step).meta;
  return parse_json(read_text_file(path, kLongestMeta), path.string());
}

// Faults where `found` is not what the training settings say.
void add_differences(const std::string& name, const Json& expected, const Json& found,
                     Faults& faults) {
  if (expected == found) { return; }
  if (!expected.is_object() || !found.is_object()) {
    faults.add(ExitCode::damaged, {}, name, " and user_config.kappascope_train disagree; expected ",
               expected.dump(), ", found ", found.dump());
    return;
  }
  for (const auto& [member, value] : expected.items()) {
    add_differences(join_words(name, ".", member), value,
                    found.contains(member) ? found.at(member) : Json(), faults);
  }
  for (const auto& [member, value] : found.items()) {
    if (!expected.contains(member)) {
      faults.add(ExitCode::damaged, {}, name, ".", member,
                 " is no member that this training writes");
    }
  }
}

}  // namespace

CheckpointNames::CheckpointNames(std::int64_t step)
    : model(numbered("model_", step, ".pt")),
      meta(numbered("meta_", step, ".json")),
      moments(numbered("optim_", step, "_rank0.pt")) {}

void write_start(const fs::path& folder, const TrainSettings& settings) {
  const CheckpointNames names(0);
  const Json meta = meta_json(settings, 0);
  write_meta(folder / names.meta, meta);
  const std::vector<NamedValues> weights = initial_weights(settings, meta, folder / names.meta);
  std::vector<Source> model, moments;
  std::size_t most = 0;
  for (const NamedValues& weight : weights) { most = std::max(most, weight.values.size()); }
  const std::vector<float> zeros(most, 0.0f);
  for (const NamedValues& weight : weights) {
    model.push_back(source_of(weight.name, weight.shape, weight.values));
    const std::span none(zeros.data(), weight.values.size());
    moments.push_back(source_of(join_words(kMean, weight.name), weight.shape, none));
    moments.push_back(source_of(join_words(kSquare, weight.name), weight.shape, none));
  }
  write_all(folder / names.model, model);
  write_all(folder / names.moments, moments);
}

void round_to_bfloat16(std::span<const LearnedTensor> tensors) {
  for (const LearnedTensor& tensor : tensors) {
    for (float& value : tensor.values) {
      BFloat16 half;
      narrow(value, half);
      value = widen(half);
    }
  }
}

void write_step(const fs::path& folder, const TrainSettings& settings, std::int64_t step,
                const Progressed& progressed, const Model& model,
                std::span<const LearnedTensor> tensors) {
  const CheckpointNames names(step);
  std::map<std::string_view, const LearnedTensor*> learned;
  for (const LearnedTensor& tensor : tensors) { learned[tensor.name] = &tensor; }
  std::vector<Source> weights, moments;
  std::deque<std::vector<BFloat16>> room;
  const bool half = settings.saves_bfloat16(step);
  for (const TensorInfo& info : model.tensors->tensors()) {
    const auto found = learned.find(info.name);
    if (found == learned.end()) {
      weights.push_back(
          half ? narrowed(info.name, info.shape, model.tensors->floats(info), room)
               : Source{{info.name, info.dtype, info.shape}, model.tensors->data(info)});
      continue;
    }
    const LearnedTensor& tensor = *found->second;
    weights.push_back(half ? narrowed(tensor.name, tensor.shape, tensor.values, room)
                           : source_of(tensor.name, tensor.shape, tensor.values));
    moments.push_back(source_of(join_words(kMean, tensor.name), tensor.shape, tensor.mean));
    moments.push_back(source_of(join_words(kSquare, tensor.name), tensor.shape, tensor.square));
  }
  write_all(folder / names.model, weights);
  write_all(folder / names.moments, moments);
  Json meta = meta_json(settings, step);
  meta["train_loss"] = progressed.train_loss;
  meta["val_bpb"] = progressed.bits_per_byte ? Json(*progressed.bits_per_byte) : Json();
  write_meta(folder / names.meta, meta);
}

std::optional<std::int64_t> newest_resumable(const fs::path& folder) {
  std::error_code absent;
  std::vector<std::int64_t> steps;
  try {
    steps = find_checkpoint(folder).steps;
  } catch (const Error& error) {
    if (error.code() != ExitCode::io) { throw; }
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (fs::exists(folder / CheckpointNames(*step).moments, absent)) { return *step; }
  }
  return {};
}

Progressed progress_of(const fs::path& folder, std::int64_t step) {
  const Json meta = meta_of(folder, step);
  Progressed progressed;
  const auto number = [&](const char* name) {
    return meta.contains(name) && meta.at(name).is_number()
               ? std::optional(meta.at(name).get<double>())
               : std::nullopt;
  };
  progressed.train_loss = number("train_loss").value_or(0);
  progressed.bits_per_byte = number("val_bpb");
  return progressed;
}

TrainSettings settings_of(const fs::path& folder, std::int64_t step) {
  const std::string file = (folder / CheckpointNames(step).meta).string();
  const Json meta = meta_of(folder, step);
  const Json::json_pointer place("/user_config/kappascope_train");
  require(meta.is_object() && meta.contains(place), ExitCode::unsupported, {.file = file},
          "user_config.kappascope_train is absent: this model was not trained by kappascope");
  const TrainSettings settings = read_settings(meta.at(place), file);
  // The same numbers are in several places of the file; a run goes on with what all of them say.
  Faults faults(file);
  const Json written = meta_json(settings, step);
  for (const auto& [name, expected] : written.items()) {
    add_differences(name, expected, meta.contains(name) ? meta.at(name) : Json(), faults);
  }
  faults.throw_if_any();
  return settings;
}

void read_moments(const fs::path& folder, std::int64_t step,
                  std::span<const LearnedTensor> tensors) {
  const fs::path path = folder / CheckpointNames(step).moments;
  const TensorFile file = read_torch_pt(path);
  Faults faults(path.string());
  const auto read = [&](const std::string& name, const LearnedTensor& tensor, std::span<float> into,
                        float least) {
    const TensorInfo* info = file.find(name);
    if (!info || info->shape != tensor.shape || info->dtype != DType::float32) {
      faults.add(ExitCode::damaged, name, "expected float32 ", shape_text(tensor.shape), ", found ",
                 info ? join_words(dtype_name(info->dtype), " ", shape_text(info->shape)) : "none");
      return;
    }
    const std::vector<float> values = file.floats(*info);
    const auto wrong = std::find_if_not(values.begin(), values.end(), [&](float value) {
      return std::isfinite(value) && value >= least;
    });
    if (wrong != values.end()) {
      faults.add(ExitCode::damaged, name, "expected finite numbers", least == 0 ? " from 0 up" : "",
                 ", found ", *wrong, " as value ", wrong - values.begin());
    }
    std::copy(values.begin(), values.end(), into.begin());
  };
  for (const LearnedTensor& tensor : tensors) {
    read(join_words(kMean, tensor.name), tensor, tensor.mean, std::numeric_limits<float>::lowest());
    read(join_words(kSquare, tensor.name), tensor, tensor.square, 0);
  }
  faults.throw_if_any();
}

}  // namespace kappascope
