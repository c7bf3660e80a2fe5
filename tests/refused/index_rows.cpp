// Indices of sharded weights: what they name, and where that leads.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/checkpoint/shards.h"
#include "tests/refused/refused.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope::refused {
namespace {

namespace fs = std::filesystem;
using testing::safetensors_entry;
using testing::safetensors_of;

constexpr const char* kIndex = "model.safetensors.index.json";

std::string shard_of(const std::string& name) {
  return safetensors_of("{\"" + name + "\":" + safetensors_entry("F32", "[1]", "[0,4]") + "}", 4);
}

std::string read(const TempFolder& folder) {
  CheckpointFiles files;
  files.kind = FolderKind::hugging_face;
  files.weights = folder / kIndex;
  read_weights(files);
  return "";
}

auto index(const std::string& text) {
  return [=](const TempFolder& folder) {
    folder.write(kIndex, text);
    folder.write("one.safetensors", shard_of("a"));
    folder.write("two.safetensors", shard_of("b"));
    return read(folder);
  };
}
auto map(const std::string& items) {
  return index("{\"weight_map\":{" + items + "}}");
}
// An index of one shard, which `make` puts there in some way.
template <typename Make>
auto shard(const Make& make) {
  return [=](const TempFolder& folder) {
    folder.write(kIndex, R"({"weight_map":{"a":"shard.safetensors"}})");
    make(folder);
    return read(folder);
  };
}

Rows text_rows() {
  return {{"empty index", index(""),
           "3 DIR/model.safetensors.index.json: the file is empty; expected JSON"},
          {"index is a list", index("[]"),
           "3 DIR/model.safetensors.index.json: weight_map: expected names of files by tensor, "
           "found none"},
          {"no weight_map", index(R"({"metadata":{"total_size":8}})"),
           "3 DIR/model.safetensors.index.json: weight_map: expected names of files by tensor, "
           "found none"},
          {"weight_map is a list", index(R"({"weight_map":["one.safetensors"]})"),
           "3 DIR/model.safetensors.index.json: weight_map: expected names of files by tensor, "
           "found [\"one.safetensors\"]"},
          {"weight_map is empty", index(R"({"weight_map":{}})"),
           "3 DIR/model.safetensors.index.json: weight_map: expected names of files by tensor, "
           "found {}"},
          {"shard is a number", map(R"("a":1)"),
           "3 DIR/model.safetensors.index.json: tensor a: weight_map: expected the name of a file, "
           "found 1"},
          {"tensor twice", map(R"("a":"one.safetensors","a":"two.safetensors")"),
           "3 DIR/model.safetensors.index.json: offset 39: duplicate key 'a'"},
          {"shard that is not there", map(R"("a":"one.safetensors","b":"three.safetensors")"),
           "5 DIR/three.safetensors: is missing"},
          {"two shards that are not there", map(R"("a":"3.safetensors","b":"4.safetensors")"),
           "5 DIR/3.safetensors: is missing; DIR/4.safetensors: is missing"},
          {"tensor in no shard", map(R"("a":"one.safetensors","c":"two.safetensors")"),
           "3 DIR/model.safetensors.index.json: tensor c: is not in two.safetensors, which "
           "weight_map names"},
          {"tensor in another shard", map(R"("a":"two.safetensors","b":"one.safetensors")"),
           "3 DIR/model.safetensors.index.json: tensor a: is not in two.safetensors, which "
           "weight_map names, but in one.safetensors; tensor b: is not in one.safetensors, which "
           "weight_map names, but in two.safetensors"},
          {"name with a line break", map(R"("a\n\u001b[2J":"one.safetensors")"),
           "3 DIR/model.safetensors.index.json: tensor a\\x0a\\x1b[2J: is not in one.safetensors, "
           "which weight_map names"}};
}

Rows shard_rows() {
  return {
      {"parent folder", map(R"("a":"../one.safetensors")"),
       "3 DIR/../one.safetensors: leads out of the folder; expected the name of a file in it"},
      {"up and down", map(R"("a":"x/../../one.safetensors")"),
       "3 DIR/x/../../one.safetensors: leads out of the folder; expected the name of a file in it"},
      {"absolute path", map(R"("a":"/etc/passwd")"),
       "3 /etc/passwd: leads out of the folder; expected the name of a file in it"},
      {"subfolder", map(R"("a":"sub/one.safetensors")"), "5 DIR/sub/one.safetensors: is missing"},
      {"dots", map(R"("a":"..")"),
       "3 DIR/..: leads out of the folder; expected the name of a file in it"},
      {"empty name", map(R"("a":"")"),
       "3 DIR/: leads out of the folder; expected the name of a file in it"},
      {"NUL in a name", map(R"("a":"one.safetensors\u0000")"),
       "3 DIR/one.safetensors\\x00: a name with a NUL byte; expected the name of a file in the "
       "folder"},
      {"link out of the folder", shard([](const TempFolder& folder) {
         fs::create_symlink("/etc/hostname", folder / "shard.safetensors");
       }),
       "3 DIR/shard.safetensors: is a link out of the folder, to /etc/hostname; expected a file in "
       "it: copy it there"},
      {"link to nothing", shard([](const TempFolder& folder) {
         fs::create_symlink("nowhere", folder / "shard.safetensors");
       }),
       "5 DIR/shard.safetensors: is a link to a file that is not there"},
      {"link to itself", shard([](const TempFolder& folder) {
         fs::create_symlink("shard.safetensors", folder / "shard.safetensors");
       }),
       "5 DIR/shard.safetensors: is a link to a file that is not there"},
      {"FIFO for a shard", shard([](const TempFolder& folder) {
         (void)::mkfifo((folder / "shard.safetensors").c_str(), 0600);
       }),
       "3 DIR/shard.safetensors: not a regular file; expected a file, found a FIFO"},
      {"device for a shard", shard([](const TempFolder& folder) {
         fs::create_symlink("/dev/zero", folder / "shard.safetensors");
       }),
       "3 DIR/shard.safetensors: is a link out of the folder, to /dev/zero; expected a file in it: "
       "copy it there"},
      {"folder for a shard",
       shard([](const TempFolder& folder) { fs::create_directory(folder / "shard.safetensors"); }),
       "3 DIR/shard.safetensors: not a regular file; expected a file, found a folder"},
      {"damaged shard", shard([](const TempFolder& folder) {
         folder.write("shard.safetensors", shard_of("a").substr(0, 30));
       }),
       "3 DIR/shard.safetensors: offset 8: truncated inside the header; expected 54 bytes, found "
       "22: download it again"}};
}

}  // namespace

Rows index_rows() {
  return joined({text_rows(), shard_rows()});
}

}  // namespace kappascope::refused
