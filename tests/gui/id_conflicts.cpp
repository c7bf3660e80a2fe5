#include "tests/gui/id_conflicts.h"

#include <imgui.h>
#include <imgui_internal.h>

#include <set>
#include <utility>

namespace kappascope::gui::test {

namespace {

struct Watch {
  int frame = -1;
  std::set<ImGuiID> seen, twice;  // of this frame; of all frames
  std::vector<std::string> conflicts;
};

Watch& watch() {
  static Watch one;
  return one;
}

void note(const ImGuiContext& context, ImGuiID id, const ImRect& box,
          const ImGuiLastItemData& item) {
  Watch& now = watch();
  if (now.frame != context.FrameCount) {
    now.frame = context.FrameCount;
    now.seen.clear();
  }
  if (item.ItemFlags & ImGuiItemFlags_AllowDuplicateId) return;
  if (now.seen.insert(id).second || !now.twice.insert(id).second) return;
  char text[300];
  std::snprintf(text, sizeof text, "id %08X stands twice in window \"%s\", now at (%.0f, %.0f)", id,
                context.CurrentWindow ? context.CurrentWindow->Name : "", box.Min.x, box.Min.y);
  now.conflicts.emplace_back(text);
}

}  // namespace

void watch_ids() {
  ImGui::GetCurrentContext()->TestEngineHookItems = true;
}

std::vector<std::string> take_id_conflicts() {
  return std::exchange(watch().conflicts, {});
}

}  // namespace kappascope::gui::test

// The linker puts this before the test engine's own function (--wrap in CMakeLists.txt).
extern "C" {
void __real__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
    ImGuiContext*, ImGuiID, const ImRect&, const ImGuiLastItemData*);
void __wrap__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
    ImGuiContext* context, ImGuiID id, const ImRect& box, const ImGuiLastItemData* item) {
  if (item) kappascope::gui::test::note(*context, id, box, *item);
  if (context->TestEngine)
    __real__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
        context, id, box, item);
}
}
