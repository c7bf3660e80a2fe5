// Running a text through a model: the part of the window that needs the engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/gui/documents.h"
#include "app/gui/jobs.h"
#include "core/trace/logits_file.h"

namespace kappascope::gui {

// What comes of runs; all of it is called on the UI thread.
struct RunnerCalls {
  std::function<void(OpenTrace made)> add;
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
  void run(const RunSettings& settings, bool live);
  JobId job() const { return job_; }  // 0: none runs
  void stop();                        // the running job
  void stopped(JobId id);             // that job was cancelled

 private:
  struct Order;
  struct Result;
  // The output logits of the last run without interventions, for the KL of runs that have some.
  struct KeptLogits {
    std::weak_ptr<const EngineModel> by;  // another device rounds otherwise
    std::vector<std::int32_t> ids;
    bool window = false;
    std::shared_ptr<const LogitsFile> file;  // null: none
  };
  std::filesystem::path scratch();
  bool place(LoadOptions& wanted, const OpenModel& open) const;
  static void make(Order& order, Result& result, Progress& progress);
  void take(Result& result, DocumentId model);

  Documents& documents_;
  JobQueue& jobs_;
  const std::filesystem::path scratch_parent_;
  const RunnerCalls calls_;
  std::filesystem::path scratch_;
  JobId job_ = 0;
  std::int64_t runs_ = 0;
  KeptLogits kept_;
};

}  // namespace kappascope::gui
