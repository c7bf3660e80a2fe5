// `kappascope merge`: results of parts of a corpus as one.
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "app/cli/output_folder.h"
#include "app/cli/stats_report.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"
#include "core/trace/stats_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMergeExamples = R"(
Example:
  kappascope merge part1 part2 part3/stats.npz -o whole

The parts are of one model, with the same interventions and calls, and of different documents: what
they have in common is counted twice, and a warning names each corpus file of two parts.)";

struct MergeOptions {
  std::vector<std::string> parts;
  std::string output;
  bool force = false, json = false;
  TalkOptions talk;

  bool parse(const std::vector<std::string>& words) {
    CLI::App app("Join results of kappascope stats", "kappascope merge");
    app.footer(kMergeExamples);
    app.add_option("RESULT", parts, "stats.npz, or the folder of one")->required();
    app.add_option("-o,--output", output, "folder for the joined result")->required();
    app.add_flag("--json", json, "print stats.json instead of the table");
    app.add_flag("--force", force, "replace files that kappascope has not written");
    talk.add_to(app);
    return parse_words(app, words);
  }
};

Trace open_part(const std::string& given) {
  std::error_code unknown;
  const fs::path path =
      fs::is_directory(given, unknown) ? fs::path(given) / kStatsFile : fs::path(given);
  Trace trace = open_trace(path);
  require(trace.corpus != nullptr, ExitCode::unsupported, {.file = path.native()},
          "the trace of a text; expected the result of a corpus (stats.npz)");
  return trace;
}

// What two results must have in common, by its name in the meta; nullptr: everything is alike.
const char* difference(const Json& one, const Json& other) {
  for (const char* key : {"config_sha256", "tensor_directory_sha256", "interventions", "dtype",
                          "kappa_slot", "kappa_formula", "sft_kappa", "resamples", "only"}) {
    const Json *a = member(&one, key), *b = member(&other, key);
    if ((a == nullptr) != (b == nullptr) || (a && *a != *b)) { return key; }
  }
  for (const char* key :
       {"call_tokens", "window", "chat", "chat_sha256", "tokenizer_sha256", "effect_tails"}) {
    const Json *a = member(member(&one, "corpus"), key), *b = member(member(&other, "corpus"), key);
    if ((a == nullptr) != (b == nullptr) || (a && *a != *b)) { return key; }
  }
  const Json *a = member(member(&one, "model"), "step"),
             *b = member(member(&other, "model"), "step");
  return a && b && *a != *b ? "step" : nullptr;
}

void check_alike(const Trace& first, const Trace& other) {
  const char* key = difference(first.meta, other.meta);
  require(key == nullptr, ExitCode::unsupported, {.file = other.path.native()}, "\"",
          key ? key : "", "\" is not as in ", first.path.native(),
          "; expected parts of one model, run in one way");
  require(first.corpus->layer_index == other.corpus->layer_index &&
              first.corpus->pass_index == other.corpus->pass_index &&
              first.corpus->experts == other.corpus->experts,
          ExitCode::damaged, {.file = other.path.native()}, "other rows than ", first.path.native(),
          " has, of the same model");
}

std::vector<std::string> files_read_for(const Trace& part) {
  std::vector<std::string> names;
  const Json* files = member(meta_at(part, "corpus"), "files");
  if (!files || !files->is_array()) { return names; }
  for (const Json& file : *files) {
    if (file.is_string()) { names.push_back(file.get<std::string>()); }
  }
  return names;
}

// Refuses a result that is given twice. Two parts may have read different documents of one file.
void check_different(const std::vector<Trace>& parts, Terminal& terminal) {
  std::set<std::string> results;
  std::map<std::string, std::string> read_by;  // corpus file: the result that has it
  for (const Trace& part : parts) {
    const std::string result = part.path.native();
    require(results.insert(fs::canonical(part.path).native()).second, ExitCode::usage,
            {.file = result}, "given twice; expected results of different documents");
    for (const std::string& file : files_read_for(part)) {
      const auto [other, first] = read_by.emplace(file, result);
      if (first || other->second == result) { continue; }
      terminal.warn(join_words(printable(file), " is in ", printable(other->second), " and in ",
                               printable(result),
                               ": documents that both have read are counted twice"));
    }
  }
}

// The meta of the first part, with the files of all and which parts these were.
Json merged_meta(const std::vector<Trace>& parts, const std::string& command) {
  Json meta = parts[0].meta;
  meta["command"] = command;
  Json& corpus = meta["corpus"];
  corpus["files"] = Json::array();
  for (const Trace& part : parts) {
    for (std::string& file : files_read_for(part)) { corpus["files"].push_back(std::move(file)); }
  }
  corpus["merged"] = parts.size();
  return meta;
}

void copy_parameters(const Trace& from, const fs::path& to) {
  if (from.model) { fs::copy_file(from.model->file->file().path(), to); }
}

}  // namespace

int merge_verb(const Arguments& arguments) {
  MergeOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  Interrupts interrupts;
  std::vector<Trace> parts;
  for (const std::string& part : options.parts) {
    parts.push_back(open_part(part));
    check_alike(parts.front(), parts.back());
    interrupts.check();
  }
  Terminal terminal(options.talk.talk(), interrupts);
  check_different(parts, terminal);
  CorpusTotals totals = *parts.front().corpus;
  for (std::size_t i = 1; i < parts.size(); ++i) { totals.add(*parts[i].corpus); }
  OutputFolder folder(options.output, options.force, interrupts);
  folder.check_places({}, {kStatsFile, kStatsJson, kStatsCsv, kModelFile});
  publish_result(folder, totals, merged_meta(parts, arguments.command),
                 [&](const fs::path& path) { copy_parameters(parts.front(), path); },
                 {.json = options.json, .quiet = options.talk.quiet});
  return int(ExitCode::ok);
}

}  // namespace kappascope
