#include "core/trace/joined.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>

#include "core/checkpoint/tensor.h"
#include "core/error.h"
#include "core/nan.h"
#include "core/trace/npz.h"
#include "core/trace/schema.h"

namespace kappascope {
namespace {

using Traces = std::span<const Trace* const>;

// A value of the document by its keys; null where there is none.
Json at(const Json& document, std::initializer_list<const char*> keys) {
  const Json* place = &document;
  for (const char* key : keys) {
    if (!place->is_object() || !place->contains(key)) { return {}; }
    place = &(*place)[key];
  }
  return *place;
}

// How an array of all texts is made of those of each.
enum class Joining : std::uint8_t { tokens, added, mean, root_mean_square, first };

Joining joining_of(const ArraySchema& schema) {
  const auto end = schema.axes.end();
  if (std::find(schema.axes.begin(), end, Axis::token) != end) { return Joining::tokens; }
  if (schema.type == NpyType::int64 || schema.name == "effect_count") { return Joining::added; }
  const bool root = schema.name == "effect_rms" || schema.name == "effect_rel_rms";
  if (root) { return Joining::root_mean_square; }
  return schema.type == NpyType::float64 ? Joining::mean : Joining::first;
}

// Gates, outputs and logits, and what is of each text alone.
bool left_out(const ArraySchema& schema) {
  const bool sums = schema.name.starts_with("effect_") || schema.name == "kappa_u_square";
  return schema.group == ArrayGroup::gates || schema.group == ArrayGroup::outputs ||
         schema.group == ArrayGroup::logits || (schema.type == NpyType::float64 && !sums);
}

// The values of an array of numbers as they are in memory.
std::span<const std::byte> bytes_of(const NpzReader& file, const NpyArray& array) {
  switch (array.type) {
    case NpyType::boolean:
      return std::as_bytes(file.boolean(array.name));
    case NpyType::int8:
      return std::as_bytes(file.int8(array.name));
    case NpyType::int16:
      return std::as_bytes(file.int16(array.name));
    case NpyType::int32:
      return std::as_bytes(file.int32(array.name));
    case NpyType::int64:
      return std::as_bytes(file.int64(array.name));
    case NpyType::float32:
      return std::as_bytes(file.float32(array.name));
    case NpyType::float64:
      return std::as_bytes(file.float64(array.name));
    case NpyType::text:
      break;
  }
  fail(ExitCode::internal, {}, array.name, ": the bytes of a text");
}

// The array of each text that is in all of them; a text that lacks it, or has another shape but for
// its tokens: usage.
std::vector<const NpyArray*> arrays_of(Traces traces, const ArraySchema& schema) {
  std::vector<const NpyArray*> arrays;
  for (const Trace* trace : traces) { arrays.push_back(trace->file->find(schema.name)); }
  for (std::size_t i = 1; i < arrays.size(); ++i) {
    bool same = (arrays[i] == nullptr) == (arrays[0] == nullptr);
    if (same && arrays[0] != nullptr) {
      same = arrays[i]->shape.size() == arrays[0]->shape.size();
      for (std::size_t k = 0; same && k < arrays[0]->shape.size(); ++k) {
        same = schema.axes[k] == Axis::token || arrays[i]->shape[k] == arrays[0]->shape[k];
      }
    }
    require(same, ExitCode::usage, {traces[i]->path.native(), schema.name}, "not as in ",
            traces[0]->path.native(), "; expected traces of one model with the same settings");
  }
  return arrays;
}

class Joiner {
 public:
  Joiner(const std::filesystem::path& path, Traces traces, const std::string& source)
      : traces_(traces) {
    for (const Trace* trace : traces) { tokens_ += trace->tokens; }
    for (const ArraySchema& schema : array_schemas()) { announce(schema); }
    meta_ = meta_text(meta(source));
    announced_.push_back(meta_array(meta_));
    writer_.emplace(path, announced_);
  }

  void write() {
    for (const Part& part : parts_) { write(part); }
    const std::vector<std::string> text{meta_};
    writer_->write_text(kMetaArray, 0, text);
    writer_->finish();
  }

 private:
  struct Part {
    const ArraySchema* schema;
    std::vector<const NpyArray*> arrays;  // of each text
  };

  void announce(const ArraySchema& schema) {
    if (left_out(schema)) { return; }
    Part part{&schema, arrays_of(traces_, schema)};
    if (part.arrays[0] == nullptr) { return; }
    NpyArray array = *part.arrays[0];
    for (std::size_t k = 0; k < array.shape.size(); ++k) {
      if (schema.axes[k] == Axis::token) { array.shape[k] = tokens_; }
    }
    for (const NpyArray* one : part.arrays) {
      array.text_width = std::max(array.text_width, one->text_width);
    }
    announced_.push_back(std::move(array));
    parts_.push_back(std::move(part));
  }

  Json meta(const std::string& source) const {
    Json meta = traces_[0]->meta;
    Json arrays = Json::object(), chunks = Json::array();
    for (const Part& part : parts_) {
      arrays[std::string(part.schema->name)] =
          describe_array(*part.schema, part.arrays[0]->shape.size());
    }
    std::string hashes;
    std::int64_t before = 0;
    for (const Trace* trace : traces_) {
      const Json hash = at(trace->meta, {"document", "sha256"});
      hashes += (hash.is_string() ? hash.get<std::string>() : "") + "\n";
      for (Json chunk : at(trace->meta, {"window", "chunks"})) {
        for (const char* key : {"begin", "first_recorded", "end"}) {
          if (chunk.is_object() && chunk.contains(key) && chunk[key].is_number_integer()) {
            chunk[key] = chunk[key].get<std::int64_t>() + before;
          }
        }
        chunks.push_back(std::move(chunk));
      }
      before += trace->tokens;
    }
    meta["arrays"] = std::move(arrays);
    meta["dimensions"]["token"] = tokens_;
    meta["document"] = {{"source", source}, {"index", 0}, {"sha256", sha256_hex(hashes)}};
    if (meta.contains("window") && meta["window"].is_object()) {
      meta["window"]["chunks"] = std::move(chunks);
    }
    if (meta.contains("recorded") && meta["recorded"].is_object()) {
      meta["recorded"]["gates"] = meta["recorded"]["logits"] = false;
      meta["recorded"].erase("outputs");
    }
    return meta;
  }

  void write(const Part& part) {
    const std::string name(part.schema->name);
    switch (joining_of(*part.schema)) {
      case Joining::tokens:
        return part.schema->type == NpyType::text ? write_texts(name) : write_tokens(part);
      case Joining::added:
        return part.schema->type == NpyType::int64 ? writer_->write(name, added<std::int64_t>(name))
                                                   : writer_->write(name, added<double>(name));
      case Joining::mean:
        return writer_->write(name, means(name, false));
      case Joining::root_mean_square:
        return writer_->write(name, means(name, true));
      case Joining::first:
        return writer_->write(name, 0, bytes_of(*traces_[0]->file, *part.arrays[0]));
    }
  }

  void write_texts(const std::string& name) {
    std::int64_t before = 0;
    for (const Trace* trace : traces_) {
      const std::vector<std::string> texts = trace->file->text(name);
      const std::span<const std::string> all(texts);
      for (std::int64_t row = 0; row * trace->tokens < std::ssize(texts); ++row) {
        writer_->write_text(name, row * tokens_ + before,
                            all.subspan(row * trace->tokens, trace->tokens));
      }
      before += trace->tokens;
    }
  }

  void write_tokens(const Part& part) {
    const NpyArray& shape = *part.arrays[0];
    const auto axis = std::find(part.schema->axes.begin(), part.schema->axes.end(), Axis::token);
    const auto place = axis - part.schema->axes.begin();
    std::int64_t outer = 1, inner = 1;
    for (std::int64_t k = 0; k < std::ssize(shape.shape); ++k) {
      (k < place ? outer : inner) *= k == place ? 1 : shape.shape[k];
    }
    std::int64_t before = 0;
    for (std::size_t i = 0; i < traces_.size(); ++i) {
      const auto bytes = bytes_of(*traces_[i]->file, *part.arrays[i]);
      const std::int64_t own = traces_[i]->tokens * inner;
      const auto size = static_cast<std::size_t>(own * shape.item_bytes());
      for (std::int64_t o = 0; o < outer; ++o) {
        writer_->write(shape.name, (o * tokens_ + before) * inner,
                       bytes.subspan(static_cast<std::size_t>(o) * size, size));
      }
      before += traces_[i]->tokens;
    }
  }

  template <typename T>
  std::vector<T> added(const std::string& name) const {
    std::vector<T> sum;
    for (const Trace* trace : traces_) {
      std::span<const T> values;
      if constexpr (std::is_same_v<T, double>) {
        values = trace->file->float64(name);
      } else {
        values = trace->file->int64(name);
      }
      sum.resize(values.size(), 0);
      for (std::size_t i = 0; i < values.size(); ++i) { sum[i] += values[i]; }
    }
    return sum;
  }

  // Weighted by effect_count; NaN where nothing was counted.
  std::vector<double> means(const std::string& name, bool squares) const {
    std::vector<double> sum, count;
    for (const Trace* trace : traces_) {
      const auto values = trace->file->float64(name);
      sum.resize(values.size(), 0);
      count.resize(values.size(), 0);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double n = trace->effect_count[i];
        if (n == 0) { continue; }
        sum[i] += n * (squares ? values[i] * values[i] : values[i]);
        count[i] += n;
      }
    }
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const double mean = count[i] == 0 ? kNaN : sum[i] / count[i];
      sum[i] = squares ? std::sqrt(mean) : mean;
    }
    return sum;
  }

  Traces traces_;
  std::int64_t tokens_ = 0;
  std::vector<Part> parts_;
  std::vector<NpyArray> announced_;
  std::string meta_;
  std::optional<NpzWriter> writer_;
};

}  // namespace

void write_joined_trace(const std::filesystem::path& path, std::span<const Trace* const> traces,
                        const std::string& source) {
  require(!traces.empty(), ExitCode::internal, {}, "no trace to be joined");
  for (const Trace* trace : traces) {
    for (const char* key : {"config_sha256", "tensor_directory_sha256", "interventions", "only"}) {
      require(at(trace->meta, {key}) == at(traces[0]->meta, {key}), ExitCode::usage,
              {trace->path.native()}, key, " is not that of ", traces[0]->path.native(),
              "; expected traces of one model with the same settings");
    }
  }
  Joiner(path, traces, source).write();
}

}  // namespace kappascope
