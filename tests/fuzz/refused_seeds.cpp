// The inputs that tests/refused says are bad, as seeds of the targets that read such files. Left
// out: words of a command line; links and folders; files that are longer than below, or of another
// name than those below; of a model in several files the tensors.
#include <map>

#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/torch_pt.h"
#include "tests/fuzz/model_lines.h"
#include "tests/fuzz/more_seeds.h"
#include "tests/refused/refused.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

// Bytes: libFuzzer makes its inputs as long as the longest seed, and a bomb would take all its
// time.
constexpr std::uintmax_t kLongest = 8 << 10, kLongestTrace = 256 << 10;

struct SeedKind {
  const char* target;
  const char* front = "";  // what the target expects before the bytes of the file
  std::uintmax_t longest = kLongest;
};
// By the name of the file that a row lays down.
const std::map<std::string, SeedKind> kKinds = {{"model.safetensors", {"safetensors"}},
                                                {"model.safetensors.index.json", {"shards"}},
                                                {"model.pt", {"torch_pt"}},
                                                {"tokenizer.json", {"tokenizer_json"}},
                                                {"tokenizer.model", {"sentencepiece"}},
                                                {"tokenizer.pkl", {"tokenizer_pickle"}},
                                                {"tasks.jsonl", {"tasks", "0"}},
                                                {"core.yaml", {"tasks", "1"}},
                                                {"eval_meta_data.csv", {"tasks", "2"}},
                                                {"c.txt", {"corpus", "0"}},
                                                {"c.jsonl", {"corpus", "1"}},
                                                {"c.csv", {"corpus", "2"}},
                                                {"c.txt.gz", {"corpus", "3"}},
                                                {"c.jsonl.gz", {"corpus", "4"}},
                                                {"c.csv.gz", {"corpus", "5"}},
                                                {"c.txt.zst", {"corpus", "6"}},
                                                {"c.jsonl.zst", {"corpus", "7"}},
                                                {"train.jsonl", {"train_log"}},
                                                {"trace.npz", {"npz", "", kLongestTrace}},
                                                {"routes.npy", {"npz"}},
                                                {"style.toml", {"style"}}};

std::string text_of(const fs::path& file) {
  const InputFile input = InputFile::open(file);
  return read_text(input, input.size());
}

// The lines of the tensors, "" where the file is none.
std::string tensors_of(const fs::path& weights) {
  try {
    return lines_of(weights.extension() == ".pt" ? read_torch_pt(weights)
                                                 : read_safetensors(weights));
  } catch (const Error&) { return ""; }
}

void take(const fs::path& root, const fs::path& file, const std::string& row, WriteSeed* write) {
  const std::string name = file.filename().string();
  const auto kind = kKinds.find(name);
  const std::uintmax_t longest = kind == kKinds.end() ? kLongest : kind->second.longest;
  if (!fs::is_regular_file(fs::symlink_status(file)) || fs::file_size(file) > longest) { return; }
  if (name == "config.json" || name == "meta_000100.json") {
    const bool hub = name == "config.json";
    const fs::path weights = file.parent_path() / (hub ? "model.safetensors" : "model_000100.pt");
    write(root / (hub ? "config" : "meta_json") / row, text_of(file) + '\0' + tensors_of(weights));
  } else if (kind != kKinds.end()) {
    write(root / kind->second.target / row, kind->second.front + text_of(file));
  }
}

}  // namespace

void write_refused_seeds(const fs::path& root, WriteSeed* write) {
  using namespace refused;
  for (const Row& row : joined({safetensors_rows(), index_rows(), torch_rows(), config_rows(),
                                tokenizer_rows(), corpus_rows(), result_rows()})) {
    const TempFolder folder;
    try {
      row.work(folder);
    } catch (const std::exception&) {  // what is said of it is looked at in tests/refused
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(folder.path())) {
      std::string name = row.name;
      std::replace(name.begin(), name.end(), '/', '-');
      take(root, entry.path(), name, write);
    }
  }
}

}  // namespace kappascope::testing
