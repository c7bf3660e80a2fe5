// All that the window knows: what is open, what is selected, what is being made. Panels are
// functions of it; work is done by its two job queues and taken over on the UI thread.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/gui/jobs.h"
#include "core/engine/engine.h"
#include "core/engine/interventions.h"
#include "core/figure/catalogue.h"
#include "core/figure/prepared.h"
#include "core/figure/token_quantities.h"
#include "core/model/description.h"
#include "core/model/model.h"
#include "core/stats/expert_card.h"
#include "core/stats/token_card.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/trace.h"

namespace kappascope::gui {

using DocumentId = std::int64_t;  // −1: none

// A checkpoint that is open. Shared with the jobs that use it.
struct OpenModel {
  DocumentId id = -1;
  std::filesystem::path path;  // as it was opened
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: none was found
  ParameterCounts parameters;
  std::vector<LayerRange> layers;
  std::shared_ptr<EngineModel> loaded;  // null until the first run
  LoadOptions loaded_as;                // where it runs, once it is loaded
  std::string device, memory;           // where it runs or will run, and the bytes of its weights
  bool on_cpu = false;                  // as was asked for, whatever GPU there is
  std::string warning;                  // NaN weights …
};

// How a text was or will be run.
struct RunSettings {
  std::string text;
  std::string source;  // what it was read from, "notes.txt" or "standard input"; "": typed
  std::vector<Intervention> interventions;
  bool window = false;
  std::string wrong;  // of the words for interventions; then nothing runs

  // Takes the words that are right ("kappa-mul=2@3-5") in place of those there are, and says in
  // `wrong` what the first wrong one should be.
  void take(const std::vector<std::string>& words);
  // "kappa=off" or "capacity=off", of all layers.
  bool is_off(Edit edit) const;
  void switch_off(Edit edit, bool off);
  bool operator==(const RunSettings&) const = default;
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
  std::filesystem::path saved;  // where a run was saved; empty: nowhere yet
  bool asked = false;           // a run that the command line asked for and makes again
  bool compared = false;        // overlaid in figures of several traces
};

// A run of which nothing is left once it is closed.
inline bool is_unsaved(const OpenTrace& open) {
  return open.run && open.saved.empty();
}

// Fills device and memory of a model.
void describe_place(OpenModel& open);

// A trace.npz, opened; not part of a workspace yet.
OpenTrace opened_trace(const std::filesystem::path& path);

// How a view is reached. Steps to a neighbour that follow each other are one for back().
enum class Move { jump, step };

// What back and forward step through.
struct ViewState {
  DocumentId trace = -1;                // the current one
  Subject selection;                    // of it, one for all views
  std::string token_colour = "nll";     // id of a token quantity
  bool colour_by_layer = false;         // of the selected layer instead of over all
  std::string figure = "kappa-tokens";  // the figure that was looked at last
  bool operator==(const ViewState&) const = default;
};

struct Message {
  bool error = true;
  std::string text;  // one line, as the command line would say it
  ExitCode code = ExitCode::ok;
  DocumentId too_large = -1;  // the model that did not fit into a GPU: the CPU is offered
};

struct WorkspaceOptions {
  std::function<void()> wake;            // called from any thread: the UI thread should look again
  std::filesystem::path scratch_parent;  // where traces of runs are kept until the window closes
};

class Workspace {
 public:
  explicit Workspace(WorkspaceOptions options);
  ~Workspace();  // cancels all jobs, waits for them, removes the traces of runs
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // --- what is open ---
  // A model folder, a model_NNNNNN.pt, a trace.npz or the folder of a run. A failure leaves what
  // is open as it is and says one line in messages().
  void open(const std::filesystem::path& path, std::optional<std::int64_t> step = {});
  // Runs `then` on the UI thread when all that was asked to be opened before is open.
  void after_opening(std::function<void()> then);
  void close_trace(DocumentId id);
  void close_model(DocumentId id);
  const std::vector<OpenModel>& models() const { return models_; }
  const std::vector<OpenTrace>& traces() const { return traces_; }
  OpenTrace* trace(DocumentId id);
  OpenModel* model(DocumentId id);
  const OpenTrace* current_open_trace() const;  // null: none
  const Trace* current_trace() const;
  OpenModel* current_model();  // that Run uses; null: none
  void use_model(DocumentId id);

  // --- running ---
  RunSettings next_run;  // what is typed and chosen
  bool can_run() const;
  // Runs next_run through the current model; the trace it makes becomes current.
  void run();
  void run_on_cpu(DocumentId model);
  JobId run_job() const { return run_job_; }  // 0: none runs
  void cancel(JobId id);                      // of a long job

  // --- view ---
  const ViewState& view() const { return view_; }
  const Subject& selection() const { return view_.selection; }
  // Selects what a click or a key named; the rest of the selection stays where it still fits (an
  // expert of the row, a token of the text). The expert follows: where none was named it is that of
  // the token's slot in the row. The state before is remembered for back().
  void pick(const Subject& named, Move move = Move::jump);
  void show_trace(DocumentId id);  // the selection stays, likewise
  void set_view(ViewState view, Move move = Move::jump);
  bool can_go_back() const { return history_at_ > 0; }
  bool can_go_forward() const { return history_at_ + 1 < history_.size(); }
  void go_back();
  void go_forward();

  // --- what panels show; null while it is being made (then job queues are busy) ---
  // Of the current trace, and the compared ones where the figure takes several. `turn`: `next` for
  // what the user looks at, so that it is made before what is beside it.
  std::shared_ptr<const PreparedFigure> figure(const std::string& id, const FigureChoices& choices,
                                               Turn turn = Turn::last);
  std::shared_ptr<const TokenColouring> token_colouring();
  std::shared_ptr<const TokenCard> token_card();
  std::shared_ptr<const ExpertCard> expert_card();
  // Text of a token id: of the model's tokenizer, else as the trace knows it, else "#id".
  std::string token_text(std::int32_t id) const;

  // Traces that a figure shows: the current one first.
  std::vector<std::shared_ptr<const Trace>> figure_traces(const std::string& id) const;

  // --- jobs and messages ---
  JobQueue& long_jobs() { return long_jobs_; }    // opening, running, exporting
  JobQueue& quick_jobs() { return quick_jobs_; }  // figures and cards
  const std::deque<Message>& messages() const { return messages_; }
  std::size_t messages_said() const { return messages_said_; }  // since the window opened
  void say(bool error, std::string text);
  void say(const Failure& failure, DocumentId model = -1);  // of a run of that model
  void clear_messages() { messages_.clear(); }
  bool busy() const;     // anything is waiting, running or to be taken over
  bool loading() const;  // a long job does
  bool nothing_to_take_over() const;
  // Takes over what jobs made; once a frame. True when something changed.
  bool take_over();

  std::function<void(const std::filesystem::path&)> on_opened;  // for the list of recent files

 private:
  // A result made by a job, by its key; the newest few are kept.
  template <typename T>
  struct Made {
    struct Entry {
      std::shared_ptr<const T> value;
      JobId job = 0;
      std::uint64_t used = 0;
    };
    std::map<std::string, Entry> entries;
  };
  template <typename T>
  std::shared_ptr<const T> made(Made<T>& store, const std::string& key, std::size_t most,
                                const std::string& title, std::function<T(Progress&)> make,
                                Turn turn = Turn::last);
  void add_model(OpenModel opened);
  void add_trace(OpenTrace opened);
  void settle_selection();
  void forget(DocumentId trace);
  void look_at_files();
  std::vector<const OpenTrace*> figure_documents(const FigureEntry& entry) const;
  std::filesystem::path scratch();

  WorkspaceOptions options_;
  std::vector<OpenModel> models_;
  std::vector<OpenTrace> traces_;
  DocumentId last_id_ = 0, model_in_use_ = -1;
  JobId run_job_ = 0;
  std::int64_t runs_ = 0;
  ViewState view_;
  std::vector<ViewState> history_;
  std::size_t history_at_ = 0;
  bool stepping_ = false;  // the newest entry of history_ is of steps, and another may follow
  std::deque<Message> messages_;
  std::size_t messages_said_ = 0;
  std::set<DocumentId> changed_;  // whose file another program has written since it was opened
  std::filesystem::path scratch_;
  Made<PreparedFigure> figures_;
  Made<TokenColouring> colourings_;
  Made<TokenCard> token_cards_;
  Made<ExpertCard> expert_cards_;
  std::uint64_t clock_ = 0;
  JobQueue long_jobs_, quick_jobs_;
};

}  // namespace kappascope::gui
