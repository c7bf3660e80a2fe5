#include "tests/gui/id_conflicts.h"

#include <imgui.h>
#include <imgui_internal.h>

#include <map>
#include <set>
#include <utility>

namespace kappascope::gui::test {

namespace {

struct Watch {
  int frame = -1;
  std::map<ImGuiID, ImVec2> seen;  // in this frame: where
  std::set<ImGuiID> twice;         // in all frames
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
  if (item.ItemFlags & ImGuiItemFlags_AllowDuplicateId) { return; }
  // Dear ImGui's own tabs and buttons of a window that is about to be docked.
  const ImGuiWindow* window = context.CurrentWindow;
  if (window && window->DC.NavLayerCurrent == ImGuiNavLayer_Menu &&
      !(window->Flags & ImGuiWindowFlags_MenuBar)) {
    return;
  }
  // A text field of several lines announces itself twice, at one place.
  const auto [at, fresh] = now.seen.emplace(id, box.Min);
  if (fresh || (at->second.x == box.Min.x && at->second.y == box.Min.y)) { return; }
  if (!now.twice.insert(id).second) { return; }
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

// The linker puts these before the test engine's own functions (--wrap in CMakeLists.txt), which
// there may be no engine for.
extern "C" {
void __real__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
    ImGuiContext*, ImGuiID, const ImRect&, const ImGuiLastItemData*);
void __wrap__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
    ImGuiContext* context, ImGuiID id, const ImRect& box, const ImGuiLastItemData* item) {
  if (item) { kappascope::gui::test::note(*context, id, box, *item); }
  if (context->TestEngine) {
    __real__Z27ImGuiTestEngineHook_ItemAddP12ImGuiContextjRK6ImRectPK17ImGuiLastItemData(
        context, id, box, item);
  }
}
void __real__Z28ImGuiTestEngineHook_ItemInfoP12ImGuiContextjPKci(ImGuiContext*, ImGuiID,
                                                                 const char*, ImGuiItemStatusFlags);
void __wrap__Z28ImGuiTestEngineHook_ItemInfoP12ImGuiContextjPKci(ImGuiContext* context, ImGuiID id,
                                                                 const char* label,
                                                                 ImGuiItemStatusFlags flags) {
  if (context->TestEngine) {
    __real__Z28ImGuiTestEngineHook_ItemInfoP12ImGuiContextjPKci(context, id, label, flags);
  }
}
}
