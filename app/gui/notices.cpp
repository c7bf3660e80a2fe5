#include "app/gui/notices.h"

#include <imgui_internal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"
#include "core/trace/corpus_totals.h"

namespace kappascope::gui {

namespace {

constexpr double kSecondsToSee = 1.0;
constexpr float kMostLines = 3;
constexpr ImGuiWindowFlags kBarFlags =
    ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoNav;

// Messages that nobody has seen, newest last.
std::vector<const Message*> unseen(const Gui& gui) {
  const auto& all = gui.workspace.messages();
  const std::size_t said = gui.workspace.messages_said();
  const std::size_t count = std::min(all.size(), said - std::min(said, gui.messages_seen));
  std::vector<const Message*> found;
  for (std::size_t i = all.size() - count; i < all.size(); ++i) { found.push_back(&all[i]); }
  return found;
}

void show_messages(Gui& gui) {
  gui.shown["messages"] = true;
  gui.focus = "messages";
}

float button_width(const char* label) {
  return ImGui::CalcTextSize(label, nullptr, true).x + 2 * ImGui::GetStyle().FramePadding.x;
}

// A bar at the bottom with a text of up to three lines and, on its right, buttons `width` wide.
template <typename Buttons>
void draw_bar(const char* id, const std::string& text, ImU32 colour, float width,
              Buttons&& buttons) {
  const ImGuiStyle& style = ImGui::GetStyle();
  ImGuiViewport* viewport = ImGui::GetMainViewport();
  const float room = std::max(
      8 * em(), viewport->Size.x - width - 2 * style.WindowPadding.x - style.ItemSpacing.x);
  const float line = ImGui::GetTextLineHeight();
  const float needed = ImGui::CalcTextSize(text.c_str(), nullptr, false, room).y;
  const float shown = std::min(needed, kMostLines * line);
  const float height = std::max(shown + 2 * style.FramePadding.y, ImGui::GetFrameHeight());
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, {style.WindowPadding.x, 0.25F * em()});
  if (ImGui::BeginViewportSideBar(id, viewport, ImGuiDir_Down, height + 0.5F * em(), kBarFlags)) {
    const ImVec2 at = ImGui::GetCursorScreenPos();
    ImGui::PushClipRect(at, {at.x + room, at.y + height}, true);
    ImGui::SetCursorPosY(ImGui::GetCursorPosY() + (height - shown) / 2);
    ImGui::PushStyleColor(ImGuiCol_Text, colour);
    ImGui::PushTextWrapPos(ImGui::GetCursorPosX() + room);
    ImGui::TextUnformatted(text.c_str());
    ImGui::PopTextWrapPos();
    ImGui::PopStyleColor();
    ImGui::PopClipRect();
    if (needed > shown) { explain(text.c_str()); }
    ImGui::SetCursorScreenPos(
        {at.x + room + style.ItemSpacing.x, at.y + (height - ImGui::GetFrameHeight()) / 2});
    buttons();
  }
  ImGui::End();
  ImGui::PopStyleVar();
}

// The oldest error that was not seen, so that each of several is.
void draw_errors(Gui& gui) {
  const std::vector<const Message*> waiting = unseen(gui);
  const auto is_error = [](const Message* message) { return message->error; };
  const auto first = std::find_if(waiting.begin(), waiting.end(), is_error);
  if (first == waiting.end()) { return; }
  const auto more = std::count_if(first + 1, waiting.end(), is_error);
  const std::string all =
      more > 0 ? join_words("All messages (", more + 1, ")###all") : "Messages###all";
  constexpr const char* kOnCpu = "Run on the CPU###cpu";
  const DocumentId for_cpu = gui.workspace.can_run() ? (*first)->on_cpu : -1;
  const bool offered = for_cpu >= 0 && gui.workspace.model(for_cpu) != nullptr;
  const float gap = ImGui::GetStyle().ItemSpacing.x;
  const float width = button_width(all.c_str()) + button_width("Close") + gap +
                      (offered ? button_width(kOnCpu) + gap : 0);
  const std::size_t seen = gui.workspace.messages_said() - std::size_t(waiting.end() - first) + 1;
  draw_bar("###errors", (*first)->text, gui.theme->error, width, [&] {
    if (offered && ImGui::Button(kOnCpu)) {
      gui.messages_seen = seen;
      return gui.workspace.run_on_cpu(for_cpu);
    }
    if (offered) { ImGui::SameLine(); }
    if (ImGui::Button(all.c_str())) { show_messages(gui); }
    ImGui::SameLine();
    if (ImGui::Button("Close###close")) { gui.messages_seen = seen; }
  });
}

void draw_offer(Gui& gui) {
  const Workspace& workspace = gui.workspace;
  const bool untouched = workspace.models().empty() && workspace.traces().empty() &&
                         !workspace.loading() && !gui.restore.going;
  if (gui.session_offer.empty() || gui.offer_closed || !untouched) { return; }
  const float width =
      button_width("Restore") + button_width("Close") + ImGui::GetStyle().ItemSpacing.x;
  draw_bar("###offer", "Last session: " + gui.session_offer, gui.theme->text, width, [&] {
    if (ImGui::Button("Restore###restore")) { restore_session(gui, gui.last_session); }
    ImGui::SameLine();
    if (ImGui::Button("Close###close")) { gui.offer_closed = true; }
  });
}

void draw_job(Gui& gui, const JobStatus& job) {
  const float height = ImGui::GetFrameHeight();
  const float share = job.total > 0 ? float(double(job.done) / double(job.total)) : 0;
  ImGui::TextUnformatted(job.title.c_str());
  const std::string text = job_text(job);
  const float width = std::max(10 * em(), ImGui::CalcTextSize(text.c_str()).x + em());
  ImGui::ProgressBar(share, {width, height}, text.c_str());
  if (ImGui::SmallButton("Cancel###cancel")) { gui.workspace.cancel(job.id); }
}

std::string counted(std::int64_t number, const char* one) {
  return count_text(number) + " " + one + (number == 1 ? "" : "s");
}

// "30 of 52 tokens, 2 MoE layers in 2 passes, 8 experts"
std::string size_of(const Trace& trace) {
  const std::int64_t tokens = counted_tokens(trace);
  std::set<std::int64_t> layers(trace.layer_index.begin(), trace.layer_index.end());
  std::set<std::int64_t> passes(trace.pass_index.begin(), trace.pass_index.end());
  const bool part = !trace.corpus && tokens < trace.tokens;
  return join_words(part ? count_text(tokens) + " of " + counted(trace.tokens, "token")
                         : counted(tokens, "token"),
                    ", ", counted(std::ssize(layers), "MoE layer"),
                    passes.size() > 1 ? join_words(" in ", passes.size(), " passes") : "", ", ",
                    counted(trace.experts, "expert"));
}

void draw_status(Gui& gui) {
  const Workspace& workspace = gui.workspace;
  const std::vector<JobStatus> jobs = gui.workspace.long_jobs().status();
  if (!jobs.empty()) { return draw_job(gui, jobs.front()); }
  const std::vector<const Message*> waiting = unseen(gui);
  if (!waiting.empty() && !waiting.back()->error) {
    if (ImGui::MenuItem((waiting.back()->text + "###message").c_str())) { show_messages(gui); }
  } else if (const OpenTrace* open = workspace.current_open_trace()) {
    const Trace& trace = *open->trace;
    const std::string numbers = size_of(trace) + " · ";
    const float room = ImGui::GetContentRegionAvail().x - ImGui::CalcTextSize(numbers.c_str()).x;
    const std::string label = parts_that_fit(open->label, room);
    ImGui::TextDisabled("%s%s", numbers.c_str(), label.c_str());
    if (label != open->label) { explain(open->label.c_str()); }
  } else if (!workspace.models().empty()) {
    ImGui::TextDisabled("Type or paste a text and press Run");
  } else {
    ImGui::TextDisabled("Open a checkpoint or a trace: Ctrl+O, or drop it here");
  }
}

}  // namespace

std::string job_text(const JobStatus& job) {
  if (job.cancelled) { return "stopping"; }
  if (!job.running || !job.stage) { return "waiting"; }
  std::string text = stage_title(*job.stage);
  if (job.stage == Stage::prefill || job.stage == Stage::generate) {
    text += " · " + count_text(std::int64_t(job.done)) + " of " +
            count_text(std::int64_t(job.total)) + " tokens";
  } else if (job.total > 1) {
    text += " · " + percent_text(double(job.done) / double(job.total));
  }
  const auto seconds = long(job.seconds_left);
  if (seconds < 1) { return text; }
  if (seconds < 60) { return text + " · " + std::to_string(seconds) + " s left"; }
  return text + " · " + duration_text(double(seconds)) + (seconds < 3600 ? " min left" : " h left");
}

void draw_notices(Gui& gui) {
  const double shown = std::exchange(gui.messages_shown_since, -1);
  if (shown >= 0 && ImGui::GetTime() - shown > kSecondsToSee) {
    gui.messages_seen = gui.workspace.messages_said();
  }
  gui.messages_shown_before = shown;
  if (ImGui::BeginViewportSideBar("###status", ImGui::GetMainViewport(), ImGuiDir_Down,
                                  ImGui::GetFrameHeight(), kBarFlags | ImGuiWindowFlags_MenuBar)) {
    if (ImGui::BeginMenuBar()) {
      draw_status(gui);
      ImGui::EndMenuBar();
    }
  }
  ImGui::End();
  draw_errors(gui);
  draw_offer(gui);
}

void note_messages_shown(Gui& gui) {
  const ImGuiWindow* window = ImGui::GetCurrentWindow();
  if (window->Hidden || (window->DockIsActive && !window->DockTabIsVisible)) { return; }
  gui.messages_shown_since =
      gui.messages_shown_before >= 0 ? gui.messages_shown_before : ImGui::GetTime();
}

}  // namespace kappascope::gui
