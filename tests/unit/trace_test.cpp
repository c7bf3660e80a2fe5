#include "core/trace/trace.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>

#include "core/trace/kappa_in_force.h"
#include "core/trace/recorder.h"
#include "trace_fixture.h"

namespace kappascope {
namespace {

using trace_test::add_weights;
using trace_test::failure_of;
using trace_test::make_model;
using trace_test::make_settings;
using trace_test::make_text;
using trace_test::read_bytes;
using trace_test::record;
using trace_test::TempFolder;
using trace_test::write_bytes;

struct RawArray {
  NpyArray array;
  std::vector<std::byte> bytes;
  std::vector<std::string> items;  // of a text

  template <typename T>
  void set(std::size_t index, T value) {
    std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
  }
};
using RawArrays = std::map<std::string, RawArray>;

RawArrays read_arrays(const std::filesystem::path& path) {
  const NpzReader reader(path);
  const ZipDirectory directory = ZipDirectory::read(reader.file());
  RawArrays arrays;
  for (const NpyArray& array : reader.arrays()) {
    RawArray& raw = arrays[array.name];
    raw.array = array;
    if (array.type == NpyType::text) {
      raw.items = reader.text(array.name);
      continue;
    }
    const ZipEntry& entry = *directory.find(array.name + ".npy");
    const auto size = static_cast<std::uint64_t>(array.elements() * array.item_bytes());
    const std::uint64_t end = directory.data_offset(reader.file(), entry) + entry.size;
    raw.bytes = reader.file().read(end - size, size, "array");
  }
  return arrays;
}

void write_arrays(const std::filesystem::path& path, RawArrays& arrays) {
  std::vector<NpyArray> announced;
  for (auto& [name, raw] : arrays) {
    for (const std::string& item : raw.items) {
      raw.array.text_width = std::max(raw.array.text_width, static_cast<std::int64_t>(item.size()));
    }
    announced.push_back(raw.array);
  }
  NpzWriter writer(path, announced);
  for (const auto& [name, raw] : arrays) {
    if (raw.array.type == NpyType::text) {
      writer.write_text(name, 0, raw.items);
    } else {
      writer.write(name, 0, raw.bytes);
    }
  }
  writer.finish();
}

// The failure of opening a good trace after `change`.
Failure opened_after(const std::function<void(RawArrays&)>& change) {
  TempFolder folder;
  record(folder / "good.npz", make_model(), make_text(6));
  RawArrays arrays = read_arrays(folder / "good.npz");
  change(arrays);
  write_arrays(folder / "changed.npz", arrays);
  return failure_of([&] { open_trace(folder / "changed.npz"); });
}

void edit_meta(RawArrays& arrays, const std::function<void(Json&)>& edit) {
  std::string& text = arrays["kappascope_meta"].items.front();
  Json meta = Json::parse(text);
  edit(meta);
  text = meta.dump();
}

TEST(Trace, OpensUnchanged) {
  const Failure failure = opened_after([](RawArrays&) {});
  EXPECT_EQ(failure.code, ExitCode::ok) << failure.message;
}

TEST(Trace, ReportsAllMissesAtOnce) {
  const Failure failure = opened_after([](RawArrays& arrays) {
    arrays.erase("kappa_mean");
    arrays["router_margin"].array.shape = {36};
    arrays["nll"].array.type = NpyType::int32;
  });
  EXPECT_EQ(failure.code, ExitCode::damaged);
  for (const char* part : {"tensor kappa_mean: missing array", "tensor router_margin: shape",
                           "tensor nll: array type; expected float32, found int32"}) {
    EXPECT_NE(failure.message.find(part), std::string::npos) << failure.message;
  }
}

TEST(Trace, CountsAreOfAnyOrder) {
  const Failure failure =
      opened_after([](RawArrays& arrays) { arrays["kappa_hist"].set(3, std::int64_t{1}); });
  EXPECT_EQ(failure.code, ExitCode::ok) << failure.message;
}

TEST(Trace, ChecksTheDocument) {
  const auto code = [](const std::function<void(Json&)>& edit) {
    return opened_after([&](RawArrays& arrays) { edit_meta(arrays, edit); }).code;
  };
  EXPECT_EQ(code([](Json& meta) { meta.erase("config_sha256"); }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta["model"] = "name"; }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta["model"]["step"] = ~std::uint64_t{0}; }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta["n_layer"] = 0; }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta["kappa"]["in_force"] = 1; }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta["dimensions"]["gate"] = 1e3; }), ExitCode::damaged);
  EXPECT_EQ(code([](Json& meta) { meta = Json::array(); }), ExitCode::damaged);
  EXPECT_EQ(opened_after([](RawArrays& arrays) {
              arrays["kappascope_meta"].items.front() = "{\"schema\": ";
            }).code,
            ExitCode::damaged);
  EXPECT_EQ(opened_after([](RawArrays& arrays) { arrays.erase("kappascope_meta"); }).code,
            ExitCode::damaged);
}

TEST(Trace, ATruncatedTraceIsDamaged) {
  TempFolder folder;
  record(folder / "good.npz", make_model(), make_text(3));
  const std::string whole = read_bytes(folder / "good.npz");
  for (std::size_t length = 0; length < whole.size(); length += 61) {
    write_bytes(folder / "t.npz", std::string_view(whole).substr(0, length));
    ASSERT_EQ(failure_of([&] { open_trace(folder / "t.npz"); }).code, ExitCode::damaged) << length;
  }
}

// What the optional array `name` of floats of that shape makes of a good trace.
Failure with_array(const std::string& name, const std::vector<std::int64_t>& shape) {
  return opened_after([&](RawArrays& arrays) {
    RawArray& raw = arrays[name];
    raw.array = {name, NpyType::float32, shape};
    raw.bytes.resize(static_cast<std::size_t>(raw.array.elements()) * sizeof(float));
  });
}

TEST(TraceFile, OptionalArraysAreChecked) {  // M = 6, T = 6, E = 3, K = 2, I = 8
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{6}, {6, 3}, {6, 3, 8}}) {
    EXPECT_EQ(with_array("kappa_bias_in_force", shape).code, ExitCode::ok);
  }
  EXPECT_EQ(with_array("kappa_bias_in_force", {6, 8}).code, ExitCode::damaged);
  EXPECT_EQ(with_array("kappa_scale_in_force", {}).code, ExitCode::damaged);
  EXPECT_EQ(with_array("kappa_factor", {6}).code, ExitCode::damaged);
  EXPECT_EQ(with_array("expert_output_norm", {6, 3}).code, ExitCode::damaged);
  const Failure alone = opened_after([](RawArrays& arrays) {
    arrays["kappa_factor"].array = {"kappa_factor", NpyType::float32, {6, 3}};
    arrays["kappa_factor"].bytes.resize(18 * sizeof(float));
    arrays.erase("layer_index");
  });
  EXPECT_EQ(alone.code, ExitCode::damaged);
  EXPECT_NE(alone.message.find("layer_index: missing array beside"), std::string::npos);
}

TEST(ModelParametersFile, KeepsEveryGranularity) {
  for (const bool scale : {true, false}) {
    for (const Granularity granularity : {Granularity::per_gate, Granularity::per_expert,
                                          Granularity::per_layer, Granularity::global}) {
      TempFolder folder;
      Model model = make_model(granularity, scale);
      add_weights(model, folder / "weights");
      write_model_parameters(folder / "model.npz", model);
      const auto read = open_model_parameters(folder / "model.npz");
      EXPECT_EQ(read->layer_kind, (std::vector<std::string>{"dense", "moe", "moe", "moe"}));
      EXPECT_EQ(read->experts, 3);
      EXPECT_EQ(read->gates, 8);
      EXPECT_EQ(read->kappa_start_layer, 2);
      EXPECT_TRUE(std::isnan(read->alignment_mean[2]));
      EXPECT_FALSE(std::isnan(read->alignment_mean[3]));
      record(folder / "trace.npz", model, make_text(3));
      const Trace trace = open_trace(folder / "trace.npz");  // layers 1, 2, 3, twice
      EXPECT_EQ(trace.kappa_in_force->source(0), KappaSource::fixed);
      EXPECT_TRUE(trace.kappa_view(0, 0).fixed());
      const KappaParameters& kappa = model.kappa[3];
      for (std::int64_t e = 0; e < 3; ++e) {
        const KappaView view = trace.kappa_view(5, e);
        EXPECT_FLOAT_EQ(view.log_bound, std::log(3.0f));
        EXPECT_EQ(view.scale != nullptr, scale);
        for (std::int64_t i = 0; i < 8; ++i) {
          const auto at = static_cast<std::size_t>(e * kappa.expert_stride + i * kappa.gate_stride);
          EXPECT_EQ(view.bias[i * view.gate_stride], kappa.bias[at]);
          if (scale) { EXPECT_EQ(view.scale[i * view.scale_gate_stride], kappa.scale[at]); }
        }
      }
    }
  }
}

TEST(ModelParametersFile, RefusesUnknownGranularity) {
  TempFolder folder;
  Model model = make_model();
  add_weights(model, folder / "weights");
  write_model_parameters(folder / "model.npz", model);
  RawArrays arrays = read_arrays(folder / "model.npz");
  edit_meta(arrays, [](Json& meta) { meta["kappa"]["granularity"] = "per-cent"; });
  arrays["kappa_bias"].array.shape = arrays["kappa_scale"].array.shape = {};
  for (const char* name : {"kappa_bias", "kappa_scale"}) { arrays[name].bytes.resize(4); }
  write_arrays(folder / "changed.npz", arrays);
  EXPECT_EQ(failure_of([&] { open_model_parameters(folder / "changed.npz"); }).code,
            ExitCode::damaged);
}

// The other trace of `run --against`, of the same model or of another.
TEST(Trace, OfAnotherRunFindsTheParametersTwoFoldersAbove) {
  TempFolder folder;
  Model model = make_model();
  add_weights(model, folder / "weights");
  for (const char* name : {"against", "other"}) {
    std::filesystem::create_directories(folder / "run" / name);
    record(folder / "run" / name / "trace.npz", model, make_text(3));
  }
  write_model_parameters(folder / "model.npz", model);
  EXPECT_NE(open_trace(folder / "run" / "against" / "trace.npz").model, nullptr);
  EXPECT_EQ(open_trace(folder / "run" / "other" / "trace.npz").model, nullptr);
}

TEST(Trace, FindsTheParametersOfItsCheckpoint) {
  TempFolder folder;
  Model model = make_model();
  add_weights(model, folder / "weights");
  std::filesystem::create_directories(folder / "run");
  record(folder / "run" / "trace.npz", model, make_text(3));
  EXPECT_EQ(open_trace(folder / "run" / "trace.npz").model, nullptr);
  write_model_parameters(folder / "model.npz", model);
  EXPECT_NE(open_trace(folder / "run" / "trace.npz").model, nullptr);
  // Nearer, but of another checkpoint.
  model.directory_sha256 = std::string(64, 'c');
  write_model_parameters(folder / "run" / "model.npz", model);
  EXPECT_NE(open_trace(folder / "run" / "trace.npz").model, nullptr);
  std::filesystem::remove(folder / "model.npz");
  const Trace trace = open_trace(folder / "run" / "trace.npz");
  EXPECT_EQ(trace.model, nullptr);
  EXPECT_NE(trace.model_problem.find("another checkpoint"), std::string::npos);
}

}  // namespace
}  // namespace kappascope
