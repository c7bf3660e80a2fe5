// Hugging Face folders, their shards, and the hub cache.
#include "core/checkpoint/hub.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "core/checkpoint/folder.h"
#include "core/checkpoint/shards.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_pt.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::safetensors_entry;
using testing::safetensors_of;

void write_hub_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// One tensor of four bytes.
std::string shard(const std::string& name) {
  return safetensors_of("{\"" + name + "\":" + safetensors_entry("U8", "[4]", "[0,4]") + "}", 4);
}

class Hub : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"}) {
      ::unsetenv(name);
    }
    ::setenv("HF_HUB_CACHE", (root() / "hub").c_str(), 1);
    write_hub_file(model_ / "config.json", "{}");
  }
  const fs::path& root() const { return temp_.path(); }

  // Two shards and their index, "a" in the first and "b" in the second.
  void write_shards() {
    write_hub_file(model_ / "one.safetensors", shard("a"));
    write_hub_file(model_ / "two.safetensors", shard("b"));
    write_index(R"("a":"one.safetensors","b":"two.safetensors")");
  }
  void write_index(const std::string& map) {
    write_hub_file(model_ / "model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  }

  TensorFile read() const { return read_weights(find_checkpoint(model_)); }
  // "code line" without the temporary folder.
  std::string line(const fs::path& path) const {
    std::string text = error_of([&] { read_weights(find_checkpoint(path)); });
    const std::string place = root().string() + "/";
    for (std::size_t at = 0; (at = text.find(place, at)) != text.npos;) {
      text.erase(at, place.size());
    }
    return text;
  }
  std::string line() const { return line(model_); }

  // A snapshot of a repository in the cache, its files links into blobs.
  fs::path write_snapshot(const std::string& revision, const std::string& ref = "main") {
    const fs::path repository = root() / "hub" / "models--org--name";
    const fs::path snapshot = repository / "snapshots" / revision;
    fs::create_directories(snapshot);
    write_hub_file(repository / "blobs" / "c0", "{}");
    write_hub_file(repository / "blobs" / "f0", shard("a"));
    fs::create_symlink("../../blobs/c0", snapshot / "config.json");
    fs::create_symlink("../../blobs/f0", snapshot / "model.safetensors");
    if (!ref.empty()) { write_hub_file(repository / "refs" / ref, revision); }
    return snapshot;
  }

  testing::TempFolder temp_;
  fs::path model_ = temp_.path() / "model";
};

TEST_F(Hub, FilesOfAFolder) {
  const std::string names =
      "model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
      "pytorch_model.bin.index.json";
  EXPECT_EQ(line(), "5 model: no weights beside config.json; expected one of " + names);
  write_hub_file(model_ / "pytorch_model.bin", testing::tiny_checkpoint().flat());
  EXPECT_EQ(find_checkpoint(model_).weights, model_ / "pytorch_model.bin");
  EXPECT_EQ(read().tensors().size(), 3U);
  write_shards();
  EXPECT_EQ(find_checkpoint(model_).weights, model_ / "model.safetensors.index.json");
  write_hub_file(model_ / "model.safetensors", shard("w"));
  const CheckpointFiles files = find_checkpoint(model_);
  EXPECT_EQ(files.kind, FolderKind::hugging_face);
  EXPECT_EQ(files.weights, model_ / "model.safetensors");
  EXPECT_EQ(files.meta, model_ / "config.json");
  EXPECT_EQ(find_checkpoint(model_ / "config.json").weights, files.weights);
  EXPECT_EQ(find_checkpoint(model_ / "pytorch_model.bin").weights, model_ / "pytorch_model.bin");
  EXPECT_EQ(line(model_ / "one.safetensors"),
            "4 model/one.safetensors: one of the files of a model; open its folder: model");
  EXPECT_EQ(error_of([&] { find_checkpoint(model_, 3); }),
            "2 " + model_.string() + ": a Hugging Face folder has no training steps; found step 3");
  fs::remove(model_ / "config.json");
  EXPECT_EQ(line(), "5 model/config.json: is missing");
}

TEST_F(Hub, ShardsAreOneModel) {
  write_shards();
  const TensorFile file = read();
  ASSERT_EQ(file.files().size(), 2U);
  EXPECT_EQ(file.find("a")->file, 0U);
  EXPECT_EQ(file.find("b")->file, 1U);
  EXPECT_EQ(file.file_of(*file.find("b")).path(), (model_ / "two.safetensors").string());
  for (const char* name : {"a", "b"}) {
    const auto data = file.data(*file.find(name));
    ASSERT_EQ(data.size(), 4U);
    EXPECT_EQ(data[3], std::byte{3});
  }
  EXPECT_EQ(file.size(), 2 * shard("a").size());
  file.prefetch(*file.find("b"));
  file.release(*file.find("b"), 1, 2);
  EXPECT_EQ(file.data(*file.find("b"))[2], std::byte{2});
  file.require_unchanged();
  write_hub_file(model_ / "two.safetensors", "x");
  EXPECT_NE(error_of([&] { file.require_unchanged(); }).find("two.safetensors: changed while"),
            std::string::npos);
}

TEST_F(Hub, ShardsOfTorchSave) {
  write_hub_file(model_ / "p1.bin", testing::tiny_checkpoint().flat());
  write_hub_file(model_ / "pytorch_model.bin.index.json", R"({"weight_map":{"weight":"p1.bin"}})");
  EXPECT_EQ(read().tensors().size(), 3U);  // also those that the map does not name
}

TEST_F(Hub, BrokenIndices) {
  const std::string index = "model/model.safetensors.index.json: ";
  const std::string map = "weight_map: expected names of files by tensor, found ";
  for (const auto& [text, found] : std::vector<std::pair<std::string, std::string>>{
           {"{}", map + "none"},
           {"[]", map + "none"},
           {R"({"weight_map":{}})", map + "{}"},
           {R"({"weight_map":[1]})", map + "[1]"},
           {R"({"weight_map":{"a":3}})",
            "tensor a: weight_map: expected the name of a file, found 3"},
           {R"({"weight_map":{"a":"x","a":"x"}})", "offset 25: duplicate key 'a'"}}) {
    write_hub_file(model_ / "model.safetensors.index.json", text);
    EXPECT_EQ(line(), "3 " + index + found);
  }
  write_hub_file(model_ / "model.safetensors.index.json",
                 "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_EQ(line(), "4 " + index +
                        "a Git LFS pointer, not the file that it names; fetch that: git lfs pull");
}

TEST_F(Hub, BrokenShards) {
  write_shards();
  fs::remove(model_ / "one.safetensors");
  fs::remove(model_ / "two.safetensors");
  EXPECT_EQ(line(), "5 model/one.safetensors: is missing; model/two.safetensors: is missing");
  write_shards();
  fs::resize_file(model_ / "one.safetensors", 20);
  fs::resize_file(model_ / "two.safetensors", 5);
  const std::string text = line();
  EXPECT_TRUE(text.starts_with("3 model/one.safetensors: offset 8: truncated inside the header"))
      << text;
  EXPECT_NE(text.find("; model/two.safetensors: too short for a safetensors file"), text.npos);
  write_hub_file(model_ / "one.safetensors", shard("b"));
  write_hub_file(model_ / "two.safetensors", shard("a"));
  EXPECT_EQ(line(),
            "3 model/model.safetensors.index.json: tensor a: is not in one.safetensors, which "
            "weight_map names, but in two.safetensors; tensor b: is not in two.safetensors, which "
            "weight_map names, but in one.safetensors");
  write_hub_file(model_ / "two.safetensors", shard("b"));
  EXPECT_EQ(line(),
            "3 model/one.safetensors: tensor b: occurs more than once; in model/one.safetensors "
            "and in model/two.safetensors");
  write_shards();
  write_index(R"("a":"one.safetensors","b":"two.safetensors","c":"two.safetensors")");
  EXPECT_EQ(line(),
            "3 model/model.safetensors.index.json: tensor c: is not in two.safetensors, which "
            "weight_map names");
  // A shard that the index does not name is not looked at.
  write_shards();
  write_hub_file(model_ / "three.safetensors", "nonsense");
  EXPECT_EQ(line(), "no error");
}

TEST_F(Hub, NamesStayInTheFolder) {
  write_hub_file(root() / "outside.safetensors", shard("a"));
  for (const std::string& name :
       {std::string("../outside.safetensors"), (root() / "outside.safetensors").string(),
        std::string("x/../../outside.safetensors"), std::string(""), std::string("..")}) {
    write_index("\"a\":\"" + name + "\"");
    EXPECT_EQ(line().substr(0, 2), "3 ") << name;
    EXPECT_NE(line().find("leads out of the folder; expected the name of a file in it"),
              std::string::npos)
        << name;
  }
  fs::create_symlink("../outside.safetensors", model_ / "one.safetensors");
  write_index(R"("a":"one.safetensors")");
  EXPECT_EQ(line(),
            "3 model/one.safetensors: is a link out of the folder, to outside.safetensors; "
            "expected a file in it: copy it there");
  fs::create_symlink("../outside.safetensors", model_ / "model.safetensors");
  EXPECT_EQ(line().substr(0, 50), "3 model/model.safetensors: is a link out of the fo");
  fs::remove(model_ / "model.safetensors");
  write_hub_file(model_ / "in" / "one.safetensors", shard("a"));
  write_index(R"("a":"in/one.safetensors")");
  EXPECT_EQ(line(), "no error");
  fs::create_symlink("model", root() / "link");
  EXPECT_EQ(line(root() / "link"), "no error");
}

TEST_F(Hub, SnapshotsAreFoundByName) {
  const std::string cache = (root() / "hub").string();
  EXPECT_EQ(line("org/name"),
            "5 org/name: no such file or folder, and not in the hub cache hub; fetch it: hf "
            "download org/name");
  const fs::path first = write_snapshot("1111", "v1");
  EXPECT_EQ(find_checkpoint("org/name").weights, first / "model.safetensors");
  const fs::path second = write_snapshot("2222", "v2");
  EXPECT_EQ(line("org/name"),
            "5 org/name: several snapshots in the hub cache and none is main; name one of them: "
            "org/name@REVISION, one of 1111, 2222");
  write_hub_file(root() / "hub" / "models--org--name" / "refs" / "main", "2222");
  EXPECT_EQ(find_checkpoint("org/name").weights, second / "model.safetensors");
  EXPECT_EQ(find_checkpoint("org/name@v1").weights, first / "model.safetensors");
  EXPECT_EQ(find_checkpoint("org/name@1111").weights, first / "model.safetensors");
  EXPECT_EQ(line("org/name"), "no error");
  EXPECT_EQ(line("org/name@v3"),
            "5 org/name@v3: not in the hub cache hub (there: 1111, 2222); fetch it: hf download "
            "org/name --revision v3");
  EXPECT_EQ(line("org/name@../x").substr(0, 2), "5 ");
  EXPECT_EQ(hub_snapshot(first)->repository, "org/name");
  EXPECT_EQ(hub_snapshot(first)->revision, "1111");
  EXPECT_FALSE(hub_snapshot(model_));
  ASSERT_EQ(hub_repositories(root() / "hub").size(), 1U);
  EXPECT_EQ(hub_repositories(root() / "hub")[0].snapshots, (std::vector<fs::path>{second, first}));
  EXPECT_TRUE(hub_repositories(root() / "none").empty());
}

TEST_F(Hub, NamesHaveAllLettersAndDigitsAndNothingBesideThem) {
  for (const char c : std::string("09AZaz-_.")) {
    EXPECT_EQ(line(std::string("org/x") + c).substr(0, 2), "5 ") << c;
    EXPECT_NE(line(std::string("org/x") + c).find("hf download"), std::string::npos) << c;
  }
  for (const char c : std::string("/:@[`{")) {  // beside the ranges
    EXPECT_EQ(line(std::string("org/x") + c).find("hf download"), std::string::npos) << c;
  }
}

TEST_F(Hub, APathThatExistsIsNoName) {
  write_snapshot("1111");
  const fs::path before = fs::current_path();
  fs::current_path(root());
  write_hub_file(root() / "org" / "name" / "config.json", "{}");
  write_hub_file(root() / "org" / "name" / "model.safetensors", shard("p"));
  EXPECT_EQ(find_checkpoint("org/name").weights, "org/name/model.safetensors");
  fs::current_path(before);
}

TEST_F(Hub, IncompleteSnapshots) {
  const fs::path snapshot = write_snapshot("1111");
  const fs::path repository = snapshot.parent_path().parent_path();
  fs::remove(repository / "blobs" / "f0");
  EXPECT_EQ(line("org/name"),
            "5 hub/models--org--name/snapshots/1111/model.safetensors: is a link to a file that is "
            "not there; fetch it: hf download org/name --revision 1111");
  fs::remove(snapshot / "model.safetensors");
  EXPECT_NE(line("org/name").find("no weights beside config.json; expected one of"),
            std::string::npos);
  write_hub_file(repository / "refs" / "main", "3333");
  EXPECT_EQ(line("org/name"),
            "5 org/name: the snapshot 3333 of main is not in the hub cache; fetch it: hf download "
            "org/name");
  write_hub_file(repository / "refs" / "main", "../../../model");
  EXPECT_EQ(line("org/name"),
            "3 hub/models--org--name/refs/main: expected the name of a snapshot, found "
            "'../../../model'");
  // Blobs of another repository are out of the folder.
  write_hub_file(root() / "hub" / "models--org--other" / "blobs" / "f0", shard("a"));
  fs::create_symlink("../../../models--org--other/blobs/f0", snapshot / "model.safetensors");
  EXPECT_EQ(line(snapshot).substr(0, 2), "3 ");
}

TEST(HubCache, IsWhereHuggingfaceHubHasIt) {
  ::unsetenv("HF_HUB_CACHE");
  ::unsetenv("HUGGINGFACE_HUB_CACHE");
  ::unsetenv("HF_HOME");
  ::unsetenv("XDG_CACHE_HOME");
  const char* home = ::getenv("HOME");
  const std::string kept = home == nullptr ? "" : home;
  ::setenv("HOME", "/h", 1);
  EXPECT_EQ(hub_cache(), "/h/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(hub_cache(), "/x/huggingface/hub");
  ::setenv("HF_HOME", "~/hf", 1);
  EXPECT_EQ(hub_cache(), "/h/hf/hub");
  ::setenv("HF_HUB_CACHE", "/c", 1);
  EXPECT_EQ(hub_cache(), "/c");
  for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) { ::unsetenv(name); }
  ::setenv("HOME", kept.c_str(), 1);
  EXPECT_FALSE(hub_name("name"));
  EXPECT_FALSE(hub_name("a/b/c"));
  EXPECT_FALSE(hub_name("../b"));
  EXPECT_FALSE(hub_name("/b"));
  EXPECT_EQ(hub_name("a/b@refs/pr/1")->revision, "refs/pr/1");
}

}  // namespace
}  // namespace kappascope
