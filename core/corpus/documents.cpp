#include "core/corpus/documents.h"

#include <filesystem>
#include <optional>
#include <system_error>

#include "core/corpus/document_source.h"

namespace kappascope {
namespace {

// Bits of (seed, index) that look random (splitmix64's mixing of both): the same on every machine.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t index) {
  const auto mix = [](std::uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
    return bits ^ (bits >> 31);
  };
  constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15U;
  return mix(mix(seed + kStep) + (index + 1) * kStep);
}

bool is_taken(const CorpusSource& source, std::int64_t index) {
  constexpr double kUnit = 1.0 / (std::uint64_t{1} << 53);
  const std::uint64_t bits = mixed(source.sample_seed, static_cast<std::uint64_t>(index)) >> 11;
  return static_cast<double>(bits) * kUnit < source.sample_share;
}

std::unique_ptr<DocumentSource> open_documents(const std::string& file,
                                               const CorpusSource& source) {
  const CorpusFields fields{source.text_field, source.domain_field, source.chats};
  const FileForm form = file_form(file);
  require(!source.chats || form.form == TextForm::json_lines, ExitCode::unsupported, {.file = file},
          "--chat: expected JSON Lines (.jsonl), found another form of text");
  switch (form.form) {
    case TextForm::text:
      return open_text(file, form.packing);
    case TextForm::json_lines:
      return open_json_lines(file, form.packing, fields);
    case TextForm::csv:
      return open_csv(file, form.packing, fields);
    case TextForm::parquet:
      require(form.packing == Packing::none, ExitCode::unsupported, {.file = file},
              "a packed Parquet file; expected one that is unpacked");
      return open_parquet(file, fields);
  }
  fail(ExitCode::internal, {.file = file}, "unknown form of text");
}

std::uint64_t length_of(const std::string& file) {
  std::error_code error;
  const std::uintmax_t length = std::filesystem::file_size(file, error);
  return error ? 0 : length;
}

}  // namespace

struct DocumentReader::State {
  CorpusSource source;
  std::vector<std::uint64_t> lengths;   // of the files
  std::uint64_t total = 0, passed = 0;  // bytes: of all files, of those that are behind
  std::size_t file = 0;
  std::unique_ptr<DocumentSource> opened;  // of `file`
  std::int64_t index = 0, given = 0;

  void close() {
    opened.reset();
    passed += lengths[file];
    ++file;
  }

  // The next document of the file, taken or not; false when the file ends. Throws what ends it.
  bool step(Document& document, bool& taken) {
    if (!opened) { opened = open_documents(source.files[file], source); }
    taken = is_taken(source, index);
    document = {};
    if (!opened->next(taken, document)) { return false; }
    document.index = index++;
    return true;
  }
};

DocumentReader::DocumentReader(const CorpusSource& source) : state_(std::make_unique<State>()) {
  require(source.sample_share > 0 && source.sample_share <= 1, ExitCode::usage, {},
          "share of the documents; expected over 0 to 1, found ", source.sample_share);
  state_->source = source;
  for (const std::string& file : source.files) {
    state_->lengths.push_back(length_of(file));
    state_->total += state_->lengths.back();
  }
}

DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(Document& document, const std::function<void()>& check) {
  State& state = *state_;
  const CorpusSource& source = state.source;
  while (state.file < source.files.size()) {
    if (source.documents > 0 && state.given >= source.documents) { return false; }
    if (check) { check(); }
    try {
      bool taken = false;
      if (!state.step(document, taken)) {
        state.close();
      } else if (taken) {
        ++state.given;
        return true;
      }
    } catch (const Error& error) {
      document = {.source = source.files[state.file], .failure = error.failure()};
      state.close();
      return true;
    }
  }
  return false;
}

std::uint64_t DocumentReader::bytes_read() const {
  return state_->passed + (state_->opened ? state_->opened->consumed() : 0);
}

std::uint64_t DocumentReader::bytes_total() const {
  return state_->total;
}

}  // namespace kappascope
