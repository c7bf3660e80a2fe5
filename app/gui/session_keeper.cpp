#include "app/gui/session_keeper.h"

#include <system_error>

#include "app/gui/gui.h"
#include "app/gui/session.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kName = "session.json";
constexpr double kSeconds = 3, kSecondsLong = 60;
constexpr std::size_t kLongText = std::size_t(1) << 20;  // bytes: takes long to write

fs::file_time_type written(const fs::path& file) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(file, error);
  return error ? fs::file_time_type::min() : time;
}

}  // namespace

SessionKeeper::SessionKeeper(const fs::path& sessions) : own_(sessions, "window") {
  if (sessions.empty()) { return; }
  last_session_ = sessions / "last-session.json";
  std::error_code ignored;
  for (const fs::path& folder : own_.left_behind()) {
    if (written(folder / kName) > written(last_session_)) {
      fs::rename(folder / kName, last_session_, ignored);
    }
    fs::remove_all(folder, ignored);
  }
}

void SessionKeeper::keep(const Gui& gui, double now) noexcept {
  const bool long_text = gui.workspace.next_run.text.size() > kLongText;
  if (own_.path().empty() || now - kept_at_ < (long_text ? kSecondsLong : kSeconds)) { return; }
  kept_at_ = now;
  if (!worth_keeping(gui.workspace) || gui.restore.going) { return; }
  try {
    std::string text = session_text(gui, last_session_);
    if (text == kept_) { return; }
    write_text_file(own_.path() / kName, text);
    kept_ = std::move(text);
  } catch (...) { kept_.clear(); }
}

void SessionKeeper::finish(const Gui& gui) {
  if (!last_session_.empty() && worth_keeping(gui.workspace)) { save_session(gui, last_session_); }
}

}  // namespace kappascope::gui
