// Tabs of docked panels, none of which is ever shortened or cut.
#pragma once

struct ImGuiDockNode;

namespace kappascope::gui {

// Before the dock space is drawn: where not all tabs of a part of it fit beside each other, those
// that fit whole are shown, with the selected one among them; arrows lead to the others, and a
// button lists all.
void page_tabs(ImGuiDockNode& node);

}  // namespace kappascope::gui
