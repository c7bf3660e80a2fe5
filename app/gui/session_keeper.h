// What is open and typed, kept while the window is used and offered at the next start: after Quit,
// after a crash, and when the display went away.
#pragma once

#include <filesystem>
#include <string>

#include "app/gui/user_folders.h"

namespace kappascope::gui {

struct Gui;

class SessionKeeper {
 public:
  // `sessions` (empty: nothing is kept): a session of a window that ended before it could save it
  // becomes the last one. Errors: io.
  explicit SessionKeeper(const std::filesystem::path& sessions);

  const std::filesystem::path& last_session() const { return last_session_; }

  // Every few seconds, `now`, when something may have changed: writes it where only this window
  // writes. A failure is no reason to disturb: the end of the window will say it.
  void keep(const Gui& gui, double now) noexcept;
  // As the last session, when there is anything. Errors: io.
  void finish(const Gui& gui);

 private:
  HeldFolder own_;
  std::filesystem::path last_session_;
  std::string kept_;
  double kept_at_ = 0;
};

}  // namespace kappascope::gui
