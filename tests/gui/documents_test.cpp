// What becomes of views, files and choices as documents are replaced, closed and read again.
#include <fstream>

#include "app/gui/export_dialog.h"
#include "core/figure/text.h"
#include "tests/gui/runs.h"
#include "tests/tools/synthetic.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kText = "The tide came in and went out again.";

std::size_t folders_of_runs(Driver& driver) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(driver.folder / "runs")) {
    count += entry.path().filename() == "trace.npz";
  }
  return count;
}

const FigureViewState& view_of(Driver& driver, const char* id) {
  driver.gui().shown[id] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = id;
  driver.settle();
  return driver.gui().figures[id].view;
}

void make_live(Driver& driver) {
  show_controls(driver);
  driver.gui().interventions.live = true;
  driver.ctx->Yield(2);
}

}  // namespace

GUI_TEST(a_live_run_keeps_what_is_in_sight) {
  open_model(driver, "d4-kappa");
  run(driver, kText, {"kappa=off"});
  make_live(driver);
  Workspace& workspace = driver.workspace();
  workspace.next_run.take({"kappa-mul=2"});
  wait_for_live(driver);
  const DocumentId live = workspace.view().trace;
  workspace.pick({.row = 0, .token = 6});
  view_of(driver, "kappa-tokens");
  driver.gui().tokens_in_sight[live] = AxisSpan{2.5, 7.5};
  for (const char* word : {"kappa-mul=3", "kappa-mul=4", "top-k=1"}) {
    workspace.next_run.take({word});  // as the panel Text does
    wait_for_live(driver);
    IM_CHECK_EQ(workspace.view().trace, live);
    IM_CHECK(workspace.current_trace()->meta.at("interventions").get<Words>() == Words({word}));
    IM_CHECK_EQ(workspace.selection().token, 6);
    const FigureViewState& view = view_of(driver, "kappa-tokens");
    IM_CHECK_EQ(view.x.at(0).low, 2.5);
    IM_CHECK_EQ(view.x.at(0).high, 7.5);
  }
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK_EQ(folders_of_runs(driver), std::size_t(3));  // with the unedited one
  // Another text has other tokens: what was in sight of the former ones is forgotten.
  workspace.next_run.text = "Something else";
  workspace.next_run.take({"kappa-mul=5"});
  wait_for_live(driver);
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK_EQ(driver.gui().tokens_in_sight.count(live), std::size_t(0));
}

GUI_TEST(an_edit_leaves_the_loading_of_weights_alone) {
  open_model(driver, "d8-kappa");
  Workspace& workspace = driver.workspace();
  workspace.next_run.text = kText;
  make_live(driver);
  workspace.next_run.take({"kappa-mul=2"});
  workspace.run();
  const JobId first = workspace.run_job();
  IM_CHECK_NE(first, JobId(0));
  workspace.next_run.take({"kappa-mul=3"});
  driver.gui().interventions.changed_at = 0;  // long ago
  for (int i = 0; i < 5 && !workspace.current_model()->loaded; ++i) {
    driver.ctx->Yield();
    IM_CHECK(workspace.run_job() == first || workspace.current_model()->loaded);
  }
  wait_for_live(driver);
  IM_CHECK(workspace.current_trace()->meta.at("interventions").get<Words>() ==
           Words({"kappa-mul=3"}));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(a_closed_unedited_run_stays_for_those_that_need_it) {
  open_model(driver, "d4-kappa");
  run(driver, kText, {"kappa=off"});
  Workspace& workspace = driver.workspace();
  workspace.show_unedited();
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  const DocumentId edited = workspace.traces()[0].id, unedited = workspace.traces()[1].id;
  workspace.close_trace(unedited);
  IM_CHECK(workspace.unedited().trace != nullptr);
  IM_CHECK(fs::exists(workspace.unedited().trace->path));
  workspace.show_unedited();
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.shown().size(), std::size_t(2));
  workspace.close_trace(edited);
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  IM_CHECK(fs::exists(workspace.traces()[0].path));
  workspace.close_trace(workspace.traces()[0].id);
  IM_CHECK_EQ(folders_of_runs(driver), std::size_t(0));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(closing_a_trace_leaves_the_way_back_and_forth) {
  open_model(driver, "d4-kappa");
  run(driver, kText);
  Workspace& workspace = driver.workspace();
  const DocumentId first = workspace.view().trace;
  workspace.pick({.token = 2});
  run(driver, "Another text");
  const DocumentId second = workspace.view().trace;
  workspace.show_trace(first);
  workspace.pick({.token = 5});
  workspace.pick({.token = 7});
  workspace.go_back();
  IM_CHECK_EQ(workspace.selection().token, 5);
  workspace.close_trace(second);
  IM_CHECK_EQ(workspace.view().trace, first);
  IM_CHECK_EQ(workspace.selection().token, 5);
  workspace.go_forward();
  IM_CHECK_EQ(workspace.selection().token, 7);
  while (workspace.can_go_back()) {
    workspace.go_back();
    IM_CHECK_EQ(workspace.view().trace, first);
  }
}

GUI_TEST(those_beside_each_other_stay_so) {
  open_model(driver, "d4-kappa");
  run(driver, kText);
  run(driver, kText, {"kappa=off"});
  open_model(driver, "d8-kappa");
  Workspace& workspace = driver.workspace();
  const DocumentId first = workspace.traces()[0].id, second = workspace.traces()[1].id;
  workspace.trace(first)->compared = true;
  workspace.show_trace(first);
  IM_CHECK_EQ(workspace.shown().size(), std::size_t(2));
  workspace.show_trace(second);
  IM_CHECK_EQ(workspace.shown().size(), std::size_t(2));
  IM_CHECK_EQ(workspace.shown()[0].id, second);
  // Texts of tokens are those of the model that made the trace, though another one is in use.
  const Tokenizer& tokenizer = *workspace.models()[0].tokenizer;
  for (std::int32_t id = 300; id < 320; ++id) {
    IM_CHECK_SILENT(workspace.token_text(id) == token_label(display_text(tokenizer.bytes(id))));
  }
}

GUI_TEST(figures_of_two_traces_say_so_of_one) {
  open_model(driver, "d4-kappa");
  run(driver, kText, {"kappa=off"});
  Workspace& workspace = driver.workspace();
  IM_CHECK(view_of(driver, "routing-change").shown != nullptr);
  IM_CHECK(view_of(driver, "step-series").shown == nullptr);
  run(driver, "Another text");
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.several != Several::difference && !entry.series) { continue; }
    const char* id = entry.id.data();
    IM_CHECK(view_of(driver, id).shown == nullptr);
    IM_CHECK(workspace.figure_traces(id).empty());
    IM_CHECK_STR_EQ(export_command(driver.gui(), id).c_str(), "");
    copy_values(driver.gui(), id);
    copy_figure_picture(driver.gui(), id);
    open_export_dialog(driver.gui(), id);
    driver.ctx->Yield(3);
    IM_CHECK((driver.ctx->ItemInfo("//$FOCUSED/###write").ItemFlags & ImGuiItemFlags_Disabled) !=
             0);
    IM_CHECK((driver.ctx->ItemInfo("//$FOCUSED/###copy_values").ItemFlags &
              ImGuiItemFlags_Disabled) != 0);
    driver.ctx->PopupCloseAll();
  }
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(another_step_is_read_as_the_one_before) {
  synthetic::ModelSpec spec;
  for (const std::int64_t step : {100, 200}) {
    spec.step = step;
    synthetic::write_model(driver.folder / "steps", spec);
  }
  driver.workspace().open(driver.folder / "steps", std::nullopt,
                          {.formula = KappaFormula::v2026_05});
  IM_CHECK(driver.settle());
  const auto model = [&] { return driver.workspace().current_model(); };
  IM_CHECK(model() != nullptr);
  IM_CHECK_EQ(model()->model->files.step.value_or(-1), 200);
  model()->on_cpu = true;
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  click_in_table(driver, "step", 1);
  driver.ctx->ItemClick("//$FOCUSED/100");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(model()->model->files.step.value_or(-1), 100);
  IM_CHECK(model()->reading.formula == KappaFormula::v2026_05);
  IM_CHECK(model()->on_cpu);
  IM_CHECK_STR_EQ(model()->device.c_str(), "cpu");
}

GUI_TEST(weights_are_tables_in_any_order) {
  synthetic::ModelSpec spec;
  synthetic::write_model(driver.folder / "a", spec);
  spec.seed = 2;
  spec.drop = {};
  spec.extra = {{"transformer.h.0.more", {3}}};
  synthetic::write_model(driver.folder / "b", spec);
  Workspace& workspace = driver.workspace();
  workspace.open(driver.folder / "a");
  workspace.open(driver.folder / "b");
  IM_CHECK(driver.settle());
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  driver.ctx->ItemClick("//###model/**/###weights");
  IM_CHECK(driver.settle());
  const WeightsPanelState& state = driver.gui().weights;
  driver.ctx->ItemClick("//###weights/###read");
  IM_CHECK(driver.settle());
  IM_CHECK(state.tables != nullptr);
  IM_CHECK_EQ(state.tables->parts.size(), std::size_t(3));
  const Table& tensors = state.tables->parts[0].second;
  IM_CHECK_EQ(tensors.rows,
              std::int64_t(workspace.current_model()->model->tensors->tensors().size()));
  IM_CHECK_EQ(std::int64_t(state.rows.size()), tensors.rows);
  const auto click_header = [&](const char* name) { click_in_table(driver, name, 0); };
  const auto value = [&](const Table& table, const char* column, std::size_t place) {
    for (const Column& one : table.columns) {
      if (one.name == column) {
        return std::get<std::vector<double>>(one.values)[std::size_t(state.rows[place])];
      }
    }
    return double(kNaN);
  };
  // What is no number is last in either direction.
  const auto expect_order = [&](const Table& table, const char* column, bool descending) {
    bool ended = false;
    for (std::size_t i = 1; i < state.rows.size(); ++i) {
      const double one = value(table, column, i - 1), next = value(table, column, i);
      ended |= one != one;
      const bool in_turn = descending ? one >= next : one <= next;
      IM_CHECK_SILENT(ended ? next != next : next != next || in_turn);
    }
  };
  click_header("z_max");
  expect_order(tensors, "z_max", true);
  driver.ctx->ItemClick("//###weights/###filter");
  driver.ctx->KeyCharsReplace("KAPPA_bias");
  driver.ctx->Yield(2);
  IM_CHECK(!state.rows.empty() && std::int64_t(state.rows.size()) < tensors.rows);
  driver.ctx->ItemClick("//###weights/###part1");
  driver.ctx->ItemClick("//###weights/###part2");
  driver.ctx->Yield(2);
  IM_CHECK_EQ(std::int64_t(state.rows.size()), state.tables->parts[2].second.rows);

  choose(driver, "###from", join_words("###model", workspace.models()[0].id).c_str());
  driver.ctx->ItemClick("//###weights/###read");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(state.tables->parts.size(), std::size_t(1));
  const Table& changes = state.tables->parts[0].second;
  click_header("relative_change");
  click_header("relative_change");
  expect_order(changes, "relative_change", false);
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(wrong_words_of_the_panel_text_are_not_those_of_the_rows) {
  open_model(driver, "d4-kappa");
  show_controls(driver);
  RunSettings& next = driver.workspace().next_run;
  next.take({"kappa-mul=2", "kappa-mul=-1"});
  driver.ctx->Yield(2);
  IM_CHECK_EQ(driver.gui().interventions.rows.size(), std::size_t(1));
  next.take({"kappa-mul=2"});
  driver.ctx->Yield(2);
  choose(driver, "###add", "top-k");
  IM_CHECK_STR_EQ(next.wrong.c_str(), "");
  IM_CHECK(canonical_words(next.interventions) == Words({"kappa-mul=2", "top-k=1"}));
}

}  // namespace kappascope::gui::test
