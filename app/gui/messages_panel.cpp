#include <imgui.h>

#include <cstdio>

#include "app/gui/gui.h"
#include "app/gui/notices.h"
#include "app/gui/panels.h"

namespace kappascope::gui {

namespace {

// "12,800 of 40,000 tokens" has no room in a bar: percent, and minutes and seconds left.
std::string bar_text(const JobStatus& job) {
  char text[80] = "waits";
  if (job.cancelled) { return "stopping"; }
  if (!job.running) { return text; }
  const double share = job.total > 0 ? double(job.done) / double(job.total) : 0;
  if (job.seconds_left < 0) {
    std::snprintf(text, sizeof text, "%s %.0f %%", job.stage.c_str(), 100 * share);
  } else {
    std::snprintf(text, sizeof text, "%s %.0f %%, %ld:%02ld left", job.stage.c_str(), 100 * share,
                  long(job.seconds_left) / 60, long(job.seconds_left) % 60);
  }
  return text;
}

void draw_jobs(Gui& gui) {
  const std::vector<JobStatus> jobs = gui.workspace.long_jobs().status();
  if (jobs.empty()) { return ImGui::TextDisabled("Nothing runs."); }
  for (const JobStatus& job : jobs) {
    ImGui::PushID(int(job.id));
    ImGui::TextUnformatted(job.title.c_str());
    const float button = ImGui::CalcTextSize("Cancel").x + 2 * ImGui::GetStyle().FramePadding.x;
    const float bar = ImGui::GetContentRegionAvail().x - button - ImGui::GetStyle().ItemSpacing.x;
    const float share = job.total > 0 ? float(double(job.done) / double(job.total)) : 0;
    ImGui::ProgressBar(share, {bar, 0}, bar_text(job).c_str());
    ImGui::SameLine();
    ImGui::BeginDisabled(job.cancelled);
    if (ImGui::Button("Cancel###cancel")) { gui.workspace.cancel(job.id); }
    ImGui::EndDisabled();
    ImGui::PopID();
  }
}

}  // namespace

void draw_messages_panel(Gui& gui) {
  draw_jobs(gui);
  ImGui::SeparatorText("Messages");
  const auto& messages = gui.workspace.messages();
  note_messages_shown(gui);
  if (messages.empty()) { return ImGui::TextDisabled("No errors."); }
  if (ImGui::SmallButton("Clear###clear")) { return gui.workspace.clear_messages(); }
  ImGui::SameLine();
  if (ImGui::SmallButton("Copy all###copy")) {
    std::string all;
    for (const Message& message : messages) { all += message.text + "\n"; }
    ImGui::SetClipboardText(all.c_str());
  }
  ImGui::BeginChild("###list");
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    ImGui::PushStyleColor(ImGuiCol_Text, message->error ? gui.theme->error : gui.theme->text);
    ImGui::TextWrapped("%s", message->text.c_str());
    ImGui::PopStyleColor();
  }
  ImGui::EndChild();
}

}  // namespace kappascope::gui
