// How far a run of `stats` came, on the disk: what --resume goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/trace/corpus_totals.h"

namespace kappascope {

// Documents that were read, with what tells them from others.
struct DocumentsRead {
  std::int64_t count = 0, bytes = 0, crc32 = 0;

  void add(std::string_view text);
  bool operator==(const DocumentsRead&) const = default;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(count);
    archive(bytes);
    archive(crc32);
  }
};

// Where among the documents a rank is: everything before it is in the totals.
struct CorpusPlace {
  DocumentsRead read;       // of all ranks
  std::int64_t pieces = 0;  // of the next one
  std::int64_t tokens = 0;  // of the documents before, of all ranks; counted with --tokens only
  std::int64_t read_failures = 0;  // files that could not be read

  template <typename Archive>
  void exchange(Archive& archive) {
    archive(read);
    archive(pieces);
    archive(tokens);
    archive(read_failures);
  }
};

// stats.state, or stats-RANK-of-SIZE.state.
std::string state_name(int rank, int size);
// Of stopped runs into this folder: with `force` removed, else `resume` has to be given (io) and
// `size`, the number of ranks, to be theirs (usage).
void check_states(const std::filesystem::path& folder, int size, bool resume, bool force);
// States of a run, whole ones and one that was being written when the process was killed.
void remove_states(const std::filesystem::path& folder);

// Writes it in place of the one before, on the disk when it comes back. `settings`: of the run, as
// text; another text is another run. Errors: io.
void write_state(const std::filesystem::path& file, const std::string& settings,
                 const CorpusPlace& place, const CorpusTotals& totals);

// The place, with the totals put into `totals`; nothing where there is no such file. Damaged: not
// one of ours, or broken; unsupported: of another version; usage: of another run.
std::optional<CorpusPlace> read_state(const std::filesystem::path& file,
                                      const std::string& settings, CorpusTotals& totals);

// Usage: what --resume skips, `now`, is not what the run of that state has read, `then`.
void require_same_documents(const std::filesystem::path& state, const DocumentsRead& now,
                            const DocumentsRead& then);

}  // namespace kappascope
