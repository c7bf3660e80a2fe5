#include "app/cli/stats_state.h"

#include <zlib.h>

#include <string_view>
#include <system_error>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/tensor.h"
#include "core/error.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/byte_archive.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAnyMagic = "kappascope.stats-state/";
constexpr std::string_view kMagic = "kappascope.stats-state/4\n";

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Whether a file has a name of state_name().
bool is_state_name(const std::string& name) {
  return name.starts_with("stats") && name.ends_with(".state");
}

}  // namespace

void DocumentsRead::add(std::string_view text) {
  ++count;
  bytes += std::ssize(text);
  crc32 = std::int64_t(
      ::crc32_z(::uLong(crc32), reinterpret_cast<const ::Bytef*>(text.data()), text.size()));
}

std::string state_name(int rank, int size) {
  return size == 1 ? "stats.state" : join_words("stats-", rank, "-of-", size, ".state");
}

void remove_states(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path name = entry.path().filename();
    if (is_state_name(name) || (name.extension() == ".new" && is_state_name(name.stem()))) {
      fs::remove(entry.path());
    }
  }
}

void check_states(const fs::path& folder, int size, bool resume, bool force) {
  if (force) { remove_states(folder); }
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!is_state_name(name)) { continue; }
    require(resume, ExitCode::io, {.file = entry.path().native()},
            "a run into this folder was stopped; --resume goes on, --force starts anew");
    require(name.find('-') == name.npos ? size == 1
                                        : name.ends_with(join_words("-of-", size, ".state")),
            ExitCode::usage, {.file = entry.path().native()},
            "of a run of another number of ranks; expected ", size,
            " (WORLD_SIZE); --force starts anew");
  }
}

void write_state(const fs::path& file, const std::string& settings, const CorpusPlace& place,
                 const CorpusTotals& totals) {
  ByteWriter writer;
  writer(settings);
  writer(place);
  writer(totals);
  const std::string hash = sha256_hex(as_text(writer.bytes));
  const fs::path made = file.native() + ".new";
  std::error_code ignored;
  fs::remove(made, ignored);
  write_file(made, join_words(kMagic, hash, "\n", as_text(writer.bytes)), true);
  std::error_code failed;
  fs::rename(made, file, failed);
  require(!failed, ExitCode::io, {.file = file.native()},
          "cannot be put in place: ", failed.message());
}

std::optional<CorpusPlace> read_state(const fs::path& file, const std::string& settings,
                                      CorpusTotals& totals) {
  std::error_code unknown;
  if (!fs::exists(file, unknown)) { return {}; }
  const InputFile input = InputFile::open(file);
  const std::string name = file.native();
  const std::vector<std::byte> all = input.read(0, input.size(), "state");
  const std::span<const std::byte> bytes = all;
  require(!as_text(bytes).starts_with(kAnyMagic) || as_text(bytes).starts_with(kMagic),
          ExitCode::unsupported, {.file = name},
          "written by another version of kappascope; expected ",
          kMagic.substr(0, kMagic.size() - 1), ", found ",
          display_text(as_text(bytes).substr(0, as_text(bytes).find('\n')).substr(0, 40)),
          "; --force starts anew");
  const std::size_t head = kMagic.size() + 65;
  const bool ours = bytes.size() > head && as_text(bytes).starts_with(kMagic);
  const std::string_view payload = ours ? as_text(bytes.subspan(head)) : std::string_view();
  require(ours && as_text(bytes).substr(kMagic.size(), 64) == sha256_hex(payload),
          ExitCode::damaged, {.file = name},
          "not the state of a run, or broken; --force starts anew");
  ByteReader reader(bytes.subspan(head), name);
  std::string written_with;
  reader(written_with);
  require(written_with == settings, ExitCode::usage, {.file = name},
          "of a run with another model, corpus or other words; --force starts anew");
  CorpusPlace place;
  const CorpusTotals empty = totals;
  reader(place);
  reader(totals);
  reader.require_end();
  require(totals.consistent() && totals.is_of_the_model_of(empty), ExitCode::damaged,
          {.file = name}, "totals that do not fit together; --force starts anew");
  return place;
}

void require_same_documents(const fs::path& state, const DocumentsRead& now,
                            const DocumentsRead& then) {
  require(now == then, ExitCode::usage, {.file = state.native()},
          "of a run that read other documents than the corpus has now; --force starts anew");
}

}  // namespace kappascope
