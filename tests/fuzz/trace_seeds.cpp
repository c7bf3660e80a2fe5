// Seeds of our own files: parameters of models with each kind of κ, arrays that lack or are of
// another type or shape.
#include "core/trace/npy_header.h"
#include "core/trace/recorder.h"
#include "tests/fuzz/more_seeds.h"
#include "tests/tools/synthetic.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_npz.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

// Each array left out, of another type, of another shape, with another header.
void write_changed(const fs::path& folder, const Arrays& sound, WriteSeed* write) {
  for (const auto& [name, data] : sound) {
    Arrays changed = sound;
    changed.erase(name);
    write(folder / (name + " missing"), archive_of(changed));
    for (const auto& [what, from, to] : {std::tuple{" of a type", "'<f", "'<i"},
                                         {" of a type", "'<i", "'<f"},
                                         {" of numbers", "'<U", "'<i"},
                                         {" of another shape", "(", "(1, "},
                                         {" of objects", "'<", "'|O"},
                                         {" with a key", "'descr'", "'other'"},
                                         {" in order", "False", "maybe"}}) {
      changed = sound;
      const std::size_t at = data.find(from);
      if (at == data.npos) { continue; }
      changed[name].replace(at, std::string(from).size(), to);
      write(folder / (name + what), archive_of(changed));
    }
  }
}

void write_parameters(const fs::path& folder, WriteSeed* write) {
  const TempFolder made;
  for (const Granularity granularity : {Granularity::per_gate, Granularity::per_expert,
                                        Granularity::per_layer, Granularity::global}) {
    synthetic::ModelSpec spec;
    spec.layers = 2;
    spec.experts = 2;
    spec.slots = 1;
    spec.granularity = granularity;
    spec.dense_kappa = granularity == Granularity::per_layer;
    synthetic::write_model(made.path(), spec);
    fs::remove(made / "model.npz");
    write_model_parameters(made / "model.npz", open_model(made.path()));
    const Arrays sound = arrays_of(made / "model.npz");
    write(folder / ("parameters " + std::string(name(granularity))), archive_of(sound));
    if (granularity == Granularity::per_layer) { write_changed(folder, sound, write); }
  }
}

// Arrays of every type that a file may have, and texts of every width.
void write_types(const fs::path& folder, WriteSeed* write) {
  Arrays arrays;
  for (const NpyType type : {NpyType::boolean, NpyType::int8, NpyType::int16, NpyType::int32,
                             NpyType::int64, NpyType::float32, NpyType::float64}) {
    const NpyArray array{"", type, {1}};
    arrays[std::string(type_name(type))] =
        npy_header(array) + std::string(std::size_t(array.item_bytes()), '\1');
  }
  std::string text;
  for (const std::uint32_t code : {0x61U, 0xe9U, 0x8a9eU, 0x1f642U}) { text += number(code, 4); }
  arrays["text"] = npy_header({"", NpyType::text, {}, 4}) + text;
  arrays["broken"] = npy_header({"", NpyType::text, {}, 1}) + number(0x110000, 4);
  write(folder / "types", archive_of(arrays));
  for (const char* type : {"|i1", "|u1", "<u2", "<i4", "<u4", "<i8", "<u8"}) {
    std::string routes = npy_header({"", NpyType::int16, {1, 1, 1}});
    routes.replace(routes.find("<i2"), 3, type);
    write(folder / (std::string("routes ") + type), routes + std::string(type[2] - '0', '\0'));
    write(folder / (std::string("routes beyond ") + type),
          routes + std::string(type[2] - '0', '\xff'));
  }
}

}  // namespace

void write_trace_seeds(const fs::path& root, WriteSeed* write) {
  write_parameters(root / "npz", write);
  write_types(root / "npz", write);
}

}  // namespace kappascope::testing
