// What is open: checkpoints and traces, each with a number that no other one ever gets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/generation.h"
#include "core/engine/engine.h"
#include "core/engine/interventions.h"
#include "core/model/description.h"
#include "core/model/model.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/trace.h"

namespace kappascope::gui {

using DocumentId = std::int64_t;  // −1: none

// A checkpoint that is open. Shared with the jobs that use it.
struct OpenModel {
  DocumentId id = -1;
  std::filesystem::path path;  // as it was opened
  KappaChoices reading;        // as it was asked to be read
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: none was found
  ParameterCounts parameters;
  std::vector<LayerRange> layers;
  std::shared_ptr<EngineModel> loaded;  // null until the first run
  LoadOptions loaded_as;                // where it runs, once it is loaded
  bool all_in_memory = false;           // its weights, then, on the CPU
  std::string device, memory;           // where it runs or will run, and the bytes of its weights
  bool on_cpu = false;                  // as was asked for, whatever GPU there is
  std::string warning;                  // NaN weights …
  std::vector<std::int64_t> steps;      // in its folder now, ascending; of no steps: empty
};

// How a text was or will be run.
struct RunSettings {
  std::string text;
  std::string source;  // what it was read from, "notes.txt" or "standard input"; "": typed
  std::vector<Intervention> interventions;
  bool window = false;
  bool lens = false;  // record what every layer would predict
  // The model goes on with the text, by these rules.
  bool generates = false;
  GenerationRules rules;
  std::vector<std::int32_t> ids;  // tokens to go on with, in place of the text's; empty: these
  std::string wrong;              // of the words for interventions; then nothing runs

  // Takes the words that are right ("kappa-mul=2@3-5") in place of those there are, and says in
  // `wrong` what the first wrong one should be.
  void take(const std::vector<std::string>& words);
  // "kappa=off" or "capacity=off", of all layers.
  bool is_off(Edit edit) const;
  void switch_off(Edit edit, bool off);
  bool operator==(const RunSettings&) const = default;
};

// A trace that jobs and results use, with the number of its document.
struct ShownTrace {
  DocumentId id = -1;
  std::shared_ptr<const Trace> trace;  // null: none
};

struct OpenTrace {
  DocumentId id = -1;
  std::filesystem::path path;
  std::shared_ptr<const Trace> trace;
  std::string label;               // "d8-kappa · Once upon a time…"
  DocumentId model = -1;           // of the open model that made it; −1: opened from a file
  std::optional<RunSettings> run;  // how it was made here, and by which model
  std::filesystem::path model_path;
  std::optional<std::int64_t> model_step;
  KappaChoices model_reading;
  std::filesystem::path saved;  // where a run was saved; empty: nowhere yet
  ShownTrace unedited;          // the same run without its interventions, made with it
  bool asked = false;           // a run that the command line asked for and makes again
  bool live = false;            // the next one of its kind takes its place
  bool compared = false;        // beside the current one
};

// A run of which nothing is left once it is closed.
inline bool is_unsaved(const OpenTrace& open) {
  return open.run && open.saved.empty();
}

// Removes the files of a run, by its trace.
void remove_run(const std::filesystem::path& trace);

// Whether `other` is a run of the same tokens through the same model in the same way, but without
// the interventions that `edited` has.
bool is_unedited_run(const Trace& edited, const Trace& other);

bool same_tokens(const Trace& a, const Trace& b);

bool same_reading(const KappaChoices& a, const KappaChoices& b);

// Fills device and memory of a model.
void describe_place(OpenModel& open);

// A checkpoint or a trace.npz, opened; not part of the documents yet.
OpenModel opened_model(const std::filesystem::path& path, std::optional<std::int64_t> step,
                       const KappaChoices& reading);
OpenTrace opened_trace(const std::filesystem::path& path);

// What is at a path: models or a trace; in the folder of a training run its log, too.
struct Opened {
  std::filesystem::path path;      // of a model of the hub cache: its folder there
  std::vector<OpenModel> models;   // several of a pair of runs
  std::filesystem::path training;  // what leads to its log, or its logs; empty: none
  std::optional<OpenTrace> trace;
  std::optional<OpenTrace> against;  // of the folder of a run: the one that it is compared with
};
Opened opened_at(const std::filesystem::path& path, std::optional<std::int64_t> step,
                 const KappaChoices& reading);

class Documents {
 public:
  const std::vector<OpenModel>& models() const { return models_; }
  const std::vector<OpenTrace>& traces() const { return traces_; }
  OpenModel* model(DocumentId id);  // null: not open
  const OpenModel* model(DocumentId id) const;
  OpenTrace* trace(DocumentId id);
  const OpenTrace* trace(DocumentId id) const;
  OpenModel* model_in_use();  // that Run uses; null: none
  const OpenModel* model_in_use() const;
  void use_model(DocumentId id);

  // A model takes the place of the same checkpoint, of another step of it or read otherwise; then
  // it is in use. False: this very one was open already.
  bool add(OpenModel opened);
  DocumentId add(OpenTrace opened);
  // Puts it in the place of the trace `id`, with that number; returns the one before.
  OpenTrace replace(DocumentId id, OpenTrace opened);
  DocumentId new_id() { return ++last_id_; }  // of what is not listed
  const OpenTrace* live_run() const;          // whose place the next live run takes; null: none
  bool use(const std::filesystem::path& trace) const;  // an open one is of that file, or needs it
  void remove_model(DocumentId id);
  void remove_trace(DocumentId id);

  // The trace `current` and, in the order of the window, those compared with it.
  std::vector<ShownTrace> shown(DocumentId current) const;
  std::uint64_t changes() const { return changes_; }  // so many times one was added or removed
  // The unedited run of it; none: its trace is null.
  ShownTrace unedited(const OpenTrace& edited) const;

 private:
  std::vector<OpenModel> models_;
  std::vector<OpenTrace> traces_;
  DocumentId last_id_ = 0, in_use_ = -1;
  std::uint64_t changes_ = 0;
};

}  // namespace kappascope::gui
