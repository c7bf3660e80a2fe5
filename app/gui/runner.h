// Running a text through a model: the part of the window that needs the engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/documents.h"
#include "app/gui/generating.h"
#include "app/gui/jobs.h"
#include "core/trace/logits_file.h"

namespace kappascope::gui {

// Callbacks for the results of runs. All but `wake` are called on the UI thread.
struct RunnerCalls {
  std::function<void()> wake;  // from any thread: a text that is being generated has grown
  std::function<void(OpenTrace made)> add;
  // A trace of the text that is being generated, in place of that document; −1: the first.
  std::function<DocumentId(DocumentId grown, OpenTrace made)> grow;
  std::function<void(bool error, const std::string& text)> say;
  std::function<void(const Failure& failure, DocumentId model)> fail;
};

class Runner {
 public:
  // Traces of runs are kept in a folder below `scratch_parent` until the runner ends.
  Runner(Documents& documents, JobQueue& jobs, std::filesystem::path scratch_parent,
         RunnerCalls calls);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  bool can_run() const;
  // Runs a text through the model in use. With interventions it is run without them, too, unless
  // such a run is there. `live`: the trace takes the place of the last one made so.
  // Where it generates there is one run, whose trace grows.
  void run(const RunSettings& settings, bool live);
  JobId job() const { return job_; }  // 0: none runs
  void stop();                        // the running job
  void stopped(JobId id);             // that job was cancelled

  // --- the text that was generated last ---
  struct Grown {
    DocumentId trace = -1;  // −1: none yet
    bool going = false;
    GeneratingStatus status;
  };
  std::optional<Grown> generated() const;  // nothing: there is none
  void stop_generating();                  // after the token that is being computed
  // Whether the calls of that trace can go on as they are, by these settings; go_on() then does.
  bool can_go_on(DocumentId trace, const RunSettings& settings) const;
  void go_on(std::int64_t tokens);
  bool has_grown() const { return generating_ && generating_->has_trace(); }
  // Hands on what has grown; once a frame. `idle`: what was made of the last trace is on the
  // screen. True when there was something.
  bool take_grown(bool idle);

 private:
  struct Order;
  struct Result;
  struct Text {  // that is or was generated
    OpenTrace as;
    DocumentId trace = -1;
    JobId job = 0;
  };
  // The output logits of the last run without interventions, for the KL of runs that have some.
  struct KeptLogits {
    std::weak_ptr<const EngineModel> by;  // another device rounds otherwise
    std::vector<std::int32_t> ids;
    bool window = false;
    std::shared_ptr<const LogitsFile> file;  // null: none
  };
  std::filesystem::path scratch();
  bool place(LoadOptions& wanted, const OpenModel& open) const;
  static void load(Order& order, Result& result, Progress& progress);
  static void make(Order& order, Result& result, Progress& progress);
  static void generate(Order& order, Result& result, Generating& generating, Progress& progress);
  void begin(std::string title, JobQueue::Work work, std::shared_ptr<Result> result,
             DocumentId model);
  void begin_generating(std::shared_ptr<Order> order, OpenTrace as, const OpenModel& open);
  void take(Result& result, DocumentId model);
  void take_loaded(Result& result, DocumentId model);
  void let_go();

  Documents& documents_;
  JobQueue& jobs_;
  const std::filesystem::path scratch_parent_;
  const RunnerCalls calls_;
  std::filesystem::path scratch_;
  JobId job_ = 0;
  std::int64_t runs_ = 0;
  KeptLogits kept_;
  std::shared_ptr<Generating> generating_;
  Text text_;
};

}  // namespace kappascope::gui
