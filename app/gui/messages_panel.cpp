#include <imgui.h>

#include "app/gui/gui.h"
#include "app/gui/notices.h"
#include "app/gui/panels.h"

namespace kappascope::gui {

namespace {

void draw_jobs(Gui& gui) {
  const std::vector<JobStatus> jobs = gui.workspace.long_jobs().status();
  if (jobs.empty()) { return ImGui::TextDisabled("No job is running."); }
  for (const JobStatus& job : jobs) {
    ImGui::PushID(int(job.id));
    ImGui::TextUnformatted(job.title.c_str());
    const float button = ImGui::CalcTextSize("Cancel").x + 2 * ImGui::GetStyle().FramePadding.x;
    const float bar = ImGui::GetContentRegionAvail().x - button - ImGui::GetStyle().ItemSpacing.x;
    const float share = job.total > 0 ? float(double(job.done) / double(job.total)) : 0;
    ImGui::ProgressBar(share, {bar, 0}, job_text(job).c_str());
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
  if (messages.empty()) { return ImGui::TextDisabled("No messages."); }
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
