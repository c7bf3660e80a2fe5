// The part of what the window knows that other programs are still writing: logs of training runs,
// and steps that land in the folders of open models.
#include <algorithm>
#include <utility>

#include "app/gui/workspace.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

// `again`: a step of its folder is opened; a run of it that was closed stays closed then.
void Workspace::follow_training(const fs::path& root, bool again) {
  const bool known = !root.empty() && !training_roots_.insert(root).second;
  if (root.empty() || (known && again)) { return; }
  training_opened_ += watch_.follow(root) ? 1 : 0;
}

// The second run of a pair has begun: its model is listed, too, and the one in use stays.
void Workspace::open_found(const fs::path& folder) {
  auto work = [this, folder](Progress&) -> JobQueue::Finish {
    auto opened = std::make_shared<Opened>(opened_at(folder, {}, {}));
    return [this, opened] {
      const OpenModel* const used = current_model();
      const DocumentId before = used ? used->id : -1;
      add_models(std::move(opened->models));
      use_model(before);
    };
  };
  long_jobs_.add("Open " + plain_text(folder.filename().string()), std::move(work),
                 [this](const Failure& failure) { say(failure); });
}

// Steps that land in the folders of open models are in their lists.
void Workspace::watch_models() {
  std::vector<fs::path> folders;
  for (const OpenModel& open : models()) {
    if (open.model->files.step) { folders.push_back(open.model->files.weights.parent_path()); }
  }
  watch_.watch_folders(std::move(folders));
}

void Workspace::take_training(std::shared_ptr<const TrainingState> state) {
  training_ = std::move(state);
  for (const WatchedRun& run : training_->runs) {
    if (run.later && training_found_.insert(run.log).second) { open_found(run.log.parent_path()); }
  }
  for (const WatchedRun& run : training_->runs) {
    if (run.problem.empty() || !training_said_.insert(run.problem).second) { continue; }
    say(true, run.problem);
  }
  for (const OpenModel& open : models()) {
    const CheckpointFiles& files = open.model->files;
    const auto found = training_->steps.find(files.weights.parent_path());
    if (!files.step || found == training_->steps.end()) { continue; }
    std::vector<std::int64_t> steps = found->second;  // and the one that is open, there or not
    const auto place = std::lower_bound(steps.begin(), steps.end(), *files.step);
    if (place == steps.end() || *place != *files.step) { steps.insert(place, *files.step); }
    documents_.model(open.id)->steps = std::move(steps);
  }
}

}  // namespace kappascope::gui
