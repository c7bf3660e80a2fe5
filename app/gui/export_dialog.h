// Figures as files and on the clipboard.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "app/gui/export_style.h"
#include "app/gui/jobs.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"

namespace kappascope::gui {

struct Gui;

struct ExportState {
  bool wanted = false;  // open it in this frame
  std::string figure;   // "": all views
  std::set<FigureFormat> formats = {FigureFormat::svg};
  bool in_sight = false;  // only the tokens that are zoomed into
  FigureStyle style;
  TypedStyle typed;        // into the fields that make the style
  std::string folder;      // as typed
  std::string in_the_way;  // files that the next confirmation replaces
  std::string said;        // what the last export did, or why it did not
  bool failed = false;
  JobId job = 0;  // 0: none runs
};

// Where the folder that was typed is: "~" is the home folder, "" the usual name for such folders.
std::filesystem::path export_folder(const ExportState& state);

// What the view shows, of the tokens that the dialog asks for.
FigureChoices exported_choices(const Gui& gui, const std::string& figure);

// `figure`: id of the view; "": all.
void open_export_dialog(Gui& gui, const std::string& figure);
void draw_export_dialog(Gui& gui);

// The figure's numbers as tab-separated text, its picture, and the command that makes its file.
void copy_values(Gui& gui, const std::string& figure);
void copy_figure_picture(Gui& gui, const std::string& figure);
void copy_command(Gui& gui, const std::string& figure);
// One line for a shell, which writes the same files; a trace that was made here is made first. ""
// where there is nothing to show. May make the figures.
std::string export_command(const Gui& gui, const std::string& figure);

struct ExportView;
// What there is to export of the view called `figure`; "": of all.
std::vector<ExportView> export_views(const Gui& gui, const std::string& figure);
// The three as menu items.
void draw_copy_items(Gui& gui, const std::string& figure);

}  // namespace kappascope::gui
