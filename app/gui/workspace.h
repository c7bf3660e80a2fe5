// All that the window knows: documents, history, results and the runner, and what is said. Panels
// are functions of it; work is done by its two job queues and taken over on the UI thread.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/gui/documents.h"
#include "app/gui/history.h"
#include "app/gui/jobs.h"
#include "app/gui/results.h"
#include "app/gui/runner.h"
#include "app/gui/training_watch.h"

namespace kappascope::gui {

struct Message {
  bool error = true;
  std::string text;  // one line, as the command line would say it
  ExitCode code = ExitCode::ok;
  DocumentId on_cpu = -1;  // a model whose run a GPU cannot do: the CPU is offered
};

struct WorkspaceOptions {
  std::function<void()> wake;            // called from any thread: the UI thread should look again
  std::filesystem::path scratch_parent;  // where traces of runs are kept until the window closes
};

// Figures of one trace are side by side for so many.
inline constexpr std::size_t kMostLanes = 4;

class Workspace {
 public:
  explicit Workspace(WorkspaceOptions options);
  ~Workspace();  // cancels all jobs, waits for them, removes the traces of runs
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // --- what is open ---
  // A model folder, a model_NNNNNN.pt, a trace.npz or the folder of a run, with the run beside that
  // it is compared with; of a folder in which a training run writes, or of a pair of these, the
  // models and their logs, which are followed from then on. A failure leaves what is open as it is
  // and says one line in messages().
  void open(const std::filesystem::path& path, std::optional<std::int64_t> step = {},
            const KappaChoices& reading = {});
  // Runs `then` on the UI thread when all that was asked to be opened before is open.
  void after_opening(std::function<void()> then);
  void close_trace(DocumentId id);
  void close_model(DocumentId id);
  const std::vector<OpenModel>& models() const { return documents_.models(); }
  const std::vector<OpenTrace>& traces() const { return documents_.traces(); }
  OpenTrace* trace(DocumentId id) { return documents_.trace(id); }
  OpenModel* model(DocumentId id) { return documents_.model(id); }
  const OpenTrace* current_open_trace() const;  // null: none
  const Trace* current_trace() const;
  OpenModel* current_model() { return documents_.model_in_use(); }  // that Run uses; null: none
  void use_model(DocumentId id) { documents_.use_model(id); }

  // --- training runs ---
  // As they were last seen; never null.
  const std::shared_ptr<const TrainingState>& training() const { return training_; }
  std::uint64_t training_opened() const { return training_opened_; }  // so many so far
  void close_training(const std::filesystem::path& log) { watch_.leave(log); }

  // --- running ---
  RunSettings next_run;  // what is typed and chosen
  bool can_run() const { return runner_.can_run(); }
  // Runs next_run through the current model; the trace it makes becomes current. `live`: it takes
  // the place of the last one that was made so, and a run that is going on is cancelled.
  void run(bool live = false);
  // The model goes on with next_run's text: its trace becomes current and grows, the newest token
  // selected as long as no other one is.
  void generate();
  // Likewise with the current trace's tokens up to `token`; at the end of a text that was generated
  // so, its calls go on.
  void go_on(std::int64_t token);
  bool can_go_on() const;  // the current trace has what go_on() needs
  std::optional<Runner::Grown> generated() const { return runner_.generated(); }
  void stop_generating() { runner_.stop_generating(); }
  void run_on_cpu(DocumentId model);
  JobId run_job() const { return runner_.job(); }  // 0: none runs
  void cancel(JobId id);                           // of a long job

  // --- view ---
  const ViewState& view() const { return history_.view(); }
  const Subject& selection() const { return history_.view().selection; }
  // As History::pick(); of a part of the trace `of`, which is beside the current one, its
  // counterpart in that.
  void pick(const Subject& named, Move move = Move::jump) { history_.pick(named, move); }
  void pick_in(const ShownTrace& of, const Subject& named, Move move = Move::jump);
  // What is selected, in a trace beside the current one; nothing while it is found out.
  Subject selection_in(const ShownTrace& of);
  // How tokens of that trace go with those of the current one; null while it is found out.
  std::shared_ptr<const Counterparts> counterparts(const ShownTrace& of);
  void show_trace(DocumentId id);  // the selection stays where it fits
  void set_view(ViewState view, Move move = Move::jump) { history_.set(std::move(view), move); }
  bool can_go_back() const { return history_.can_go_back(); }
  bool can_go_forward() const { return history_.can_go_forward(); }
  void go_back() { history_.go_back(); }
  void go_forward() { history_.go_forward(); }

  // --- what panels show; null while it is being made (then job queues are busy) ---
  // The current trace first, then those that are compared with it.
  std::vector<ShownTrace> shown() const { return documents_.shown(view().trace); }
  // What the figure is given of them: all, the first few, or for a difference what was changed from
  // and the current one. Empty: it has nothing to show, such as a series of one trace alone.
  std::vector<ShownTrace> shown_in(const FigureEntry& entry) const;
  // Of the current trace, and the compared ones where the figure shows all. `turn`: `next` for what
  // the user looks at, so that it is made before what is beside it.
  std::shared_ptr<const PreparedFigure> figure(const std::string& id, const FigureChoices& choices,
                                               Turn turn = Turn::last);
  // The running job that makes what figure() or lanes() of this id was last asked for; id 0: none.
  JobStatus figure_job(const std::string& id) const { return results_.figure_job(id); }
  void stop_figure(JobId job) { quick_jobs_.stop(job); }  // its failure is `interrupted` then
  void make_stopped_figures() { results_.forget_stopped(); }
  // The traces of shown_in().
  std::vector<std::shared_ptr<const Trace>> figure_traces(const std::string& id) const;
  // Of a figure of one trace: one for each of shown_in().
  std::shared_ptr<const LaneFigures> lanes(const std::string& id, const FigureChoices& choices,
                                           Turn turn = Turn::last);
  // What the traces of shown() are called among each other.
  std::shared_ptr<const std::vector<std::string>> names() { return results_.names(shown()); }
  // The run without interventions that the current trace is compared with; none: its trace is null.
  ShownTrace unedited() const;
  std::shared_ptr<const RunDifference> effect();  // of the current trace against unedited()
  // Makes the unedited run that was made with the current trace one of the documents, compared.
  void show_unedited();
  std::shared_ptr<const TokenColouring> token_colouring();
  std::shared_ptr<const TokenCard> token_card();
  std::shared_ptr<const ExpertCard> expert_card();
  // Text of a token id: of the model's tokenizer, else as the trace knows it, else "#id".
  std::string token_text(std::int32_t id) const;

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
  void add_models(std::vector<OpenModel> opened);
  void add_trace(OpenTrace opened);
  DocumentId replace_trace(DocumentId id, OpenTrace opened);
  DocumentId grow_trace(DocumentId id, OpenTrace grown);
  RunSettings generating_next() const;  // next_run, as the model goes on with it
  void let_go(const OpenTrace& closed);
  void hand_on(const OpenTrace& closed);
  void look_at_files();
  void watch_models();
  void follow_training(const std::filesystem::path& root, bool again);
  void open_found(const std::filesystem::path& folder);
  void take_training(std::shared_ptr<const TrainingState> state);
  ShownTrace current() const;

  // unedited() as it was found, and for what; panels ask in every frame.
  struct Found {
    DocumentId of = -1;
    std::uint64_t changes = 0;
    ShownTrace unedited;
  };

  const WorkspaceOptions options_;
  Documents documents_;
  History history_;
  mutable Found found_;
  std::deque<Message> messages_;
  std::size_t messages_said_ = 0;
  std::set<DocumentId> changed_;  // whose file another program has written since it was opened
  Results results_;
  Runner runner_;
  std::shared_ptr<const TrainingState> training_ = std::make_shared<const TrainingState>();
  std::set<std::string> training_said_;             // what cannot be read of logs
  std::set<std::filesystem::path> training_roots_;  // that were followed
  std::set<std::filesystem::path> training_found_;  // logs that began later
  std::uint64_t training_opened_ = 0;
  JobQueue long_jobs_, quick_jobs_;
  TrainingWatch watch_;
};

}  // namespace kappascope::gui
