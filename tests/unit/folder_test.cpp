#include "core/checkpoint/folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::error_of;

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "folder-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    fs::create_directories(root_ / "a" / "b" / "model");
    model_ = root_ / "a" / "b" / "model";
  }
  void TearDown() override { fs::remove_all(root_); }

  void touch(const fs::path& path) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "x";
  }
  // The line without the model folder in front.
  std::string line(const fs::path& path, std::optional<std::int64_t> step = std::nullopt) {
    std::string text = error_of([&] { find_checkpoint(path, step); });
    const std::size_t at = text.find(path.string());
    return at == std::string::npos ? text : text.erase(at, path.string().size() + 2);
  }

  fs::path root_, model_;
};

TEST_F(Folder, NewestCompletePairIsTheDefault) {
  for (const char* name :
       {"model_000100.pt", "meta_000100.json", "model_000020.pt", "meta_000020.json",
        "model_000300.pt", "meta_000400.json", "optim_000500_rank0.pt", "model_5.pt", "meta_5.json",
        "model_00000x.pt", "model_0000200.pt", "model_-00001.pt", "model_000100.pt.tmp",
        "meta_99999999999999999999.json"}) {
    touch(model_ / name);
  }
  const CheckpointFiles files = find_checkpoint(model_);
  EXPECT_EQ(files.step, 100);
  EXPECT_EQ(files.steps, (std::vector<std::int64_t>{20, 100}));
  EXPECT_EQ(files.weights, model_ / "model_000100.pt");
  EXPECT_EQ(files.meta, model_ / "meta_000100.json");
  EXPECT_EQ(find_checkpoint(model_, 20).weights, model_ / "model_000020.pt");
  EXPECT_EQ(find_checkpoint(model_ / "model_000020.pt").step, 20);
  EXPECT_EQ(find_checkpoint(model_ / "model_000020.pt", 20).meta, model_ / "meta_000020.json");
  EXPECT_EQ(line(model_, 7), "5 no checkpoint of step 7; found steps: 20, 100");
  EXPECT_EQ(line(model_, 300),
            "5 the checkpoint of step 300 is incomplete; meta_000300.json is missing");
  EXPECT_EQ(line(model_, 400),
            "5 the checkpoint of step 400 is incomplete; model_000400.pt is missing");
  EXPECT_EQ(line(model_ / "model_000020.pt", 100),
            "2 the file is of step 20, not of the step asked for, 100");
  EXPECT_EQ(line(model_ / "meta_000020.json"),
            "4 not a checkpoint; expected a folder, model_NNNNNN.pt or model.safetensors");
}

TEST_F(Folder, StepsOfMoreThanSixDigits) {
  touch(model_ / "model_1000000.pt");
  touch(model_ / "meta_1000000.json");
  touch(model_ / "model_999999.pt");
  touch(model_ / "meta_999999.json");
  EXPECT_EQ(find_checkpoint(model_).step, 1000000);
}

TEST_F(Folder, NothingThere) {
  EXPECT_EQ(line(model_ / "absent"), "5 no such file or folder");
  EXPECT_EQ(line(model_),
            "5 no checkpoint; expected model_NNNNNN.pt and meta_NNNNNN.json, or "
            "config.json and model.safetensors");
  touch(model_ / "model_000300.pt");
  EXPECT_EQ(line(model_),
            "5 no complete checkpoint: model_ files without their meta_NNNNNN.json, steps 300");
}

TEST_F(Folder, RelativePathsWithoutAFolder) {
  touch(model_ / "model_000001.pt");
  touch(model_ / "meta_000001.json");
  touch(root_ / "a" / "tokenizer" / "tokenizer.pkl");
  const fs::path before = fs::current_path();
  fs::current_path(model_);
  const CheckpointFiles files = find_checkpoint("model_000001.pt");
  const fs::path tokenizer = find_tokenizer("model_000001.pt");
  const fs::path from_folder = find_tokenizer(".");
  fs::current_path(before);
  EXPECT_EQ(files.meta, fs::path("./meta_000001.json"));
  EXPECT_TRUE(fs::equivalent(tokenizer, root_ / "a" / "tokenizer" / "tokenizer.pkl"));
  EXPECT_EQ(tokenizer, from_folder);
}

TEST_F(Folder, TokenizerInTheFolderOrThreeParents) {
  touch(model_ / "model_000001.pt");
  EXPECT_EQ(error_of([&] { find_tokenizer(model_); }),
            "5 " + model_.string() +
                ": no tokenizer; expected tokenizer.json or tokenizer.model in it, or "
                "tokenizer.pkl in one of " +
                (model_ / "tokenizer").string() + ", " +
                (root_ / "a" / "b" / "tokenizer").string() + ", " +
                (root_ / "a" / "tokenizer").string() + ", " + (root_ / "tokenizer").string());
  touch(root_ / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(find_tokenizer(model_), root_ / "tokenizer" / "tokenizer.pkl");
  touch(root_ / "a" / "b" / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(find_tokenizer(model_ / ""), root_ / "a" / "b" / "tokenizer" / "tokenizer.pkl");
  touch(model_ / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(find_tokenizer(model_ / "model_000001.pt"), model_ / "tokenizer" / "tokenizer.pkl");
}

TEST_F(Folder, TokenizerBesideTheWeightsComesFirst) {
  touch(root_ / "tokenizer" / "tokenizer.pkl");
  touch(model_ / "tokenizer.model");
  EXPECT_EQ(find_tokenizer(model_), model_ / "tokenizer.model");
  touch(model_ / "tokenizer.json");
  EXPECT_EQ(find_tokenizer(model_), model_ / "tokenizer.json");
}

TEST_F(Folder, TokenizerAlone) {
  touch(root_ / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(find_tokenizer_alone(root_ / "tokenizer"), root_ / "tokenizer" / "tokenizer.pkl");
  touch(root_ / "a" / "tokenizer.json");
  EXPECT_EQ(find_tokenizer_alone(root_ / "a"), root_ / "a" / "tokenizer.json");
  EXPECT_EQ(find_tokenizer_alone(root_ / "a" / "tokenizer.json"), root_ / "a" / "tokenizer.json");
  touch(root_ / "a" / "config.json");
  EXPECT_EQ(find_tokenizer_alone(root_ / "a"), "");
  touch(model_ / "model_000001.pt");
  EXPECT_EQ(find_tokenizer_alone(model_), "");
  EXPECT_EQ(find_tokenizer_alone(model_ / "model_000001.pt"), "");
}

TEST_F(Folder, TokenizerOverride) {
  touch(root_ / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(find_tokenizer(model_, root_ / "tokenizer"), root_ / "tokenizer" / "tokenizer.pkl");
  EXPECT_EQ(error_of([&] { find_tokenizer(model_, root_ / "a"); }),
            "5 " + (root_ / "a").string() +
                ": no tokenizer; expected tokenizer.pkl, tokenizer.json or tokenizer.model in this "
                "folder");
  touch(root_ / "a" / "vocab.json");
  touch(root_ / "a" / "merges.txt");
  EXPECT_NE(error_of([&] { find_tokenizer(model_, root_ / "a"); }).find("merges.txt are not read"),
            std::string::npos);
  touch(root_ / "a" / "tokenizer.model");
  EXPECT_EQ(find_tokenizer(model_, root_ / "a"), root_ / "a" / "tokenizer.model");
  touch(root_ / "a" / "tokenizer.json");
  EXPECT_EQ(find_tokenizer(model_, root_ / "a"), root_ / "a" / "tokenizer.json");
  touch(root_ / "a" / "other.json");
  EXPECT_EQ(find_tokenizer(model_, root_ / "a" / "other.json"), root_ / "a" / "other.json");
}

}  // namespace
}  // namespace kappascope
