// The panel "Weights": every tensor of the model in use, κ's parameters and the router's alignment,
// or what changed from another open model, as tables in any order.
#include "app/gui/weights_panel.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>

#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/picture_clipboard.h"
#include "app/gui/start_note.h"
#include "app/gui/widgets.h"
#include "app/shell_words.h"
#include "app/weights_tables.h"
#include "core/figure/render.h"
#include "core/figure/table_rows.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr std::int64_t kMeasured = 200;     // rows that decide how wide columns are
constexpr float kWidest = 26, kGap = 0.4F;  // em

std::string name_of(const OpenModel& open) {
  const auto& step = open.model->files.step;
  return plain_text(open.model->name()) + (step ? ", step " + count_text(*step) : "");
}

// --- reading: on the worker ---

WeightTables tables_of(const Model& model, Progress& progress) {
  WeightTables tables;
  const OutlierLimits limits;
  const auto numbers = tensor_numbers(*model.tensors, limits, progress);
  tables.parts.emplace_back("Tensors", tensors_table(*model.tensors, numbers, limits));
  const std::vector<LearnedKappa> kappa = learned_kappa(model);
  if (!kappa.empty()) { tables.parts.emplace_back("κ", kappa_table(kappa)); }
  std::vector<LayerAlignment> alignments;
  const std::int64_t depth = model.architecture.depth();
  for (std::int64_t layer = 0; layer < depth; ++layer) {
    require(progress.update(Stage::read, std::uint64_t(layer), std::uint64_t(depth)),
            ExitCode::interrupted, {}, "interrupted");
    if (model.architecture.layers[layer].moe() == nullptr) { continue; }
    alignments.push_back({layer, unit_alignment(model, layer)});
  }
  if (!alignments.empty()) { tables.parts.emplace_back("Router", alignment_table(alignments)); }
  return tables;
}

WeightTables tables_of_change(const Model& from, const Model& to, Progress& progress) {
  WeightTables tables;
  const WeightChange change = weight_change(*from.tensors, *to.tensors, progress);
  tables.parts.emplace_back("Tensors", changes_table(change));
  return tables;
}

void start_reading(Gui& gui, const OpenModel& of, const OpenModel* from) {
  WeightsPanelState& state = gui.weights;
  const std::string title =
      "Weights of " + plain_text(of.model->name()) + (from ? ", compared" : "");
  state.job = gui.workspace.long_jobs().add(
      title,
      [&gui, model = of.model, before = from ? from->model : nullptr, id = of.id,
       from_id = from ? from->id : -1](Progress& progress) -> JobQueue::Finish {
        auto tables = std::make_shared<WeightTables>(
            before ? tables_of_change(*before, *model, progress) : tables_of(*model, progress));
        tables->of = id;
        tables->from = from_id;
        return [&gui, tables] {
          gui.weights.job = 0;
          gui.weights.tables = tables;
          gui.weights.table = nullptr;
        };
      },
      [&gui](const Failure& failure) {
        gui.weights.job = 0;
        gui.workspace.say(failure);
      });
}

// --- choices ---

// One that was closed is none.
const OpenModel* compared_model(Gui& gui, const OpenModel& of) {
  WeightsPanelState& state = gui.weights;
  const OpenModel* from = state.from == of.id ? nullptr : gui.workspace.model(state.from);
  if (!from) { state.from = -1; }
  return from;
}

void choose_model(Gui& gui, const OpenModel& of, const OpenModel* from) {
  ImGui::AlignTextToFramePadding();
  elided_text(name_of(of));
  ImGui::AlignTextToFramePadding();
  ImGui::TextUnformatted("Changed from");
  ImGui::SameLine();
  const std::string shown = from ? name_of(*from) : "–";
  ImGui::SetNextItemWidth(std::min(16 * em(), ImGui::GetContentRegionAvail().x));
  if (ImGui::BeginCombo("###from", shown.c_str())) {
    if (ImGui::Selectable("–###none", !from)) { gui.weights.from = -1; }
    for (const OpenModel& other : gui.workspace.models()) {
      if (other.id == of.id) { continue; }
      const std::string label = join_words(name_of(other), "###model", other.id);
      if (ImGui::Selectable(label.c_str(), from == &other)) { gui.weights.from = other.id; }
    }
    ImGui::EndCombo();
  }
  explain(gui.workspace.models().size() > 1
              ? "Another open model, tensor by tensor; –: this model alone"
              : "Open a second model to see what changed from it, tensor by tensor");
}

std::string command_for(const OpenModel& of, const OpenModel* from) {
  const auto path = [](const OpenModel& open) {
    return " " + quote_word(std::filesystem::absolute(open.model->files.weights).string());
  };
  return from ? "kappascope compare --weights" + path(*from) + path(of) + " -o comparison"
              : "kappascope scan" + path(of) + " -o scan";
}

// As it is shown: the rows that the filter leaves, in their order.
void copy_table(Gui& gui) {
  const WeightsPanelState& state = gui.weights;
  gui.workspace.long_jobs().add(
      "Copy weights",
      [&gui, tables = state.tables, part = state.part, filter = state.filter, column = state.column,
       descending = state.descending](Progress&) -> JobQueue::Finish {
        const Table& table = tables->parts[part].second;
        const auto rows =
            ordered_rows(table, filter, std::min(column, table.columns.size() - 1), descending);
        return [&gui, text = tab_separated(table, rows, kMostClipboard)] {
          ImGui::SetClipboardText(text.c_str());
          gui.workspace.say(false, "Table copied");
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

void draw_buttons(Gui& gui, const OpenModel& of, const OpenModel* from, bool read) {
  WeightsPanelState& state = gui.weights;
  JobQueue& jobs = gui.workspace.long_jobs();
  const std::vector<JobStatus> all = jobs.status();
  const bool there = std::any_of(all.begin(), all.end(),
                                 [&](const JobStatus& one) { return one.id == state.job; });
  if (state.job != 0 && !there && jobs.nothing_done()) { state.job = 0; }  // it was cancelled
  ImGui::BeginDisabled(state.job != 0);
  if (single_button("Read###read")) { start_reading(gui, of, from); }
  ImGui::EndDisabled();
  explain("Reads every tensor once, from the file");
  if (state.job != 0) {
    ImGui::SameLine();
    if (ImGui::Button("Cancel###cancel")) { gui.workspace.cancel(state.job); }
  }
  next_item(ImGui::CalcTextSize("Copy command").x + 2 * ImGui::GetStyle().FramePadding.x);
  if (ImGui::Button("Copy command###command")) {
    ImGui::SetClipboardText(command_for(of, from).c_str());
  }
  explain("The command line that writes these tables");
  if (!read) { return; }
  next_item(ImGui::CalcTextSize("Copy table").x + 2 * ImGui::GetStyle().FramePadding.x);
  if (ImGui::Button("Copy table###copy")) { copy_table(gui); }
}

void choose_part(Gui& gui, const WeightTables& tables) {
  WeightsPanelState& state = gui.weights;
  state.part = std::min(state.part, tables.parts.size() - 1);
  for (std::size_t i = 0; i < tables.parts.size() && tables.parts.size() > 1; ++i) {
    const std::string label = tables.parts[i].first + "###part" + std::to_string(i);
    const float width = ImGui::CalcTextSize(tables.parts[i].first.c_str()).x;
    if (i > 0) { next_item(width + 2 * ImGui::GetFrameHeight()); }
    if (ImGui::RadioButton(label.c_str(), state.part == i)) { state.part = i; }
  }
  const Table& table = tables.parts[state.part].second;
  if (!std::holds_alternative<std::vector<std::string>>(table.columns.front().values)) {
    state.filter.clear();
    return;
  }
  ImGui::SetNextItemWidth(std::min(16 * em(), ImGui::GetContentRegionAvail().x));
  ImGui::InputTextWithHint("###filter", "filter", &state.filter);
}

// --- the table ---

bool is_text(const Column& column) {
  return std::holds_alternative<std::vector<std::string>>(column.values);
}

void measure(WeightsPanelState& state, const Table& table) {
  state.widths.clear();
  for (const Column& column : table.columns) {
    float width = 0;
    for (std::int64_t row = 0; row < std::min(table.rows, kMeasured); ++row) {
      width = std::max(width, ImGui::CalcTextSize(field_text(column, row).c_str()).x);
    }
    state.widths.push_back(std::min(kWidest, width / em() + kGap));
  }
}

void arrange(WeightsPanelState& state, const Table& table) {
  std::size_t column = state.column;
  bool descending = state.descending;
  const ImGuiTableSortSpecs* specs = ImGui::TableGetSortSpecs();
  if (specs && specs->SpecsCount > 0) {
    column = std::size_t(specs->Specs[0].ColumnIndex);
    descending = specs->Specs[0].SortDirection == ImGuiSortDirection_Descending;
  }
  const bool same = state.table == &table && state.filtered == state.filter &&
                    state.column == column && state.descending == descending;
  if (same) { return; }
  state.rows = ordered_rows(table, state.filter, column, descending);
  state.table = &table;
  state.filtered = state.filter;
  state.column = column;
  state.descending = descending;
}

void draw_row(const Theme& theme, const Table& table, std::int64_t row) {
  ImGui::TableNextRow();
  for (const Column& column : table.columns) {
    const std::string text = field_text(column, row);
    if (is_text(column)) {
      text_cell(text, &column == &table.columns.front() ? theme.text : theme.quiet_text);
    } else {
      number_cell(text);
    }
  }
}

void draw_table(Gui& gui, const std::string& name, const Table& table) {
  WeightsPanelState& state = gui.weights;
  if (state.table != &table) { measure(state, table); }
  std::vector<TableColumn> columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    const bool text = is_text(column);
    columns.push_back({.name = column.name.c_str(),
                       .width = state.widths[i],
                       .number = !text,
                       .flags = text ? 0 : ImGuiTableColumnFlags_PreferSortDescending,
                       .id = int(i)});
  }
  // Tables of other columns remember their widths and order by themselves.
  const std::string id = "###" + name + std::to_string(gui.weights.tables->from >= 0);
  const float room = ImGui::GetContentRegionAvail().y - ImGui::GetStyle().ScrollbarSize;
  if (!begin_table(id.c_str(), columns, {0, std::max(6 * em(), room)}, ImGuiTableFlags_Sortable)) {
    return;
  }
  arrange(state, table);
  ImGuiListClipper clipper;
  clipper.Begin(int(state.rows.size()));
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      draw_row(*gui.theme, table, state.rows[i]);
    }
  }
  ImGui::EndTable();
}

}  // namespace

void draw_weights_panel(Gui& gui) {
  const OpenModel* of = gui.workspace.current_model();
  if (!of) { return start_note(gui, "No weights", "Open a checkpoint first"); }
  const OpenModel* from = compared_model(gui, *of);
  choose_model(gui, *of, from);
  const std::shared_ptr<const WeightTables> tables = gui.weights.tables;
  const bool read = tables && tables->of == of->id && tables->from == (from ? from->id : -1);
  draw_buttons(gui, *of, from, read);
  if (!read) {
    return gui.weights.job != 0 ? waiting_note(*gui.theme, "The weights are being read")
                                : empty_note(*gui.theme, "These weights were not read",
                                             "Press Read: it takes as long as reading the file");
  }
  choose_part(gui, *tables);
  const auto& [name, table] = tables->parts[gui.weights.part];
  if (table.rows == 0) { return quiet_text(*gui.theme, "There are none."); }
  draw_table(gui, name, table);
}

}  // namespace kappascope::gui
